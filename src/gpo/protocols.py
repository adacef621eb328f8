"""What a policy, an engine and a verifier can be asked: anything with these methods is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from gpo.types import CompletionText, Ids, Problem, Request, Rollout, Sample, State


@dataclass(frozen=True, slots=True)
class Trace:
    """A completion written elsewhere, as the ids after the prompt, and what was odd about it."""

    ids: Ids
    repeated: str = ""
    """The part of the prompt's end that it repeated; not in `ids`."""
    is_unopened: bool = False
    """Whether it closes thinking that neither it nor the prompt opened."""


class Tokenizer(Protocol):
    """Raw text to ids and back: no special tokens are added, none are dropped."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


Splitter = Callable[[Sequence[int], Tokenizer], list[int]]
"""Token ids [T], T >= 1, to bounds [S+1]: 0 = first < ... < last = T."""


class Capabilities(Protocol):
    """Where engines differ. The defaults describe the plainest engine."""

    @property
    def has_entropies(self) -> bool:
        """Whether its samples hold the entropy of the distribution at each token."""
        return True

    @property
    def has_logprobs(self) -> bool:
        """Whether its samples hold the log-probability of each token, and not nan."""
        return True

    @property
    def unreadable(self) -> str:
        """Why `read` refuses, as a message; empty if it does not."""
        return ""

    @property
    def counts(self) -> Mapping[str, int]:
        """Retries and refusals so far, by reason."""
        return {}

    @property
    def num_drawn(self) -> int:
        """Tokens drawn so far, those of unfinished rows too where it sees them; 0 if it counts none."""
        return 0

    def restartable(self, splitter: Splitter) -> Splitter:
        """The splitter without the bounds at which the engine cannot start."""
        return splitter

    def interrupt(self) -> None:
        """Stops a `sample` call that runs in another thread, if the engine can stop midway."""
        return


class Policy(Capabilities, Protocol):
    """Anything that continues token ids: transformers, vLLM, a server, a pool of them."""

    version: int
    """Counts the updates of the weights."""
    tokenizer: Tokenizer
    max_tokens: int
    """Maximum tokens of a completion, given prefix included."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its values depend on, as JSON: weights, vocabulary, template, sampling."""
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
        """A completion written elsewhere, given as text, message or ids; InputError if it is unusable."""
        ...

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """The `num` samples of each request, in order. One limit covers prefix plus continuation."""
        ...

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """What `sample` would have recorded of these continuations; nothing is generated."""
        ...


class ForwardingPolicy:
    """A policy that forwards to another one whatever a subclass does not override."""

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
    def has_logprobs(self) -> bool:
        return self.policy.has_logprobs

    @property
    def unreadable(self) -> str:
        return self.policy.unreadable

    @property
    def counts(self) -> Mapping[str, int]:
        return self.policy.counts

    @property
    def num_drawn(self) -> int:
        return self.policy.num_drawn

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
    """A policy that takes single requests, so that the caller can keep its engine full.

    A request's samples depend only on its state, seed and rows, not on the order of requests or on whether
    `submit` or `sample` draws them. `submit` may be called from any thread and does not wait; rows beyond
    `slots` are queued in order. A failed request fails only its own future. The weights must not change while
    a future is open.
    """

    slots: int
    """Rows that the engine works on at once."""

    def submit(self, request: Request) -> Future[list[Sample]]:
        """A future of this request's `num` samples."""
        ...


class ValueModel(Protocol):
    """Predicts V, the chance that a continuation of a state ends right, without a rollout."""

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[list[float]]:
        """[T+1] values in [0, 1] for each state and T ids after it: at the state, then after each id."""
        ...


class Critic(ValueModel, Protocol):
    """A value model that is kept across rounds of training, and learns from each."""

    @property
    def is_ready(self) -> bool:
        """Whether it foretold the last round's outcomes better than their mean does."""
        ...

    def learn(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Learns from a round's rollouts; returns its metrics, measured before it did."""
        ...


class Verifier(Protocol):
    """Judges answers. Never raises on model text; a timeout scores 0 and is counted."""

    @property
    def num_timeouts(self) -> int:
        """Answers so far that hit the time limit."""
        ...

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Rewards in [0, 1], one per (problem, completion text)."""
        ...

    def check(self, problem: Problem) -> None:
        """Raises ValueError, with the reason, if the problem's own answer cannot serve as a gold answer."""
        ...


UNJUDGED = ("timeouts", "crashes", "memory", "unscored")
"""Why an answer may get reward 0 without a verdict, in the order shown."""


def unjudged(verifier: Verifier) -> dict[str, int]:
    """A verifier's own counts of answers that got 0 without a verdict, by kind."""
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
