"""The keys and passwords of the environment, and text in which they are masked.

A server, a proxy or an exception may repeat the header that it was sent, whole or in part, as it stands or
encoded. So pieces of a key are masked too, and text that holds one in an encoding is not shown at all.
"""

from __future__ import annotations

import base64
import html
import os
import re
import string
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus, urlsplit
from urllib.request import getproxies

KEY = "GPO_API_KEY"
"""The only place a server's key is taken from; it goes into a header and nowhere else."""
VARIABLES = (KEY, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")
MASK, WITHHELD = "[key]", "(not shown: it repeats a key)"
PIECE = 8
"""Consecutive characters of a key that are masked; a shorter key is masked only as a separate word."""
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_BACKSLASHED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)


class Secrets:
    """Strings that must not be shown; `mask` hides them, `are_in` says whether one occurs whole."""

    def __init__(self, values: tuple[str, ...]) -> None:
        self._whole = tuple(value for value in values if len(value) >= PIECE)
        words = "|".join(re.escape(value) for value in values if 0 < len(value) < PIECE)
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None
        plain = {piece for value in self._whole for piece in _pieces(value, PIECE)}
        coded = [form for value in self._whole for form in _coded(value)]
        self._pieces = [(PIECE, plain), *coded]

    def __repr__(self) -> str:
        return f"Secrets({len(self._whole)} hidden)"

    def mask(self, text: str) -> str:
        """The text with every piece of a secret replaced; if it holds one encoded, a note instead."""
        if self._words:
            text = self._words.sub(MASK, text)
        if not self._whole:
            return text
        text = self._without_pieces(text)
        if any(self._marks(view) for view in _views(text)):
            return WITHHELD
        return text

    def are_in(self, text: str) -> bool:
        """Whether a secret of 12 characters or more that is not a word is in the text, escaped or not."""
        long = [value for value in self._whole if len(value) >= 3 * PIECE // 2]
        return bool(long) and any(value in view for view in (text, *_views(text)) for value in long)

    def _without_pieces(self, text: str) -> str:
        kept, end = [], 0
        for start, stop in self._marks(text):
            kept += [text[end:start], MASK]
            end = stop
        return "".join([*kept, text[end:]])

    def _marks(self, text: str) -> list[tuple[int, int]]:
        """The parts of the text that consist of pieces, in order."""
        lower = text.translate(_LOWER)
        marks: list[tuple[int, int]] = []
        spans = (
            (i, i + n) for n, known in self._pieces for i in range(len(lower)) if lower[i : i + n] in known
        )
        for start, stop in sorted(spans):
            if marks and start <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(stop, marks[-1][1]))
            else:
                marks.append((start, stop))
        return marks


def secrets(*, short: bool = False) -> Secrets:
    """Those of the environment now: keys by VARIABLES, and the passwords of its proxies.

    `short` ones, below PIECE characters, are often no secrets ("EMPTY"): they are masked in what servers say,
    and not in every text.
    """
    values = [os.environ.get(name, "").strip() for name in VARIABLES]
    for proxy in getproxies().values():
        values += credentials(proxy)
    return _made(tuple(dict.fromkeys(value for value in values if len(value) >= (1 if short else PIECE))))


@lru_cache(maxsize=8)
def _made(values: tuple[str, ...]) -> Secrets:
    return Secrets(values)


def credentials(url: str) -> list[str]:
    """What stands before the @ of an address, and its password; as written and decoded."""
    try:
        place = urlsplit(url if "://" in url else f"//{url}").netloc
    except ValueError:
        place = url
    written = place.rpartition("@")[0]
    password = written.partition(":")[2]
    forms = [form for one in (written, password) for form in (one, unquote(one))]
    return [form for form in forms if form]


def _pieces(text: str, length: int) -> set[str]:
    lower = text.translate(_LOWER)
    return {lower[i : i + length] for i in range(len(lower) - length + 1)}


def _coded(value: str) -> Iterator[tuple[int, set[str]]]:
    """Pieces of the value's base64, wherever in a longer text it began, of its hexadecimal digits, of %41."""
    raw = value.encode("utf-8", "surrogateescape")
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw).decode()[(0, 2, 3)[shift] :].rstrip("=")[:-1]
        for form in (inner, inner.translate(str.maketrans("+/", "-_"))):
            yield PIECE * 4 // 3, _pieces(form, PIECE * 4 // 3)
    yield PIECE * 2, _pieces(raw.hex(), PIECE * 2)
    yield PIECE, _pieces(quote(value, safe="", errors="surrogateescape"), PIECE)


def _views(text: str) -> list[str]:
    """What the text says once its escapes are undone: per cent, HTML, backslashes, and all of them twice."""
    single = (unquote, unquote_plus, html.unescape, _unescaped)
    found = [undo(text) for undo in single]
    twice = text
    for undo in (*single, *single):
        twice = undo(twice)
    return [view for view in dict.fromkeys([*found, twice]) if view != text]


def _unescaped(text: str) -> str:
    return _BACKSLASHED.sub(lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else m[3], text)
