"""Splitters: where the reasoning steps of a completion begin and end, as token offsets.

A splitter never edits tokens, it only names offsets, so the concatenated steps are the completion exactly.
Rules that read text (newline, sentence) find character positions in the decoded completion; a position inside
a token becomes the boundary after that token. A character spelled by several tokens belongs to the token that
completes it.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from gpo import marks
from gpo.marks import Pairs
from gpo.named import offsets_by, user_function
from gpo.protocols import Splitter, Tokenizer
from gpo.sentences import line_ends, sentence_ends
from gpo.types import InputError

NAMES = ("auto", "newline", "as-released", "sentence", "fixed")
"""Names that `by_name` accepts."""

MIN_TOKENS = 30
MAX_STEPS = 30
"""The authors' released numbers; the paper says only that short steps are merged."""

NUM_TOKENS = 64
"""Default length of a `fixed` step: about two minimum-length steps of the other rules."""

_SHORTEST, _SEVERAL = 5, 8
"""The steps of `auto`: tokens that one has at least, and how many a short text should have."""
_TRIED = "First 3 + 4 = 7. Then 7 - 2 = 5.\n\nThe answer is 5.\n"
_REPLACEMENT = "\ufffd"
_MAX_PENDING = 32
"""Tokens that may wait for the text they complete; a character takes 4, a clean-up of spaces a few."""


def auto(min_tokens: int | None = None, max_steps: int = MAX_STEPS, thinking_marks: Pairs = ()) -> Splitter:
    """Cut where `sentence` does, into steps whose length suits the text's.

    A step has at least an eighth of the text's tokens, between 5 and 30, so that a short answer has several
    steps. In a long text it has at least a `max_steps`-th, so that the steps reach its end. With `min_tokens`
    this is `sentence`. Thinking and errors as in `newline`.
    """
    return _at_positions(sentence_ends, min_tokens, max_steps, thinking_marks)


def newline(min_tokens: int = MIN_TOKENS, max_steps: int = MAX_STEPS, thinking_marks: Pairs = ()) -> Splitter:
    """The paper's rule: cut after each run of newlines; blank lines in a run may hold spaces.

    A step shorter than `min_tokens` is merged into the next one and a short last step into the one before it;
    after `max_steps` - 1 steps the remaining text becomes the last one. Short steps, as in the demo, need
    `min_tokens` = 1. The answer after the thinking is one more step (`think_aware`). Text without a newline
    is one step. InputError if a setting is below 1; the splitter raises ValueError for empty ids.
    """
    return _at_positions(line_ends, min_tokens, max_steps, thinking_marks)


def sentence(
    min_tokens: int = MIN_TOKENS, max_steps: int = MAX_STEPS, thinking_marks: Pairs = ()
) -> Splitter:
    r"""Cut after sentences (. ? ! before white space, 。！？) and runs of newlines, never inside LaTeX.

    LaTeX is $..$, $$..$$, \(..\), \[..\] and \begin{..}..\end{..}; an unpaired delimiter, as in a price,
    protects nothing. Decimals, abbreviations, initials, factorials and list numbers do not end a sentence.
    Merging, cap, thinking and errors as in `newline`.
    """
    return _at_positions(sentence_ends, min_tokens, max_steps, thinking_marks)


def fixed(num_tokens: int = NUM_TOKENS, max_steps: int = MAX_STEPS, thinking_marks: Pairs = ()) -> Splitter:
    """Cut at every multiple of `num_tokens`, or after a character that several tokens spell there.

    The last step is the remainder, of any length, also after the cap. Thinking and errors as in `newline`.
    """
    _at_least_one(num_tokens=num_tokens, max_steps=max_steps)

    def split(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
        texts = token_texts(ids, tokenizer)
        whole = [offset for offset, text in enumerate(texts, 1) if text]
        nearest = (bisect_left(whole, cut) for cut in range(num_tokens, len(ids), num_tokens))
        return _bounds(sorted({whole[i] for i in nearest if i < len(whole)}), len(ids), max_steps)

    return think_aware(split, thinking_marks)


def as_released(min_tokens: int = MIN_TOKENS, max_steps: int = MAX_STEPS) -> Splitter:
    r"""The rule of the authors' code (stage `gppo` of their LLaMA-Factory fork), on token ids alone.

    A step ends with a token that is the first id of "\n", "\n\n", ".\n" or ".\n\n", if at least `min_tokens`
    tokens precede it in the step. The last such token always ends a step, and what follows it is a step of
    any length. After `max_steps` - 1 steps the rest is one step. So it misses merged tokens such as ")\n\n",
    cuts at every full stop where ".\n" is two tokens (at every lone "▁" with SentencePiece), and ignores
    thinking. Errors as in `newline`.
    """
    _at_least_one(min_tokens=min_tokens, max_steps=max_steps)

    def split(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
        encodings = map(tokenizer.encode, ("\n", "\n\n", ".\n", ".\n\n"))
        enders = {encoding[0] for encoding in encodings if encoding}
        found = [i for i, token in enumerate(ids) if token in enders]
        cuts = [0]
        for i in found:
            if i - cuts[-1] >= min_tokens or i == found[-1]:
                cuts.append(i + 1)
        return _bounds(cuts, len(ids), max_steps)

    return split


def from_text(
    function: Callable[[str], Iterable[int]],
    *,
    min_tokens: int = 1,
    max_steps: int = MAX_STEPS,
    thinking_marks: Pairs = (),
    name: str = "",
) -> Splitter:
    """Cut where your `function(text)` says: increasing character offsets at which steps begin.

    0 and the length of the text may be among them. An offset inside a token becomes the boundary after that
    token. It is given the decoded completion, or its thinking alone where there is thinking. Merging, cap,
    thinking and errors as in `newline`. The splitter raises InputError, which names the function (by `name`,
    if given), where it raises or returns anything else.
    """
    called = name or getattr(function, "__qualname__", type(function).__qualname__)

    return _at_positions(offsets_by(function, called), min_tokens, max_steps, thinking_marks)


def think_aware(splitter: Splitter, thinking_marks: Pairs = ()) -> Splitter:
    """Split the thinking, including its end mark, by `splitter`; the answer is one more step.

    Marks are those of gpo.marks and `thinking_marks`, special tokens or not. No step crosses the first end of
    thinking, however short. No step holds only marks: they join the step after them, or before them at the
    end. The answer does not count towards the rule's cap. Without thinking this is `splitter` itself.
    """

    def split(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
        text = tokenizer.decode(list(ids))
        if not marks.has_any(text, thinking_marks) or not any(marks.marks(text, thinking_marks)):
            return splitter(ids, tokenizer)
        texts = token_texts(ids, tokenizer)
        end = marks.end_of_thinking("".join(texts), thinking_marks)
        answer = len(ids) if end is None else _offsets([end], texts)[0]
        bounds = splitter(ids[:answer], tokenizer)
        bounds = _with_text(bounds, texts, thinking_marks)
        return bounds if answer == len(ids) else [*bounds, len(ids)]

    return split


def _with_text(bounds: list[int], texts: Sequence[str], thinking_marks: Pairs) -> list[int]:
    """The bounds without those that set apart a step of marks alone."""
    kept, last = [0], bounds[-1]
    for bound in bounds[1:-1]:
        if not marks.is_only_marks("".join(texts[kept[-1] : bound]), thinking_marks):
            kept.append(bound)
    if len(kept) > 1 and marks.is_only_marks("".join(texts[kept[-1] : last]), thinking_marks):
        kept.pop()
    return [*kept, last]


def by_name(
    name: str,
    *,
    min_tokens: int | None = None,
    max_steps: int = MAX_STEPS,
    num_tokens: int = NUM_TOKENS,
    thinking_marks: Pairs = (),
) -> Splitter:
    """The splitter called `name`, one of `NAMES`, with the settings that it takes.

    With `min_tokens` None its own default holds.

    Or `from_text` of the function that 'module:function' or 'file.py:function' names, whose cuts stand,
    however short the steps are. `thinking_marks` adds pairs to those of gpo.marks.

    InputError for an unknown name (it names the nearest ones), a function that cannot be imported or fails on
    a line of text, or a setting below 1.
    """
    least = MIN_TOKENS if min_tokens is None else min_tokens
    makers: dict[str, Callable[[], Splitter]] = {
        "auto": lambda: auto(min_tokens, max_steps, thinking_marks),
        "newline": lambda: newline(least, max_steps, thinking_marks),
        "as-released": lambda: as_released(least, max_steps),
        "sentence": lambda: sentence(least, max_steps, thinking_marks),
        "fixed": lambda: fixed(num_tokens, max_steps, thinking_marks),
    }
    if name in makers:
        return makers[name]()
    if all(name.partition(":")):
        return _own(name, max_steps, thinking_marks)
    nearest = difflib.get_close_matches(name, NAMES, n=2, cutoff=0.4) or NAMES
    raise InputError(
        f"splitter: {name!r} is unknown: did you mean {' or '.join(map(repr, nearest))}? Your own is "
        "module:function or file.py:function"
    )


def _own(name: str, max_steps: int, thinking_marks: Pairs) -> Splitter:
    """The splitter of a function that is named, after trying it on a text."""
    function = user_function(name, "splitter")
    offsets_by(function, name)(_TRIED)
    return from_text(function, max_steps=max_steps, thinking_marks=thinking_marks, name=name)


def token_texts(ids: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """[T] the text that each token adds; joined, they are `tokenizer.decode(ids)`.

    A token that ends inside a character adds "" and the one that completes it adds the character. Takes time
    proportional to T. Each token is decoded after the tokens that last added text, because its text may
    depend on them (SentencePiece drops the first space), and is accepted if the whole text continues that
    way. If not (a decoder that cleans up spaces, unfinished bytes), text waits for the token that fits again,
    or after a while for the decoded prefix. Bytes that form no character appear as U+FFFD. Empty ids give [].
    """
    ids = list(ids)
    whole = tokenizer.decode(ids) if ids else ""
    texts: list[str] = []
    context, start, done = 0, 0, 0
    for end in range(1, len(ids) + 1):
        before = tokenizer.decode(ids[context:start]) if context < start else ""
        after = tokenizer.decode(ids[context:end])
        added = after[len(before) :]
        agrees = whole.startswith(added, done)
        if agrees and added.endswith(_REPLACEMENT) and end < len(ids):
            # A next token that changes nothing still spells the same unfinished character.
            agrees = tokenizer.decode(ids[context : end + 1]) != after
        if not agrees and end - start >= _MAX_PENDING:
            agrees, added = True, _common_prefix(tokenizer.decode(ids[:end])[done:], whole[done:])
        texts.append(added if agrees else "")
        if agrees and (added or end - start >= _MAX_PENDING):
            context, start, done = start, end, done + len(added)
    if texts:
        texts[-1] += whole[done:]
    return texts


def _at_positions(
    find: Callable[[str], Iterable[int]], min_tokens: int | None, max_steps: int, thinking_marks: Pairs
) -> Splitter:
    """The splitter that cuts where `find` says in the text, and merges and caps the steps."""
    _at_least_one(min_tokens=1 if min_tokens is None else min_tokens, max_steps=max_steps)

    def split(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
        texts = token_texts(ids, tokenizer)
        least = suiting(len(ids), max_steps) if min_tokens is None else min_tokens
        cuts = [0]
        for cut in _offsets(find("".join(texts)), texts):
            if cuts[-1] + least <= cut <= len(ids) - least:
                cuts.append(cut)
        return _bounds(cuts, len(ids), max_steps)

    return think_aware(split, thinking_marks)


def suiting(num_tokens: int, max_steps: int) -> int:
    """Least tokens of a step, for a text of so many; see `auto`."""
    return max(min(MIN_TOKENS, max(_SHORTEST, num_tokens // _SEVERAL)), -(-num_tokens // max_steps))


def _offsets(positions: Iterable[int], texts: Sequence[str]) -> list[int]:
    """For each character position > 0 the offset after the token that holds the character before it."""
    ends = list(accumulate(map(len, texts)))
    return [bisect_left(ends, position) + 1 for position in positions]


def _bounds(cuts: Iterable[int], num_tokens: int, max_steps: int) -> list[int]:
    """0, the first `max_steps` - 1 of the increasing `cuts` that lie between, and `num_tokens`."""
    if not num_tokens:
        raise ValueError("cannot split an empty completion: give at least one token")
    return [0, *[cut for cut in cuts if 0 < cut < num_tokens][: max_steps - 1], num_tokens]


def _common_prefix(a: str, b: str) -> str:
    return a[: next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))]


def _at_least_one(**settings: int) -> None:
    for name, value in settings.items():
        if value < 1:
            raise InputError(f"{name} is {value}: a splitter needs a whole number of at least 1")
