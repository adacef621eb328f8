"""The checkpoints of a run. Only whole folders that a run wrote are ever removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gpo import checksums
from gpo.types import InputError

NAME = re.compile(r"\d{4}|[1-9]\d{4,}", re.ASCII)


class Checkpoints:
    """checkpoints/NNNN of the run at `run`, by the number of rounds done; all other names are not ours."""

    def __init__(self, run: Path) -> None:
        self.path = run / "checkpoints"

    def at(self, number: int) -> Path:
        """The checkpoint after so many rounds; InputError if it is not there."""
        folder = self.path / f"{number:04d}"
        if not (folder / "model").is_dir():
            raise InputError(
                f"{folder}: is not there or has no model, and rounds.jsonl says that round {number} is "
                "complete; restore it from a copy, or start a new run"
            )
        return folder

    def numbers(self) -> list[int]:
        """The numbers that are taken, in order, by whatever has such a name."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name) for name in names if NAME.fullmatch(name))

    def newer(self, last: int | None) -> tuple[Path, ...]:
        """The checkpoint of the round after `last`, if any; InputError if one is newer than that."""
        newer = [number for number in self.numbers() if number > (last or 0)]
        for number in newer:
            folder = self.path / f"{number:04d}"
            if last is None or number > last + 1 or not checksums.is_ours(folder):
                raise InputError(
                    f"{folder}: is not of this run's next round ({(last or 0) + 1}), so either lines of "
                    "rounds.jsonl were lost or something else wrote it; restore rounds.jsonl, or move it away"
                )
        if newer and last:
            self.at(last)  # it is needed as soon as the newer one is gone
        return tuple(self.path / f"{number:04d}" for number in newer)

    @contextmanager
    def new(self, number: int) -> Iterator[Path]:
        """An empty folder to write a checkpoint into; once whole it is sealed and moved into its place."""
        with checksums.new_part(self.path, "checkpoint") as part:
            yield part
            checksums.seal(part)
            for folder, _, files in os.walk(part, topdown=False):
                for name in (*files, "."):
                    _flush(Path(folder, name))
            checksums.drop_torn(self.path, "checkpoint", part)
            os.rename(part, self.path / f"{number:04d}")
            _flush(self.path)

    def prune(self, committed: Iterable[int], keep: int) -> list[Path]:
        """Drops all but the last `keep` of those whose rounds were committed.

        Returns those that are older and stay, as something else lies in them.
        """
        there = {number: self.path / f"{number:04d}" for number in sorted(set(committed)) if number > 0}
        ours = [number for number, folder in there.items() if checksums.is_ours(folder)]
        for number in ours[:-keep]:
            shutil.rmtree(there[number])
        first = ours[-keep:][0] if ours else 0
        others = there.keys() - set(ours)
        return [there[n] for n in sorted(others) if n < first and os.path.lexists(there[n])]


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
