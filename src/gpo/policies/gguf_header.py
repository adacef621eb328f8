"""What the header of a GGUF file says: fields and tensors, read with bounds and without its weights.

The format is llama.cpp's (docs/gguf.md of ggml); versions 2 and 3, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"GGUF"
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_ALIGNMENT = 32

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's number of values, the number of its ggml type, and where it begins after the header."""

    num: int
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """Fields that are not lists, the tensors by name, and where their data begin in the file."""

    fields: dict[str, Value]
    tensors: dict[str, Tensor]
    start: int

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    def own(self, key: str) -> Value | None:
        """A field of the architecture, such as `rope.freq_base` for `llama.rope.freq_base`."""
        return self.fields.get(f"{self.architecture}.{key}")


def read_header(path: Path) -> Header:
    """The header of a file that begins with the magic bytes; ValueError says why it cannot be read."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _header(_Reader(data))
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"it ends or breaks off in its header ({error})") from None


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.place = data, len(MAGIC)

    def number(self, form: str) -> int | float:
        (value,) = struct.unpack_from(f"<{form}", self._data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return value  # type: ignore[no-any-return]

    def whole(self, form: str) -> int:
        return int(self.number(form))

    def text(self) -> str:
        length = self.whole("Q")
        end = self.place + length
        if end > len(self._data):
            raise struct.error("a text that is longer than the file")
        text = self._data[self.place : end].decode()
        self.place = end
        return text

    def skip(self, kind: int, num: int) -> None:
        """Passes over `num` values of a list."""
        if kind in _FORMATS:
            self.place += num * struct.calcsize(f"<{_FORMATS[kind]}")
        elif kind == _STRING:
            for _ in range(num):
                length = self.whole("Q")
                self.place += length
        else:
            raise struct.error(f"a list of type {kind}")

    def value(self, kind: int) -> Value | None:
        """A value of a field; None for a list."""
        if kind == _ARRAY:
            self.skip(self.whole("I"), self.whole("Q"))
            return None
        if kind != _STRING and kind not in _FORMATS:
            raise struct.error(f"a value of type {kind}")
        return self.text() if kind == _STRING else self.number(_FORMATS[kind])


def _header(reader: _Reader) -> Header:
    version = reader.whole("I")
    if version not in _VERSIONS:
        raise ValueError(f"its version is {version}, and versions 2 and 3 are read")
    num_tensors, num_fields = reader.whole("Q"), reader.whole("Q")
    fields: dict[str, Value] = {}
    for _ in range(num_fields):
        key = reader.text()
        if (value := reader.value(reader.whole("I"))) is not None:
            fields[key] = value
    tensors = dict(_tensor(reader) for _ in range(num_tensors))
    alignment = max(1, int(fields.get("general.alignment", _ALIGNMENT)))
    return Header(fields, tensors, -(-reader.place // alignment) * alignment)


def _tensor(reader: _Reader) -> tuple[str, Tensor]:
    name, num = reader.text(), 1
    for _ in range(reader.whole("I")):
        num *= reader.whole("Q")
    return name, Tensor(num, reader.whole("I"), reader.whole("Q"))
