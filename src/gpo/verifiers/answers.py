r"""Where the final answer stands in a completion; the built-in verifiers all read it through here.

Everything takes time linear in the text, because a model may write a megabyte of braces. A marker,
in order of trust: the last \boxed{} or <answer></answer>, the last ####, the last "answer is" or
"Answer:". Only the last one of its kind counts, so an answer that was taken back is not an answer.
"""

from __future__ import annotations

import re

from gpo.marks import visible as visible

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}(?:\{|(-?[0-9]+))")  # "\boxed 2" is legal too
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is text
_PHRASE = re.compile(r"\banswer\b[\s*_]{0,4}(?:is\b|[:=\uff1a])", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.[*_`\"')]{0,4}(?:\s|$)|,\s{1,3}(?:and\s)?not\b")
_DENIAL = re.compile(
    r"(?:\b(?:not|nor|neither|never|cannot|except)\b|n['\u2019]t\b)(?:\W{1,4}\w{1,12}){0,2}\W{0,6}$",
    re.IGNORECASE,
)
_DENIAL_LENGTH = 60
"""Characters, more than a denial and what may follow it can have."""
_MARKUP = " \t\r\n*_`"


def last_boxed(text: str) -> str | None:
    r"""The content of the last \boxed{} or \fbox{}; None without one, '' if it is never closed."""
    box = last_match(_BOX, text)
    if box is None or box.group(1):
        return box and box.group(1)
    depth = 1
    for brace in _BRACE.finditer(text, box.end()):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[box.end() : brace.start()].strip()
    return ""


def marked(text: str) -> str | None:
    """What stands in, or from there on after, the most trusted marker; None if there is none."""
    boxed, tagged = last_boxed(text), _last_tagged(text)
    if tagged is not None and (boxed is None or text.rfind("<answer>") > text.rfind("\\boxed")):
        return tagged
    if boxed is not None:
        return boxed
    if "####" in text:
        return text.rpartition("####")[2].strip()
    phrase = last_match(_PHRASE, text)
    if phrase is None:
        return None
    rest = text[phrase.end() :].rstrip()
    return rest.lstrip(_MARKUP + ":\uff1a") or rest.lstrip(" :")  # an answer may be nothing but markup


def is_denied(before: str) -> bool:
    """Whether what stands before an answer takes it back: "not", "isn't the", "cannot be"."""
    return _DENIAL.search(before[-_DENIAL_LENGTH:]) is not None


def first_line(text: str) -> str:
    """The first line that is not blank, without the markup around it; '' if all are."""
    return next((line.strip(_MARKUP) for line in text.splitlines() if line.strip(_MARKUP)), "")


def last_line(text: str) -> str:
    """The last line that is not blank, without the markup around it; '' if all are."""
    lines = text.rstrip(_MARKUP).splitlines()
    return lines[-1].strip(_MARKUP) if lines else ""


def readings(text: str) -> list[str]:
    """The ways to delimit the final answer, without repeats: all that is marked, its line, its sentence.

    Without a marker it is the last line. [] if there is nothing to read.
    """
    answer = marked(text)
    if answer is None:
        answer = last_line(text)
    line = first_line(answer)
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0].rstrip(". ").strip(_MARKUP)
    return [reading for reading in dict.fromkeys((answer, line, sentence)) if reading]


def gold(answer: str) -> str:
    r"""A gold answer out of its worked solution: what follows the last ####, else is in the last \boxed{}."""
    if "####" in answer:
        return answer.rpartition("####")[2].strip()
    boxed = last_boxed(answer)
    return (answer if boxed is None else boxed).strip()


def _last_tagged(text: str) -> str | None:
    """The content of the last <answer></answer>; None without one, '' if it is never closed."""
    _, tag, rest = text.rpartition("<answer>")
    if not tag:
        return None
    content, closed, _ = rest.partition("</answer>")
    return content.strip() if closed else ""


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of `pattern` in `text`, found from the front and without keeping the others."""
    match = None
    for match in pattern.finditer(text):  # noqa: B007 - the last one is what is asked for
        pass
    return match
