"""SHA-256 sums of what a run saved, beside it: damage and mixed-up files are found before they are used,
and what the run did not write is told from what it did, so that it is never removed.

The file is what `sha256sum -c SHA256SUMS` reads. A folder inside that has sums of its own is covered by the
sum of its sums, so that nothing is read twice.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gpo.files import read_text
from gpo.types import InputError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_MAX_BYTES = 16 * 2**20


def seal(folder: Path, is_own: Callable[[Path], bool] = Path.is_file) -> None:
    """Writes the sums of every file in the folder that is ours, in the place of those that it has."""
    files = [path for path in _files(folder) if is_own(path)]
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
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


def is_ours(folder: Path) -> bool:
    """Whether nothing lies in the folder but what a run saved there, by its sums; False if it has none."""
    if not is_folder(folder) or not (folder / SUMS).is_file():
        return False
    try:
        named = _named(folder)
    except InputError:  # the sums are damaged
        return False
    return names_in(folder) <= {path.relative_to(folder) for path in named} and not any(
        _is_newer(folder, path) and _digest(path) != digest for path, digest in named.items() if digest
    )


def _named(folder: Path) -> dict[Path, str]:
    """All that the sums of the folder name, with its sum; folders and sums have none."""
    sums = {folder / name: digest for name, digest in _read(folder / SUMS)}
    for inside in [path.parent for path in sums if path.name == SUMS and path.parent != folder]:
        sums |= _named(inside)
    folders = {parent for path in sums for parent in path.parents if folder in parent.parents}
    return {**sums, **dict.fromkeys(folders, ""), folder / SUMS: ""}


def _is_newer(folder: Path, path: Path) -> bool:
    """Whether the file was written after the sums; most were not, and are not read for that."""
    return path.is_file() and path.stat().st_mtime_ns > (folder / SUMS).stat().st_mtime_ns


def names_in(folder: Path) -> set[Path]:
    """Whatever lies in the folder, at any depth; links are not followed."""
    return {path.relative_to(folder) for path in folder.rglob("*")}


def is_folder(path: Path) -> bool:
    """Whether it is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


@contextmanager
def new_part(folder: Path, name: str) -> Iterator[Path]:
    """A new folder inside `folder` to write into, that is moved away when it is whole.

    It is removed if that fails. One that a kill left is removed by `drop_torn`.
    """
    part = folder / f".{name}.{secrets.token_hex(8)}.part"
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def drop_torn(folder: Path, name: str, whole: Path) -> None:
    """Removes each new part of this name that a kill left, if all that is in it is in `whole` as well."""
    names = names_in(whole)
    for part in folder.glob(f".{name}.*.part"):
        if part != whole and is_folder(part) and names_in(part) <= names:
            shutil.rmtree(part)


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
