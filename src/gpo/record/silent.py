"""A run as the other processes of it see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from gpo.record.base import Json, Line
from gpo.record.files import read_lines
from gpo.record.folder import RunFolder
from gpo.record.rounds import TrainedLine
from gpo.record.rows import RowLine
from gpo.record.torn import STREAMS


class SilentFolder(RunFolder):
    """What is there is read, and nothing is written."""

    def __init__(self, path: Path) -> None:
        self.path, self._has_begun, self._made, self._waiting = path, False, None, []
        self._lines = [line.record() for line in read_lines(path / "rounds.jsonl", TrainedLine)]

    def rounds(self) -> list[Json]:
        return list(self._lines)

    def commit_round(self, record: Json) -> None:
        self._lines.append(record)

    def new_checkpoint(self, num_rounds: int) -> AbstractContextManager[Path]:  # noqa: ARG002
        return nullcontext(self.path)

    def take_up(
        self,
        settings: Json,  # noqa: ARG002
        fingerprint: Json,  # noqa: ARG002
        rows: Sequence[RowLine] | None = None,  # noqa: ARG002
    ) -> dict[str, int]:
        return dict.fromkeys(STREAMS, 0)

    def check_same(self, fingerprint: Mapping[str, Any], rows: Sequence[RowLine] | None = None) -> None:
        pass

    def write(self, stream: str, line: Line) -> None:
        pass

    def prune_checkpoints(self, keep: int) -> None:
        pass

    def close(self) -> None:
        pass
