"""JSON messages over a socket: 8 bytes of length, then UTF-8 in which surrogates may stand alone.

A model may write any of them, and JSON's own escapes would join two that happen to make a pair.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct("!Q")
MAX_REPLY_BYTES = 2**26
"""No reply is longer: what announces more was not written by a worker."""

OUT_OF_MEMORY = {"failed": "memory"}
"""What a worker replies, as its last words, when an answer took more memory than it may have."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One frame; arrays and mappings of other libraries become lists and objects. TypeError for the rest."""
    body = json.dumps(message, default=_plain, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket, most: int | None = None) -> dict[str, Any] | None:
    """The next message, of at most `most` bytes; None if the other side is gone. ValueError for all else."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    size = _LENGTH.unpack(head)[0]
    if most is not None and size > most:
        raise ValueError(f"a message of {size} bytes")
    body = _exactly(connection, size)
    if body is None:
        return None
    try:
        message = json.loads(body.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("a message of thousands of brackets") from None
    if not isinstance(message, dict):
        raise ValueError(f"a message that is a {type(message).__name__}")
    return message


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            part = connection.recv(min(size - len(data), 1 << 20))
        except ConnectionResetError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
