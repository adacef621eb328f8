"""What others wrote, read with bounds: ordinary files only, and JSON that cannot surprise who reads it.

A named pipe would be waited for, a device never ends, brackets nested deep enough break every reader, and of
a key that stands twice one value is lost in silence. Data sets, settings, run folders and server answers all
come through here. What the project itself writes besides appended lines is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from pydantic_core import from_json

from gpo.types import InputError

MAX_DEPTH = 100
"""Levels of brackets in JSON, or of mappings and lists in YAML."""
MAX_DIGITS = 4300
"""Longest integer that Python converts by default."""
MAX_NAME, MAX_PATH = 255, 4095
"""Bytes of a file's name and of a whole path, as Linux and macOS have them."""
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_SPACED_COLON = re.compile(r'"\s+:')
_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")
_HUGE = (b"e000", b"0" * 300)
"""What a number beyond a double, or of many digits, holds when every digit is 0 and no plus is there."""


class JsonError(ValueError):
    """Text is not JSON that can be used; the message is the reason, in one line, without a place."""


class Number(float):
    """A number with a fraction or an exponent, and how it was written: 0.10000000000000000001 too."""

    __slots__ = ("literal",)

    def __new__(cls, literal: str | float) -> Number:
        self = super().__new__(cls, literal)
        self.literal = str(literal)
        return self

    literal: str


def parse_json(text: str | bytes, *, is_data: bool = False) -> Any:
    """What the text says in JSON; JsonError, with the reason, for anything that is not plainly that.

    Refused besides bad syntax: bytes that are not UTF-8, a key twice in one object, more than MAX_DEPTH
    levels, integers above MAX_DIGITS digits, halves of surrogate pairs, and NaN, Infinity or a number too
    large for a double. `is_data` is for data sets: there those last three are read as floats, as other
    programs write them, and a number with a fraction is a Number, which keeps its digits.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        content = None if is_data else _flat(text)
        content = _decoder(text, is_data).decode(text) if content is None else content
    except UnicodeDecodeError as error:
        raise JsonError(f"byte 0x{error.object[error.start]:02x} at {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(_reason(error)) from None
    except RecursionError:
        raise JsonError(f"brackets are nested more than {MAX_DEPTH} deep") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(content)
    if _HALF.search(text):
        _refuse_halves(content)
    return content


def _flat(text: str) -> dict[str, Any] | None:
    """An object that holds no other, as most lines of a run are, read three times faster; None for the rest.

    That reader keeps the last of a key's values and knows huge numbers, so neither may be there.
    """
    if _may_be_huge(text) or _SPACED_COLON.search(text):
        return None
    try:
        content = from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    is_sure = isinstance(content, dict) and text.count('":') == len(content)
    return content if is_sure else None


def _decoder(text: str, is_data: bool) -> json.JSONDecoder:
    if not _may_be_huge(text):
        return _DATA if is_data else _PLAIN
    return _HUGE_DATA if is_data else _HUGE_PLAIN


def _may_be_huge(text: str) -> bool:
    """Whether a number may be beyond a double or beyond MAX_DIGITS; only then is every number looked at."""
    shape = text.encode("utf-8", "surrogatepass").translate(_SHAPE, b"+")
    return any(huge in shape for huge in _HUGE)


def check_depth(content: Any, most: int = MAX_DEPTH) -> None:
    """JsonError if lists and mappings are nested more than `most` deep."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(most):
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise JsonError(f"brackets are nested more than {most} deep")


def open_file(path: Path | str, name: str = "") -> IO[bytes]:
    """An ordinary file, open for reading; `name` is how it is called in messages, its path by default.

    InputError, without waiting, for one that is not there, not permitted, or a folder, pipe or device.
    """
    name = name or str(path)
    check_path(path, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be opened ({error.strerror}); give a readable file") from None
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        what = _KINDS.get(kind, "not an ordinary file")
        raise InputError(f"{name}: is {what}; give an ordinary file, which can be read again on --resume")
    return os.fdopen(descriptor, "rb")


def read_text(path: Path | str, name: str, max_bytes: int) -> str:
    """The whole text of a file; InputError as `open_file`, and if it is longer or not UTF-8."""
    try:
        with open_file(path, name) as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); give a readable file") from None
    if len(content) > max_bytes:
        raise InputError(f"{name}: is larger than {max_bytes:,} bytes; give a smaller file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: is not UTF-8 (byte 0x{content[error.start]:02x} at {error.start + 1}); save it as UTF-8"
        ) from None


def check_path(path: Path | str, name: str) -> None:
    """InputError for a path that no file system takes: empty, with a NUL, or with a name that is too long."""
    text = str(path)
    if not text.strip():
        raise InputError(f"{name or 'path'}: is empty; name a file or folder")
    if "\0" in text:
        raise InputError(f"{text!r}: holds a NUL character; name a file or folder")
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError:
        raise InputError(f"{text!r}: holds half of a surrogate pair; name a file or folder") from None
    if len(raw) > MAX_PATH or max(map(len, raw.split(b"/"))) > MAX_NAME:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise InputError(f"{shown}: is too long for a path ({len(raw):,} bytes); shorten it")


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file at `path` to write to. FileExistsError if anything is there, a link too: none is followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        yield file


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file of a name that nobody had, which takes the place of `path` when it is whole and on the disk.

    Where writing it fails, it is removed, and what was at `path` stays. A link at `path` is replaced, and
    what it points at is left alone.
    """
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        with new_file(part) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes the file whole or not at all, as `replaced` does."""
    with replaced(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _reason(error: json.JSONDecodeError) -> str:
    """What is wrong, with the usual causes told apart."""
    place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno} column {error.colno}"
    rest, before = error.doc[error.pos : error.pos + 1], error.doc[: error.pos].rstrip()[-1:]
    if rest == "'":
        return f"single quotes at {place}, where JSON has double ones; write it with json.dumps"
    if error.msg.startswith("Illegal trailing comma") or (before == "," and rest in "}]" and rest):
        return f"a comma before the closing bracket at {place}"
    if error.msg == "Extra data":
        return f"more text after the value, at {place}"
    return f"{error.msg[:1].lower()}{error.msg[1:].removesuffix(' at')} at {place}"


def _int(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise JsonError(f"an integer of {len(literal):,} digits; write it as text")
    return int(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise JsonError(f"the number {literal[:40]} is too large for a float")
    return value


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON; write null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _refuse_halves(content: Any) -> None:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ord(error.object[error.start])
        raise JsonError(f"\\u{half:04x} is half of a surrogate pair, so it is not a character") from None


_PLAIN = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_DATA = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number)
_HUGE_PLAIN = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_int, parse_float=_float
)
_HUGE_DATA = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int, parse_float=Number)
