"""What a reader sees of completion ids: decided while marks of thinking that are special tokens are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

from gpo import marks
from gpo.types import Ids, InputError, State

_TAIL = 64
"""Tokens at the end of a prompt that are looked at, at least: what the template writes for the assistant."""


class Sight:
    """Reads completions of one tokenizer as a reader does.

    `generation_prompt` is what the template ends a prompt with, '' if that is not known; `pairs` are marks
    of a user's own. InputError if a pair is not two different texts.
    """

    def __init__(
        self, tokenizer: Any, generation_prompt: Callable[[], str], pairs: Sequence[Sequence[str]]
    ) -> None:
        for pair in pairs:
            is_pair = not isinstance(pair, str) and len(pair) == 2 and all(isinstance(m, str) for m in pair)
            if not is_pair or not all(mark.strip() for mark in pair) or pair[0] == pair[1]:
                raise InputError(
                    f"thinking_marks: {pair!r} are not two different marks; give what opens thinking and "
                    "what closes it"
                )
        self.pairs = [tuple(pair) for pair in pairs]
        self._tokenizer, self._generation_prompt = tokenizer, generation_prompt
        self.special_ids = special_ids(tokenizer)

    def seen(self, state: State, action_ids: Ids, text: str) -> str:
        """The part outside the thinking, of a completion whose whole text is `text`."""
        parts = [
            (self._raw(part), is_special)
            for is_special, run in groupby(state.prefix_ids + action_ids, self.special_ids.__contains__)
            for part in ([run] if not is_special else [[one] for one in run])
        ]
        raw = "".join(part for part, _ in parts)
        before = self.before(state.problem.prompt_ids)
        spans = marks.shown(before + raw, self.pairs, state.problem.question)
        ends = list(accumulate((len(part) for part, _ in parts), initial=len(before)))
        if spans and spans[-1][0] <= len(before) and spans[-1][1] == ends[-1]:
            return text
        kept = [place for place, (_, is_special) in zip(pairwise(ends), parts, strict=True) if not is_special]
        whole = before + raw
        return marks.joined(
            "".join(whole[max(start, a) : min(end, b)] for a, b in kept if a < end and start < b)
            for start, end in spans
        )

    def before(self, prompt_ids: Ids) -> str:
        """The end of a prompt as far as it may open thinking."""
        generation_prompt = self._generation_prompt()
        tail = self._raw(prompt_ids[-max(_TAIL, len(generation_prompt)) :])
        # Some tokenizers put a space behind a special token.
        if generation_prompt and "".join(tail.split()).endswith("".join(generation_prompt.split())):
            return generation_prompt
        return marks.opening(tail, self.pairs)

    def _raw(self, ids: Any) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The tokens that are dropped where text is decoded without special tokens."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    candidates = {*tokenizer.all_special_ids, *(one for one, token in added.items() if token.special)}
    return frozenset(one for one in candidates if not tokenizer.decode([one], skip_special_tokens=True))
