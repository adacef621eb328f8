"""What a reader sees of a completion: all of it but the parts that thinking and channel marks set apart.

The table is in words and forms, not models: `<think>`, `<seed:think>`, `[THINK]`, `<|begin_of_thought|>`,
`<|START_THINKING|>` and `<|think:start|>` are one rule. Beside it stand Harmony's channels, Gemma's
`<|channel>`, Apertus' `<|inner_prefix|>` and the phrases with which Granite and Apriel begin.
`Pairs` of a user's own come on top. The text is the raw one, in which special tokens are spelled: without
them no mark would be left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Pairs = Sequence[Sequence[str]]
"""Marks of a user's own: what opens thinking and what closes it, each a text."""
Span = tuple[int, int]
"""Start and end of a part of a text, in characters."""


class Mark(NamedTuple):
    """A mark in a text. Of one `kind` are the marks that open and close the same sort of section."""

    start: int
    end: int
    kind: str
    action: Literal["hide", "show", "answer", "drop"]
    """hide: thinking begins. show: it ends. answer: the answer begins, whatever was open. drop: only
    the mark itself is nothing to read."""


_THOUGHTS = frozenset(("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad"))
_ANSWERS = frozenset(("response", "solution", "content"))
_ENDS = frozenset(("end", "stop", "close"))
_SHAPE = frozenset(("begin", "start", "open", "of", "final")) | _ENDS
_MARK = re.compile(
    r"""
    < (?: \|(?:start\|>[^<]{0,200}<\|)?(?:channel\|>(?P<channel>[^<]{0,200})<\|)?
            (?:constrain\|>[^<]{0,200}<\|)?(?P<message>message)\|>
        | \|(?P<over>end|return|call)\|>
        | (?P<gemma>\|channel>(?:thought\b)?) | (?P<gemma_end>channel\|>)
        | \|im_start\|>(?P<s1>think|answer)\b | \|inner_(?P<apertus>prefix|suffix)\|>
        | \|?(?P<slash>/)?(?P<name>[A-Za-z][A-Za-z0-9_:|]{2,40}?)\|?>
      )
    | \[ (?P<bracket> /?THINK(?:ING)? | (?:BEGIN|END)[ ]FINAL[ ]RESPONSE ) \]
    | \u25c1 (?P<triangle> /?think(?:ing)? ) \u25b7
    """,
    re.VERBOSE,
)
_BEGINNING = re.compile(r"\s*(?P<first>Here(?: is|'s) my thought process:|Here are my reasoning steps:)")
_RESPONSE = re.compile(r"Here(?: is|'s) my response:")
_HINTS = ("<", "\u25c1", "THINK", "FINAL RESPONSE", "Here")
"""Most texts hold none of these, and so no mark: looking for them costs next to nothing."""
_QUOTES = {"`": "`", '"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}


def visible(text: str, *, before: str = "", pairs: Pairs = (), question: str = "") -> str:
    """What the reader sees of `text`; '' if its thinking never ends. Parts that are apart are lines apart.

    `before` is the end of the prompt, which may have opened the thinking already. A mark in quotes, and one
    in a copy of the `question`, is talked about and marks nothing.
    """
    if not (before or has_any(text, pairs)):
        return text
    spans = shown(before + text, pairs, question)
    return joined(text[max(0, start - len(before)) : max(0, end - len(before))] for start, end in spans)


def has_any(text: str, pairs: Pairs = ()) -> bool:
    """Whether a text may hold a mark; False is sure, and costs next to nothing."""
    return any(hint in text for hint in _HINTS) or any(mark in text for pair in pairs for mark in pair)


def joined(parts: Iterator[str]) -> str:
    """The parts that are not blank, each beginning a line, so that no two of them make one number."""
    return "\n".join(part for part in parts if part.strip())


def shown(text: str, pairs: Pairs = (), question: str = "") -> list[Span]:
    """The parts of a raw text that a reader sees.

    A mark that ends thinking which nothing opened was opened out of sight: all before it is thinking.
    """
    parts: list[Span] = []
    start, hidden_by = 0, ""
    for mark in marks(text, pairs, question):
        if mark.action == "answer" or (mark.action == "show" and not hidden_by):
            parts, start, hidden_by = [], mark.end, ""
        elif mark.action == "show" and hidden_by == mark.kind:
            start, hidden_by = mark.end, ""
        elif mark.action in ("hide", "drop") and not hidden_by:
            parts.append((start, mark.start))
            start = mark.end
            hidden_by = mark.kind if mark.action == "hide" else ""
    return parts if hidden_by else [*parts, (start, len(text))]


def end_of_thinking(text: str, pairs: Pairs = ()) -> int | None:
    """Where the first thinking of a raw text ends, its mark included; None if none ends or it is empty."""
    found = list(marks(text, pairs))
    hidden_by = ""
    for mark in found:
        ends = mark.action == "answer" or (mark.action == "show" and hidden_by in ("", mark.kind))
        if ends:
            return None if is_only_marks(text[: mark.end], pairs) else mark.end
        if mark.action == "hide":
            hidden_by = hidden_by or mark.kind
    return None


def end_of_any(text: str, pairs: Pairs = ()) -> bool:
    """Whether any mark of a text ends thinking."""
    return any(mark.action in ("show", "answer") for mark in marks(text, pairs))


def ends_unopened(text: str, pairs: Pairs = ()) -> bool:
    """Whether the first mark of a text that opens or ends thinking ends one that is not open."""
    first = next((mark for mark in marks(text, pairs) if mark.action in ("hide", "show")), None)
    return first is not None and first.action == "show" and first.kind != "channel"


def is_only_marks(text: str, pairs: Pairs = ()) -> bool:
    """Whether a text is one or more whole marks, and white space."""
    end = 0
    found = list(marks(text, pairs))
    for mark in found:
        if text[end : mark.start].strip():
            return False
        end = mark.end
    return bool(found) and not text[end:].strip()


def opening(text: str, pairs: Pairs = ()) -> str:
    """The mark that opens thinking at the end of a text, with the white space after it; '' without one."""
    last = next((mark for mark in reversed(list(marks(text, pairs)))), None)
    is_open = last is not None and last.action == "hide" and not text[last.end :].strip()
    return text[last.start :] if last and is_open else ""


def marks(text: str, pairs: Pairs = (), question: str = "") -> Iterator[Mark]:
    """Every mark of a raw text in order, without those that are only talked about."""
    echoes = _copies(question, text)
    found = sorted([*_own(text, pairs), *_built_in(text)])
    end = 0
    for mark in found:
        is_echoed = any(start <= mark.start < stop for start, stop in echoes)
        if mark.start >= end and not is_echoed and not _is_quoted(text, mark):
            yield mark
            end = mark.end


def _own(text: str, pairs: Pairs) -> Iterator[Mark]:
    for opened, closed in pairs:
        for match in re.finditer(f"(?P<open>{re.escape(opened)})|{re.escape(closed)}", text):
            yield Mark(*match.span(), f"own {opened}", "hide" if match["open"] else "show")


def _built_in(text: str) -> Iterator[Mark]:
    if beginning := _BEGINNING.match(text):
        yield Mark(*beginning.span("first"), "phrase", "hide")
        yield from (Mark(*match.span(), "phrase", "show") for match in _RESPONSE.finditer(text))
    has_messages = False
    for match in _MARK.finditer(text):
        has_messages = has_messages or match["message"] is not None
        if (mark := _mark(match)) and (has_messages or match["over"] is None):
            yield mark


def _mark(match: re.Match[str]) -> Mark | None:
    """What is marked, if anything is: most tags mark nothing."""
    span = match.span()
    if match["message"]:
        channel = (match["channel"] or "final").split()
        return Mark(*span, "channel", "show" if channel[:1] in ([], ["final"]) else "hide")
    if match["over"]:
        return Mark(*span, "channel", "hide")
    if match["gemma"] or match["gemma_end"]:
        return Mark(*span, "gemma", "hide" if match["gemma"] else "show")
    if inner := match["s1"] or match["apertus"]:
        return Mark(*span, "inner", "hide" if inner in ("think", "prefix") else "show")
    written = match["name"] or match["bracket"] or match["triangle"]
    return _named(
        match.group(), written, is_closed=bool(match["slash"]) or written.startswith("/"), span=span
    )


def _named(mark: str, written: str, *, is_closed: bool, span: Span) -> Mark | None:
    """A mark that says in words what it marks: one of _THOUGHTS or _ANSWERS, and where it stands."""
    words = re.findall(r"[a-z0-9]+", written.lower())
    is_end = is_closed or bool(_ENDS & set(words))
    names = [word for word in words if word not in _SHAPE]
    kind = f"{mark[:2].strip('/')} {' '.join(names)}" if mark[1:2] == "|" else f"{mark[0]} {' '.join(names)}"
    if _THOUGHTS & set(names):
        return Mark(*span, kind, "show" if is_end else "hide")
    if len(names) == 1 and names[0] in _ANSWERS:
        if mark.startswith(("<|", "[")):
            return Mark(*span, "answer", "hide" if is_end else "answer")
        return Mark(*span, "answer", "drop") if names == ["response"] else None
    return None


def _is_quoted(text: str, mark: Mark) -> bool:
    quote = _QUOTES.get(text[mark.start - 1 : mark.start])
    return quote is not None and text[mark.end : mark.end + 1] == quote


def _copies(question: str, text: str) -> list[Span]:
    question = question.strip()
    if not _MARK.search(question):
        return []
    return [match.span() for match in re.finditer(re.escape(question), text)]
