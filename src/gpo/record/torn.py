"""What a killed run left behind its last committed round: proven to be newer, or nothing is touched.

A line of rounds.jsonl holds the sizes of the other files, so what lies beyond them is of the round after it,
and its lines say so. Where they do not, the lines of rounds.jsonl were lost, and the run is refused as it is.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpo.files import new_file, open_file
from gpo.record.base import Json
from gpo.record.checkpoints import Checkpoints
from gpo.types import InputError

STREAMS = ("rollouts", "curves")
"""The files that a round line commits."""

RESTORE = "restore it from a copy, or start a new run; nothing was removed"


@dataclass(frozen=True)
class Leftovers:
    """The bytes to keep and the lines beyond them of each file, and the checkpoint of the torn round."""

    keep: dict[str, int]
    lines: dict[str, int]
    checkpoints: tuple[Path, ...]


def leftovers(path: Path, rounds: Sequence[Json], *, is_young: bool) -> Leftovers:
    """What the round after the last of `rounds` left; InputError for anything that is not proven to be of it.

    `is_young` says that the run has never committed a round, so that without any line nothing was lost.
    """
    keep = dict(rounds[-1]["sizes"]) if rounds else dict.fromkeys(STREAMS, 0)
    last = rounds[-1]["round"] if rounds else None
    if last is None and not is_young:
        _check_empty(path)
    lines = {name: _lines_beyond(path / f"{name}.jsonl", keep[name], last) for name in STREAMS}
    rounds_file = path / "rounds.jsonl"
    keep["rounds"] = complete_size(rounds_file)
    lines["rounds"] = int(rounds_file.exists() and rounds_file.stat().st_size > keep["rounds"])
    return Leftovers(keep, lines, Checkpoints(path).newer(last))


def set_aside(path: Path, found: Leftovers) -> None:
    """Moves the lines to a new folder in discarded/; the checkpoint, which no round needs, is removed."""
    for checkpoint in found.checkpoints:
        shutil.rmtree(checkpoint)
    torn = [name for name, num in found.lines.items() if num]
    if not torn:
        return
    folder = new_discarded(path)
    for name in torn:
        cut(path / f"{name}.jsonl", found.keep[name], folder)


def cut(path: Path, size: int, folder: Path) -> None:
    """Moves all that is beyond `size` bytes of the file to a file of its name in `folder`, which has none."""
    with path.open("rb+") as file, new_file(folder / path.name) as copy:
        file.seek(size)
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())
        file.truncate(size)


def cut_torn(run: Path, files: Sequence[Path]) -> None:
    """Moves the torn last lines of the files to a new folder in discarded/."""
    folder = new_discarded(run)
    for path in files:
        cut(path, complete_size(path), folder)


def new_discarded(run: Path) -> Path:
    """The first of discarded/1, 2, 3, ... of the run that is free, as an empty folder."""
    for number in itertools.count(1):
        folder = run / "discarded" / str(number)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers do not end")


def complete_size(path: Path) -> int:
    """Bytes up to and including the last line end; read from the end, for the file may be large."""
    if not path.exists():
        return 0
    with open_file(path) as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65_536)
            file.seek(start)
            if (place := file.read(end - start).rfind(b"\n")) >= 0:
                return start + place + 1
            end = start
    return 0


def _check_empty(path: Path) -> None:
    """InputError if there is anything that a lost line of rounds.jsonl may have committed."""
    files = [path / f"{name}.jsonl" for name in STREAMS]
    full = [file.name for file in files if file.exists() and file.stat().st_size]
    full += [f"checkpoints/{number:04d}" for number in Checkpoints(path).numbers()]
    if full:
        raise InputError(
            f"{path}/rounds.jsonl: holds no complete round, but {full[0]} is there, so its lines were lost; "
            f"{RESTORE}"
        )


def _lines_beyond(path: Path, size: int, last: int | None) -> int:
    """How many lines, whole or torn, the file has beyond `size` bytes, all of the round after `last`."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise InputError(
            f"{path}: has {found} bytes where the run wrote {size}, so it was damaged since; {RESTORE}"
        )
    if found == 0:
        return 0
    num = 0
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            raise InputError(
                f"{path}: no line ends at byte {size}, where rounds.jsonl says that round {last} ended, so "
                f"one of the two is not of this run; {RESTORE}"
            )
        for num, line in enumerate(file, start=1):  # noqa: B007 - counted
            _check_next(path, line, last)
    return num


def _check_next(path: Path, line: bytes, last: int | None) -> None:
    """InputError if the line is of another round than the one after `last`; a torn line is of that one."""
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return
    number = record.get("round") if isinstance(record, dict) else None
    if isinstance(number, int) and number != (0 if last is None else last + 1):
        raise InputError(
            f"{path}: has lines of round {number} beyond those that rounds.jsonl counts, whose last round is "
            f"{last}, so lines of rounds.jsonl were lost; {RESTORE}"
        )
