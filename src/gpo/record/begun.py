"""What is on disk of problems that are not finished: their rollouts, read as far as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import Path

from gpo.files import JsonError, open_file, parse_json
from gpo.record.base import checked
from gpo.record.lines import RolloutLine
from gpo.types import InputError


class Begun:
    """Counts the rollouts of a run and their tokens by problem; what was read once is not read again."""

    def __init__(self, run: Path) -> None:
        self.file = run / "rollouts.jsonl"
        self._at = self._row = 0
        self._rollouts: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def besides(self, finished: Set[str]) -> tuple[int, int, int]:
        """Problems beside those that are finished, their rollouts so far, and the tokens of these."""
        if self.file.exists():
            self._read()
        others = self._rollouts.keys() - finished
        rollouts = sum(self._rollouts[name] for name in others)
        return len(others), rollouts, sum(self._tokens[name] for name in others)

    def _read(self) -> None:
        """Takes the lines that came since; a last one without its end is still being written."""
        with open_file(self.file) as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at, self._row = self._at + len(line), self._row + 1
                try:
                    found = checked(self.file, self._row, RolloutLine, parse_json(line))
                except JsonError as error:
                    raise InputError(f"{self.file}: row {self._row}: is not valid JSON ({error})") from None
                self._rollouts[found.problem] += 1
                self._tokens[found.problem] += len(found.action_ids)
