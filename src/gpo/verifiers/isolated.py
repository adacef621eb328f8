"""A verifier whose work is done in other processes, so that no answer can stall or end a run."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from gpo.protocols import UNJUDGED
from gpo.types import CompletionText, DataWarning, InputError, Problem
from gpo.verifiers import wire
from gpo.verifiers.pool import Failure, Fits, Pool, Reply
from gpo.verifiers.process import Zygote

Item = Mapping[str, Any]
"""What a judge sees of an answer: {question, text, answer, columns}."""

_KINDS = {
    Failure.TIMEOUT: ("timeouts", ""),
    Failure.CRASH: (
        "crashes",
        "the process died twice (killed for lack of memory? ended by a function?)",
    ),
    Failure.MEMORY: ("memory", "the memory limit of the process was reached"),
}


class IsolatedVerifier:
    """Scores completions with a built-in verifier or a user's function; made by `gpo.verifiers.load`.

    Answers without a verdict score 0.0 and are counted by kind in `unjudged`:
    timeouts   reached the time limit;
    crashes    ended their process twice: killed from outside, a segmentation fault, an error inside a
               built-in verifier, a function that ended it or wrote into its connection;
    memory     reached the memory limit of their process;
    unscored   the user's function returned None for them.
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
        self.unjudged: Counter[str] = Counter(dict.fromkeys(UNJUDGED, 0))
        self._name = name
        self._zygote = zygote
        self._pool = Pool(zygote, num_workers, limit_s)
        self._columns = columns
        self._max_batch = max_batch
        self._num_workers = num_workers
        self._is_tried = False
        self._limit_s = limit_s

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards in [0, 1], one per (problem, completion text).

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
        alone = {span: failure for span, failure in failures.items() if len(span) == 1}
        # As in `_ask_again`, where no batch comes before.
        crashed = [span for span, failure in alone.items() if failure is Failure.CRASH]
        again = self._fill(rewards, problems, items, crashed)
        self._note([failure for span, failure in alone.items() if span not in crashed] + [*again.values()])
        return rewards

    @property
    def num_timeouts(self) -> int:
        """Answers so far that hit the time limit."""
        return self.unjudged["timeouts"]

    def _note(self, failures: Sequence[Failure]) -> None:
        """Counts answers that get 0 without a verdict; warns of what a machine in want may have caused."""
        for failure, (kind, what) in _KINDS.items():
            if not (num := failures.count(failure)):
                continue
            before, self.unjudged[kind] = self.unjudged[kind], self.unjudged[kind] + num
            if what and (not before or len(str(before)) < len(str(self.unjudged[kind]))):
                warnings.warn(
                    f"verifier '{self._name}': {self.unjudged[kind]} answers so far got the reward 0 without "
                    f"a verdict: {what}",
                    DataWarning,
                    stacklevel=3,
                )

    def check(self, problem: Problem) -> None:
        """Raises ValueError, saying why, if the problem's answer cannot be a gold answer.

        Done by the worker too, as a hostile gold answer hangs a parser like any other. What a user's
        function can use, only the function knows: it is tried once, on the first problem that comes.
        """
        if self._columns is None:
            self._try_out(problem)
            return
        frame = self._frame({"check": self._item(problem, "")}, [problem])
        (reply,) = self._ask_again([frame], lambda _, reply: reply == {"ok": True} or _is_error(reply))
        if isinstance(reply, Failure):
            raise ValueError(f"'{self._name}' could not read it within {self._limit_s:g} s: {reply.value}")
        if "error" in reply:
            raise ValueError(reply["error"])

    def _try_out(self, problem: Problem) -> None:
        """Calls the user's function on a row, its gold answer for a completion; ValueError if it fails."""
        if self._is_tried:
            return
        frame = self._frame({"items": [self._item(problem, problem.answer)]}, [problem])
        (reply,) = self._ask_again([frame], lambda _, reply: _is_error(reply) or "rewards" in reply)
        why = f"failed: {reply.value}" if isinstance(reply, Failure) else reply.get("error", "")
        if why:
            columns = ", ".join(problem.columns) or "none"
            raise ValueError(
                f"verifier '{self._name}' {why}; it was tried on this row, which has the columns {columns}"
            )
        self._is_tried = True

    def read(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[str | None] | None:
        """The final answer of each completion in one spelling, None where there is none.

        Equal answers are equal texts, so that votes can be counted. A worker that fails on a completion
        has found no answer. None instead of a list for a user's function, which only gives rewards.
        """
        if self._columns is None:
            return None
        pairs = list(zip(problems, texts, strict=True))
        frames = [self._frame({"read": self._item(problem, text)}, [problem]) for problem, text in pairs]
        replies = self._ask_again(frames, lambda _, reply: isinstance(reply.get("answer", 0), str | None))
        return [None if isinstance(reply, Failure) else reply["answer"] for reply in replies]

    def close(self) -> None:
        """Ends all processes; a collected or forgotten verifier is closed when Python ends."""
        self._zygote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_again(self, frames: Sequence[bytes], fits: Fits) -> list[Reply | Failure]:
        """One outcome for each request. Those that ended their process are asked once more.

        What ends a process may have nothing to do with the answer: it may be killed for want of memory.
        """
        outcomes = self._pool.ask(frames, fits)
        crashed = [i for i, outcome in enumerate(outcomes) if outcome is Failure.CRASH]
        again = self._pool.ask([frames[i] for i in crashed], lambda i, reply: fits(crashed[i], reply))
        for i, outcome in zip(crashed, again, strict=True):
            outcomes[i] = outcome
        return outcomes

    def _fill(
        self, rewards: list[float], problems: Sequence[Problem], items: Sequence[Item], spans: Sequence[range]
    ) -> dict[range, Failure]:
        """Asks for the answers of each span and writes their rewards; returns the spans that got none."""
        asked = [(span, problems[span.start : span.stop]) for span in spans]
        frames = [self._frame({"items": items[span.start : span.stop]}, about) for span, about in asked]

        def fits(position: int, reply: Reply) -> bool:
            return _is_error(reply) or _are_rewards(reply.get("rewards"), len(spans[position]))

        failures = {}
        for (span, about), reply in zip(asked, self._pool.ask(frames, fits), strict=True):
            if isinstance(reply, Failure):
                failures[span] = reply
                continue
            if "error" in reply:
                raise InputError(f"verifier '{self._name}' {reply['error']} (problem {_ids(about)})")
            self.unjudged["unscored"] += reply["rewards"].count(None)
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
        except (TypeError, ValueError, RecursionError) as error:
            column = next(filter(None, map(_unsendable, problems)), _ids(problems))
            raise InputError(f"{column}: {error}; make it text, numbers or lists, or drop it") from error


def _is_error(reply: Reply) -> bool:
    return isinstance(reply.get("error"), str)


def _are_rewards(found: Any, num: int) -> bool:
    """Whether this is what a worker replies: a number in [0, 1] or None for each answer."""
    if not isinstance(found, list) or len(found) != num:
        return False
    return all(one is None or (isinstance(one, int | float) and 0 <= one <= 1) for one in found)


def _unsendable(problem: Problem) -> str | None:
    """The first column that is not JSON, in words."""
    for name, value in problem.columns.items():
        try:
            wire.encode({name: value})
        except (TypeError, ValueError, RecursionError):
            return f"problem {problem.id}, column '{name}'"
    return None


def _ids(problems: Sequence[Problem]) -> str:
    first, last = problems[0].id, problems[-1].id
    return first if first == last else f"{first} to {last}"
