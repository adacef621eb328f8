"""A policy on a table whose values are known exactly, and a verifier for it.

A completion is `len(right)` lines "r" or "w"; line i is right with probability right[i], and one wrong
line loses the answer. So V(prefix without a wrong line, i lines long) = prod(right[i:]), else 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gpo.protocols import Capabilities
from gpo.seeds import derive_seed
from gpo.types import CompletionText, Problem, Request, Sample, State

RIGHT, WRONG, NEWLINE, END = 1, 2, 3, 4
TEXT = {0: "?", RIGHT: "r", WRONG: "w", NEWLINE: "\n", END: ""}


class Characters:
    """A character tokenizer of the toy's alphabet."""

    def encode(self, text: str) -> list[int]:
        return [next(i for i, c in TEXT.items() if c == char) for char in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(TEXT[i] for i in ids)


class TablePolicy(Capabilities):
    def __init__(self, right: Sequence[float], max_lines: int | None = None) -> None:
        self.right, self.max_lines = list(right), max_lines or len(right)
        self.version = 0
        self.max_tokens = 2 * self.max_lines + 1
        self.tokenizer = Characters()
        self.requests: list[Request] = []

    def prompt_ids(self, question: str) -> tuple[int, ...]:
        return (0,)

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)

    def completion_text(self, state: State, action_ids: tuple[int, ...]) -> CompletionText:
        text = self.text(state.prefix_ids + action_ids)
        return CompletionText(text, text)

    @property
    def fingerprint(self) -> dict[str, object]:
        return {"right": self.right, "version": self.version}

    def read(self, given: Sequence[tuple[State, tuple[int, ...]]]) -> list[Sample]:
        return [Sample(ids, (-1.0,) * len(ids), (1.0,) * len(ids), True) for _, ids in given]

    def value(self, state: State) -> float:
        if WRONG in state.prefix_ids:
            return 0.0
        return math.prod(self.right[len(state.prefix_ids) // 2 :])

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        self.requests += requests
        return [[self._one(request, row) for row in range(request.num)] for request in requests]

    def _one(self, request: Request, row: int) -> Sample:
        rng = np.random.default_rng(derive_seed(request.seed, row))
        first = len(request.state.prefix_ids) // 2
        ids: list[int] = []
        logprobs: list[float] = []
        for chance in self.right[first : self.max_lines]:
            is_right = rng.random() < chance
            ids += [RIGHT if is_right else WRONG, NEWLINE]
            logprobs += [math.log(chance if is_right else 1 - chance), 0.0]
        is_finished = self.max_lines >= len(self.right)
        if is_finished:
            ids, logprobs = [*ids, END], [*logprobs, 0.0]
        entropies = tuple(-x for x in logprobs)
        return Sample(tuple(ids), tuple(logprobs), entropies, is_finished)


class AllRight:
    """Right if no line is wrong."""

    num_timeouts = 0

    def __init__(self) -> None:
        self.num_scored = 0

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        self.num_scored += len(texts)
        return [float("w" not in text) for text in texts]

    def check(self, problem: Problem) -> None:
        del problem


def problems(num: int) -> list[Problem]:
    return [Problem(f"p{i}", (0,), "r", "toy", f"question {i}") for i in range(num)]
