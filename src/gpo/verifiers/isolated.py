"""A verifier whose work is done in other processes, so that no answer can stall or end a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from gpo.types import CompletionText, InputError, Problem
from gpo.verifiers import wire
from gpo.verifiers.pool import Failure, Pool
from gpo.verifiers.process import Zygote

Item = Mapping[str, Any]
"""What a judge sees of an answer: {question, text, answer, columns}."""


class IsolatedVerifier:
    """Scores completions with a built-in verifier or a user's function; made by `gpo.verifiers.load`.

    `num_timeouts` answers were killed at the time limit, and `num_crashes` ended their process (out of
    memory, a segmentation fault, an error inside a built-in verifier): both scored 0.0, and so did the
    `num_unscored` answers for which the user's function returned None.
    """

    def __init__(
        self,
        name: str,
        zygote: Zygote,
        *,
        columns: Sequence[str] | None,
        max_batch: int,
        num_workers: int,
        limit_s: float,
    ) -> None:
        """`columns` of a row are sent along, None for all of them; up to `max_batch` answers a request."""
        self.num_timeouts = 0
        self.num_crashes = 0
        self.num_unscored = 0
        self._name = name
        self._zygote = zygote
        self._pool = Pool(zygote, num_workers, limit_s)
        self._columns = columns
        self._max_batch = max_batch
        self._num_workers = num_workers
        self._limit_s = limit_s

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards in [0, 1], one for each (problem, completion text).

        Of a CompletionText a built-in verifier reads what a reader sees, and a user's function all.
        InputError if the verifier cannot be loaded, a gold answer cannot be used, a column cannot be
        sent, or the user's function raises or returns something else than rewards.
        """
        items = [self._item(problem, text) for problem, text in zip(problems, texts, strict=True)]
        size = max(1, min(self._max_batch, -(-len(items) // self._num_workers)))
        spans = [range(len(items))[start : start + size] for start in range(0, len(items), size)]
        rewards = [0.0] * len(items)
        failures = self._fill(rewards, problems, items, spans)
        # Who of a failed batch was to blame is not known, so each of its answers is asked for alone.
        suspects = [range(i, i + 1) for span in failures if len(span) > 1 for i in span]
        failures |= self._fill(rewards, problems, items, suspects)
        culprits = [failure for span, failure in failures.items() if len(span) == 1]
        self.num_timeouts += culprits.count(Failure.TIMEOUT)
        self.num_crashes += culprits.count(Failure.CRASH)
        return rewards

    def check(self, problem: Problem) -> None:
        """Raises ValueError, saying why, if the problem's answer cannot be a gold answer.

        Done by the worker too, as a hostile gold answer hangs a parser like any other. What a user's
        function can use, only the function knows, so there every answer passes.
        """
        if self._columns is None:
            return
        (reply,) = self._pool.ask([self._frame({"check": self._item(problem, "")}, [problem])])
        if isinstance(reply, Failure):
            raise ValueError(f"'{self._name}' could not read it within {self._limit_s:g} s: {reply.value}")
        if "error" in reply:
            raise ValueError(reply["error"])

    def read(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[str | None] | None:
        """The final answer of each completion in one spelling, None where there is none.

        Equal answers are equal texts, so that votes can be counted. A worker that fails on a completion
        has found no answer. None instead of a list for a user's function, which only gives rewards.
        """
        if self._columns is None:
            return None
        pairs = list(zip(problems, texts, strict=True))
        frames = [self._frame({"read": self._item(problem, text)}, [problem]) for problem, text in pairs]
        return [None if isinstance(r, Failure) else r["answer"] for r in self._pool.ask(frames)]

    def close(self) -> None:
        """Ends all processes; a collected or forgotten verifier is closed when Python ends."""
        self._zygote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(
        self, rewards: list[float], problems: Sequence[Problem], items: Sequence[Item], spans: Sequence[range]
    ) -> dict[range, Failure]:
        """Asks for the answers of each span and writes their rewards; returns the spans that got none."""
        asked = [(span, problems[span.start : span.stop]) for span in spans]
        frames = [self._frame({"items": items[span.start : span.stop]}, about) for span, about in asked]
        failures = {}
        for (span, about), reply in zip(asked, self._pool.ask(frames), strict=True):
            if isinstance(reply, Failure):
                failures[span] = reply
                continue
            if "error" in reply:
                raise InputError(f"verifier '{self._name}' {reply['error']} (problem {_ids(about)})")
            self.num_unscored += reply["rewards"].count(None)
            rewards[span.start : span.stop] = [reward or 0.0 for reward in reply["rewards"]]
        return failures

    def _item(self, problem: Problem, text: str) -> Item:
        names = problem.columns if self._columns is None else self._columns
        columns = {name: problem.columns[name] for name in names if name in problem.columns}
        if self._columns is not None and isinstance(text, CompletionText):
            text = text.seen
        return {"question": problem.question, "text": text, "answer": problem.answer, "columns": columns}

    def _frame(self, request: Mapping[str, Any], problems: Sequence[Problem]) -> bytes:
        try:
            return wire.encode(request)
        except (TypeError, ValueError) as error:
            column = next(filter(None, map(_unsendable, problems)), _ids(problems))
            raise InputError(f"{column}: {error}; make it text, numbers or lists, or drop it") from error


def _unsendable(problem: Problem) -> str | None:
    """The first column that is not JSON, in words."""
    for name, value in problem.columns.items():
        try:
            wire.encode({name: value})
        except (TypeError, ValueError):
            return f"problem {problem.id}, column '{name}'"
    return None


def _ids(problems: Sequence[Problem]) -> str:
    first, last = problems[0].id, problems[-1].id
    return first if first == last else f"{first} to {last}"
