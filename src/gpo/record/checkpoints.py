"""The checkpoints of a run. Only whole folders that a run wrote are ever removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gpo import checksums
from gpo.types import InputError

WRITTEN = frozenset({"model", "optimizer.safetensors", "memory.json", "SHA256SUMS"})
"""All that a run writes into a checkpoint."""

TRAINER = re.compile(r"checkpoint-\d+", re.ASCII)
"""TRL's checkpoints inside a round."""

NAME = re.compile(r"\d{4}|[1-9]\d{4,}", re.ASCII)


class Checkpoints:
    """checkpoints/NNNN of the run at `run`, by the number of rounds done; all other names are not ours."""

    def __init__(self, run: Path) -> None:
        self.path = run / "checkpoints"
        self.part = self.path / "part"

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
        self.check_part()
        newer = [number for number in self.numbers() if number > (last or 0)]
        for number in newer:
            folder = self.path / f"{number:04d}"
            if last is None or number > last + 1 or not is_ours(folder):
                raise InputError(
                    f"{folder}: is not of this run's next round ({(last or 0) + 1}), so either lines of "
                    "rounds.jsonl were lost or something else wrote it; restore rounds.jsonl, or move it away"
                )
        if newer and last:
            self.at(last)  # it is needed as soon as the newer one is gone
        return tuple(self.path / f"{number:04d}" for number in newer)

    def new(self) -> Path:
        """An empty folder to write a checkpoint into."""
        self.path.mkdir(exist_ok=True)
        self.check_part()
        if self.part.exists():
            shutil.rmtree(self.part)
        self.part.mkdir()
        return self.part

    def check_part(self) -> None:
        """InputError for something in the place of an unfinished checkpoint that is none of ours."""
        if os.path.lexists(self.part) and not is_ours(self.part):
            raise InputError(f"{self.part}: is in the way of a new checkpoint; move it away")

    def finish(self, part: Path, number: int) -> None:
        """Moves a whole checkpoint, flushed to the disk, into its place."""
        for folder, _, files in os.walk(part, topdown=False):
            for name in (*files, "."):
                _flush(Path(folder, name))
        os.rename(part, self.path / f"{number:04d}")
        _flush(self.path)

    def prune(self, committed: Iterable[int], keep: int) -> list[Path]:
        """Drops all but the last `keep` of those whose rounds were committed.

        Returns those that are older and stay, as something else lies in them.
        """
        there = {number: self.path / f"{number:04d}" for number in sorted(set(committed)) if number > 0}
        ours = [number for number, folder in there.items() if is_ours(folder)]
        for number in ours[:-keep]:
            shutil.rmtree(there[number])
        first = ours[-keep:][0] if ours else 0
        others = there.keys() - set(ours)
        return [there[n] for n in sorted(others) if n < first and os.path.lexists(there[n])]


def is_ours(folder: Path) -> bool:
    """Whether it is a real folder with nothing in it but what a run wrote, by its sums if it has any."""
    if not _is_folder(folder) or not set(os.listdir(folder)) <= WRITTEN:
        return False
    try:
        return not checksums.has_more(folder)
    except InputError:  # its sums are damaged
        return False


def drop_trainer(run: Path, committed: Iterable[int]) -> None:
    """Removes TRL's own checkpoints inside the committed rounds, and folders that are then empty."""
    trainer = run / "trainer"
    for folder in sorted({trainer / f"{number:04d}" for number in committed}):
        if _is_folder(trainer) and _is_folder(folder):
            for one in folder.glob("checkpoint-*"):
                if _is_folder(one) and TRAINER.fullmatch(one.name):
                    shutil.rmtree(one)
            with suppress(OSError):  # something else is in it
                folder.rmdir()
    with suppress(OSError):
        trainer.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
