"""SHA-256 sums of what a run saved, beside it: damage and mixed-up files are found before they are used.

The file is what `sha256sum -c SHA256SUMS` reads. A folder inside that has sums of its own is covered by the
sum of its sums, so that nothing is read twice.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from gpo.files import read_text
from gpo.types import InputError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_MAX_BYTES = 16 * 2**20


def seal(folder: Path) -> None:
    """Writes the sums of every file in the folder, in the place of those that it has."""
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def unseal(folder: Path) -> None:
    """Removes the sums of a folder that is about to be written to."""
    (folder / SUMS).unlink(missing_ok=True)


def check(folder: Path, todo: str) -> bool:
    """Whether the folder has sums, which then hold: every file is there as it was saved.

    InputError names the first file that is not, and ends with `todo`.
    """
    if not (folder / SUMS).exists():
        return False
    for name, digest in _read(folder / SUMS):
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: is missing, but was saved with this folder; {todo}")
        if _digest(path) != digest:
            raise InputError(
                f"{path}: is not what was saved ({SUMS} differs); {todo}, or remove {folder / SUMS} if you "
                "changed the file yourself"
            )
    return True


def has_more(folder: Path) -> bool:
    """Whether something lies in the folder that its sums do not name; False if it has no sums.

    InputError if the sums cannot be read.
    """
    if not (folder / SUMS).exists():
        return False
    named = _named(folder)
    for inside in [path.parent for path in named if path.name == SUMS and path.parent != folder]:
        named |= _named(inside)
    folders = {parent for path in named for parent in path.parents}
    for at, inner, files in os.walk(folder):
        links = {Path(at, name) for name in inner if Path(at, name).is_symlink()}
        if links or not {Path(at, name) for name in inner} <= folders:
            return True
        if not {Path(at, name) for name in files} <= named:
            return True
    return False


def _named(folder: Path) -> set[Path]:
    return {folder / SUMS, *(folder / name for name, _ in _read(folder / SUMS))}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != SUMS:
            yield path
        elif path.is_dir():
            yield from [path / SUMS] if (path / SUMS).is_file() else _files(path)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    lines = read_text(path, str(path), _MAX_BYTES).splitlines()
    if not lines:
        raise InputError(f"{path}: is empty, so it was damaged; restore it")
    for number, line in enumerate(lines, start=1):
        found = _LINE.fullmatch(line)
        if not found or Path(found[2]).is_absolute() or ".." in Path(found[2]).parts:
            raise InputError(f"{path}: line {number}: is not `sum  file`, so it was damaged; restore it")
        yield found[2], found[1]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
