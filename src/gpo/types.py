"""The few types that flow between rooms, and nothing else: no library, no algorithm.

Legend, used as suffixes of tensors and nested lists: P problems, G rollouts per state, S steps,
T tokens of a completion, L prompt tokens, B rows of a padded batch, V vocabulary.

Notation (paper: GPO, arXiv 2509.16456):
  s_t   the state before step t: the prompt and the completion's tokens up to that step  -> State
  V(s)  mean reward of completions sampled from s                                        -> Group.value
  A_t   V(s_{t+1}) - V(s_t), because appending text is deterministic and only the end
        is rewarded, so Q(s_t, a_t) = V(s_{t+1}); V(s_S) is the outcome itself           -> ValueCurve
  m     the critical step; the reset state is s_m                                        -> CriticalStep
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

Ids = tuple[int, ...]
"""Token ids. Prefixes travel as ids from sampling to loss; text is only ever derived from them."""


class InputError(ValueError):
    """Something the user gave is wrong. The message names file, row, field and value; exit code 2."""


class EngineError(RuntimeError):
    """An engine cannot go on sampling: gone, or no longer to be trusted. Exit code 1; --resume goes on."""


class RunError(RuntimeError):
    """A run cannot go on, and what it has written stays. Exit code 1; --resume goes on."""


class DataWarning(UserWarning):
    """Rows were left out, or differ from what is known of them; the run goes on and says so."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its known answer; `prompt_ids` [L] already carry the chat template."""

    id: str
    prompt_ids: Ids
    answer: str
    task: str = ""
    question: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """The row's other columns, as a verifier may need them."""
    source: str = field(default="", hash=False, compare=False)
    """Where the row stands, as messages name it: its file and line."""


@dataclass(frozen=True, slots=True)
class State:
    """Where sampling starts: a prompt and the completion tokens that are given, `prefix_ids` [t]."""

    problem: Problem
    prefix_ids: Ids = ()

    @property
    def ids(self) -> Ids:
        """[L + t], what the model is conditioned on."""
        return self.problem.prompt_ids + self.prefix_ids

    @property
    def key(self) -> str:
        """A short name of this state that is the same in every process: problem id and prefix."""
        return f"{self.problem.id}:{digest(self.prefix_ids)}"


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a policy for `num` continuations of `state`.

    Row i draws from its own stream, named by (seed, i), so what is sampled does not depend on what
    else is in the batch. Asking twice with one seed gives the same samples twice.
    """

    state: State
    num: int
    seed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation as an engine returns it: ids, log-probabilities, and why it ended."""

    action_ids: Ids
    logprobs: tuple[float, ...]
    """[T] nats at the sampling temperature, before any top-p or top-k cut; nan if the engine cannot say."""
    entropies: tuple[float, ...]
    """[T] nats of the next-token distribution at each sampled token; empty if the engine has none."""
    finished: bool
    """True if it ended by itself (end token or stop string), False if the token limit cut it."""


class CompletionText(str):
    """The whole text of a completion without special tokens, and in `seen` what a reader sees of it.

    `seen` is decided on token ids, where marks of thinking are still there that are special tokens. The
    built-in verifiers read it; a user's function gets the whole text, as TRL gives it.
    """

    seen: str

    def __new__(cls, text: str, seen: str) -> CompletionText:
        found = super().__new__(cls, text)
        found.seen = seen
        return found


@dataclass(frozen=True, slots=True)
class Trace:
    """A completion that somebody else wrote, as the ids that follow the prompt, and what was odd about it."""

    ids: Ids
    repeated: str = ""
    """What it repeated of the prompt's end, which is not in `ids`."""
    is_unopened: bool = False
    """Whether it ends thinking that neither it nor the prompt opens."""


OFF_POLICY = -1
"""The policy version of a trajectory that no policy of ours sampled: located, never trained."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion of a problem: the given prefix and the sampled tokens, with its reward."""

    state: State
    action_ids: Ids
    """[T] sampled, the only tokens that are ever trained."""
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    text: str
    """The whole completion, prefix included, without special tokens."""
    finished: bool
    reward: float
    """Raw, in [0, 1]."""
    policy_version: int
    """Updates of the policy that sampled it; OFF_POLICY for a trajectory from elsewhere."""

    @property
    def completion_ids(self) -> Ids:
        """[t + T]"""
        return self.state.prefix_ids + self.action_ids

    def state_at(self, offset: int) -> State:
        """The state after the first `offset` tokens of the completion, 0 <= offset <= t + T."""
        if not 0 <= offset <= len(self.completion_ids):
            raise ValueError(
                f"offset {offset} is outside the completion of {len(self.completion_ids)} tokens"
            )
        return State(self.state.problem, self.completion_ids[:offset])


@dataclass(frozen=True, slots=True)
class Group:
    """Rollouts [G] that were sampled from one state; their mean reward is its value."""

    state: State
    rollouts: tuple[Rollout, ...]
    baselines: tuple[float, ...] | None = None
    """[G] the value believed when each rollout was asked for, where rewards seen decided how many there
    are: the others of such a group are no fair baseline. None where G was fixed beforehand."""
    weight: float = 1.0
    """Of each of its rollouts in the loss, fixed before any of them was seen."""

    @property
    def rewards_G(self) -> list[float]:
        return [rollout.reward for rollout in self.rollouts]

    @property
    def value(self) -> float:
        """Mean reward; nan for an empty group."""
        return sum(self.rewards_G) / len(self.rollouts) if self.rollouts else math.nan

    @property
    def stderr(self) -> float:
        """Standard error of `value` from the sample variance; nan below two rollouts."""
        num = len(self.rollouts)
        if num < 2:
            return math.nan
        return math.sqrt(sum((r - self.value) ** 2 for r in self.rewards_G) / (num - 1) / num)

    @property
    def has_signal(self) -> bool:
        """Whether the rewards differ, so that any advantage is non-zero."""
        return len(set(self.rewards_G)) > 1

    def _repr_html_(self) -> str:
        return as_html("group", self)


@dataclass(frozen=True, slots=True)
class ValueCurve:
    """Successes out of trials at every step boundary of one rollout; the outcome at the end.

    `bounds` [S+1] are token offsets into `rollout.completion_ids`; step i is
    `completion_ids[bounds[i]:bounds[i+1]]`. `successes` and `trials` are [S+1]; entry S is the
    rollout's own outcome and has one trial, or none where the outcome is not known. `rollout` is
    None for a curve that was only counted, not sampled here.
    """

    bounds: tuple[int, ...]
    successes: tuple[int, ...]
    trials: tuple[int, ...]
    rollout: Rollout | None = None

    def __post_init__(self) -> None:
        if not len(self.bounds) == len(self.successes) == len(self.trials) >= 2:
            raise ValueError("bounds, successes and trials must have one length of at least 2")
        if any(a >= b for a, b in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"bounds must increase: {self.bounds}")
        if any(not 0 <= s <= n for s, n in zip(self.successes, self.trials, strict=True)):
            raise ValueError("successes must lie between 0 and trials at every boundary")

    @property
    def num_steps(self) -> int:
        return len(self.bounds) - 1

    @property
    def values(self) -> list[float]:
        """[S+1] mean outcomes; nan where nothing was sampled."""
        return [s / n if n else math.nan for s, n in zip(self.successes, self.trials, strict=True)]

    @property
    def advantages(self) -> list[float]:
        """[S] A_i = V(s_{i+1}) - V(s_i); they sum to outcome - V(s_0)."""
        return [after - before for before, after in zip(self.values, self.values[1:], strict=False)]

    def _repr_html_(self) -> str:
        return as_html("value_curve", self)


@dataclass(frozen=True, slots=True)
class CriticalStep:
    """The step that a rule names, and how sure the samples make us of it."""

    index: int
    advantage: float
    interval: tuple[float, float]
    """95 % interval of the advantage."""
    probability: float
    """P(this step is the rule's argmax)."""
    credibility: float
    """P(|A| >= min_effect)."""
    rule: str
    within_one: float = math.nan
    """P(the rule's argmax is this step or a neighbour of it)."""

    def reset_state(self, curve: ValueCurve) -> State:
        """The state just before this step; ValueError for a curve without its rollout."""
        if curve.rollout is None:
            raise ValueError("this curve holds no rollout, so there is no state to return to")
        return curve.rollout.state_at(curve.bounds[self.index])

    def _repr_html_(self) -> str:
        return as_html("critical_step", self)


@dataclass(frozen=True, slots=True)
class StepValues:
    """What is believed of a trajectory after its search: values [S+1] at its step bounds [S+1].

    `bounds` are offsets into `rollout.completion_ids`; the last value is the outcome.
    """

    rollout: Rollout
    bounds: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Preference:
    """Two continuations of one state, the first right and the second wrong; only they are trained."""

    prompt_ids: Ids
    """[L + t]: question and prefix."""
    chosen_ids: Ids
    rejected_ids: Ids
    weight: float = 1.0
    """Of its loss."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One continuation of a state and whether it is right."""

    prompt_ids: Ids
    completion_ids: Ids
    is_right: bool


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


def as_html(kind: str, thing: object) -> str:
    """What a notebook shows of `thing`, by the function `kind` of `gpo.report.notebook`.

    The one look upwards from here: by name and when it is called, so that this module imports nothing.
    """
    html: str = getattr(import_module("gpo.report.notebook"), kind)(thing)
    return html


def spent_tokens(tokens: Mapping[str, int]) -> int:
    """Generated tokens that a budget counts, of a ledger by purpose: all but the evaluation's."""
    return sum(num for purpose, num in tokens.items() if purpose != "evaluation")


def digest(ids: Sequence[int]) -> str:
    """A short hash of token ids."""
    return hashlib.blake2b(",".join(map(str, ids)).encode(), digest_size=8).hexdigest()


def json_digest(content: Any) -> str:
    """A short hash of anything that JSON can write."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed for the purpose that `parts` name.

    Every random choice derives its own seed from the run's seed, so that nothing has a state to
    save and a resumed run draws what the uninterrupted one would have drawn.
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
