"""What a policy, an engine and a verifier can be asked: anything with these methods is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from gpo.types import CompletionText, Ids, Problem, Request, Sample, State, Trace


class Tokenizer(Protocol):
    """Raw text to ids and back: no special tokens are added, none are dropped."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


Splitter = Callable[[Sequence[int], Tokenizer], list[int]]
"""Token ids [T], T >= 1, to bounds [S+1]: 0 = first < ... < last = T."""


class Capabilities(Protocol):
    """What engines differ in. A class that inherits from this has what the plainest engine has."""

    @property
    def has_entropies(self) -> bool:
        """Whether its samples say how spread the distribution was at each token."""
        return True

    @property
    def counts(self) -> Mapping[str, int]:
        """What had to be tried again or was refused so far, by reason."""
        return {}

    def restartable(self, splitter: Splitter) -> Splitter:
        """The splitter without the bounds at which the engine cannot begin."""
        return splitter

    def interrupt(self) -> None:
        """Ends a call of `sample` that another thread is in, where the engine can be stopped halfway."""
        return


class Policy(Capabilities, Protocol):
    """Anything that continues token ids: transformers, vLLM, a server, a pool of them."""

    version: int
    """Counts the updates of the weights."""
    tokenizer: Tokenizer
    max_tokens: int
    """Of a completion, given prefix included."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the values of its states depend on, as JSON: weights, vocabulary, template, sampling."""
        ...

    def prompt_ids(self, question: str) -> Ids:
        """[L], the question in the model's chat template, ready to be answered."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The text of these completion ids: no special tokens."""
        ...

    def completion_text(self, state: State, action_ids: Ids) -> CompletionText:
        """The text of a completion, prefix and continuation, and what a reader sees of it."""
        ...

    def trace(self, problem: Problem, completion: object) -> Trace:
        """A completion that somebody else wrote, as text, message or ids; InputError says what is wrong."""
        ...

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its `num` samples, in order. One limit covers prefix plus continuation."""
        ...

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """What `sample` would have noted of these continuations, had it drawn them; none is generated."""
        ...


class ForwardingPolicy:
    """A policy that is another one, in all that a subclass does not change."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @property
    def version(self) -> int:
        return self.policy.version

    @version.setter
    def version(self, version: int) -> None:
        self.policy.version = version

    @property
    def tokenizer(self) -> Tokenizer:
        return self.policy.tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer) -> None:
        self.policy.tokenizer = tokenizer

    @property
    def max_tokens(self) -> int:
        return self.policy.max_tokens

    @max_tokens.setter
    def max_tokens(self, max_tokens: int) -> None:
        self.policy.max_tokens = max_tokens

    @property
    def fingerprint(self) -> dict[str, Any]:
        return self.policy.fingerprint

    @property
    def has_entropies(self) -> bool:
        return self.policy.has_entropies

    @property
    def counts(self) -> Mapping[str, int]:
        return self.policy.counts

    def restartable(self, splitter: Splitter) -> Splitter:
        return self.policy.restartable(splitter)

    def interrupt(self) -> None:
        self.policy.interrupt()

    def prompt_ids(self, question: str) -> Ids:
        return self.policy.prompt_ids(question)

    def text(self, ids: Sequence[int]) -> str:
        return self.policy.text(ids)

    def completion_text(self, state: State, action_ids: Ids) -> CompletionText:
        return self.policy.completion_text(state, action_ids)

    def trace(self, problem: Problem, completion: object) -> Trace:
        return self.policy.trace(problem, completion)

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return self.policy.sample(requests)

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        return self.policy.read(given)


class StreamingPolicy(Policy, Protocol):
    """A policy that takes one request at a time, so that whoever asks can keep its engine full.

    What a request draws is named by its state, seed and rows alone: it is the same whether it is given to
    `submit` or to `sample`, and in whatever order. `submit` may be called from any thread and does not
    wait; more rows than `slots` are queued in order. A request that fails, fails its own future. The
    weights must not change while a future is open.
    """

    slots: int
    """Rows that the engine works on at once."""

    def submit(self, request: Request) -> Future[list[Sample]]:
        """The `num` samples of this request, once they are there."""
        ...


class Verifier(Protocol):
    """Whether answers are right. Never raises on model text; a time-out is 0 and counted."""

    @property
    def num_timeouts(self) -> int:
        """Answers so far whose verification was stopped at the time limit."""
        ...

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards in [0, 1], one for each (problem, completion text)."""
        ...

    def check(self, problem: Problem) -> None:
        """Raises ValueError, saying why, if the problem's own answer cannot be used as a gold answer."""
        ...


UNJUDGED = ("timeouts", "crashes", "memory", "unscored")
"""Why an answer may get the reward 0 without a verdict, in the order in which figures are shown."""


def unjudged(verifier: Verifier) -> dict[str, int]:
    """Answers of a verifier so far that got 0 without a verdict, by kind: those that it counts itself."""
    counts: Mapping[str, int] = getattr(verifier, "unjudged", None) or {"timeouts": verifier.num_timeouts}
    return {kind: counts.get(kind, 0) for kind in UNJUDGED}


class Tally:
    """What a verifier could not judge, from one line of a run to the next.

    It counts from when it is made, or with `is_whole` from the verifier's start.
    """

    def __init__(self, verifier: Verifier, *, is_whole: bool = False) -> None:
        self._verifier = verifier
        self._seen = {} if is_whole else unjudged(verifier)

    def since(self) -> dict[str, int]:
        """Answers without a verdict since the last time, by kind; kinds without any are left out."""
        now = unjudged(self._verifier)
        found = {kind: num - self._seen.get(kind, 0) for kind, num in now.items()}
        self._seen = now
        return {kind: num for kind, num in found.items() if num}
