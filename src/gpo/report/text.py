"""Data inside HTML: JSON that can end no script and start no tag, and the hash that admits a script."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from gpo.visible import IGNORABLE

DIGITS = 4
_UNSAFE = re.compile(rf"[<>&\x7f-\x9f\u2028\u2029\ud800-\udfff]|{IGNORABLE.pattern}")


def encoded(content: Any) -> str:
    r"""The content as JSON with \uXXXX for `<`, `>`, `&`, lone surrogates and characters that are not seen.

    So no text in it can end the script element that holds it, whatever a parser makes of the rest, and who
    reads the file as text sees what is there.
    Numbers are rounded to four digits; nan and infinity, which JSON does not know, are null.
    """
    text = json.dumps(_rounded(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    """In UTF-16 where it is beyond the first plane, as JSON has it."""
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return round(content, DIGITS) if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return content


def csp_hash(text: str) -> str:
    """The source expression of a content security policy that admits exactly this script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
