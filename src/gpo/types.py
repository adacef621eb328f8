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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpo.seeds import digest

Ids = tuple[int, ...]
"""Token ids. Prefixes travel as ids from sampling to loss; text is only ever derived from them."""


class InputError(ValueError):
    """Bad input from the user. The message names file, row, field and value; exit code 2."""


class EngineError(RuntimeError):
    """The engine cannot continue: it is gone or no longer trustworthy. Exit code 1; --resume continues."""


class RunError(RuntimeError):
    """The run cannot continue; its files stay. Exit code 1; --resume continues."""


class DataWarning(UserWarning):
    """Rows were left out, or differ from the known ones; the run continues."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its known answer; `prompt_ids` [L] already include the chat template."""

    id: str
    prompt_ids: Ids
    answer: str
    task: str = ""
    question: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """The row's other columns, for verifiers that need them."""
    source: str = field(default="", hash=False, compare=False)
    """The row's file and line, as messages show them."""


@dataclass(frozen=True, slots=True)
class State:
    """Where sampling starts: a prompt and the given completion tokens, `prefix_ids` [t]."""

    problem: Problem
    prefix_ids: Ids = ()

    @property
    def ids(self) -> Ids:
        """[L + t], what the model is conditioned on."""
        return self.problem.prompt_ids + self.prefix_ids

    @property
    def key(self) -> str:
        """A short key, the same in every process: problem id and prefix."""
        return f"{self.problem.id}:{digest(self.prefix_ids)}"


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a policy for `num` continuations of `state`, of at most `most` new tokens each if that is given.

    Row i draws from its own stream, derived from (seed, i), so samples depend on nothing else in the batch.
    """

    state: State
    num: int
    seed: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation as an engine returns it: ids, log-probabilities, and why it ended."""

    action_ids: Ids
    logprobs: tuple[float, ...]
    """[T] nats at the sampling temperature, before any top-p or top-k cut; nan if the engine has none."""
    entropies: tuple[float, ...]
    """[T] nats of the next-token distribution at each sampled token; empty if the engine has none."""
    finished: bool
    """True if it ended by itself (end token or stop string), False if the token limit cut it."""


class CompletionText(str):
    """A completion's whole text without special tokens; `seen` is the part outside the thinking.

    `seen` is found on token ids, where thinking marks that are special tokens are still present. The built-in
    verifiers read it; a user's function gets the whole text, as in TRL.
    """

    seen: str

    def __new__(cls, text: str, seen: str) -> CompletionText:
        found = super().__new__(cls, text)
        found.seen = seen
        return found


RECORDED_DIGITS = 6
"""Of log-probabilities and entropies in a run's files: a resumed search sees what the first one saw."""

OFF_POLICY = -1
"""Policy version of a trajectory that we did not sample: located, never trained."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion of a problem: the given prefix and the sampled tokens, with its reward."""

    state: State
    action_ids: Ids
    """[T] sampled ids, the only ones that are ever trained."""
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    text: str
    """The whole completion, prefix included, without special tokens."""
    finished: bool
    reward: float
    """Raw, in [0, 1]."""
    policy_version: int
    """Number of updates of the policy that sampled it; OFF_POLICY for a trajectory from elsewhere."""
    predicted: tuple[float, ...] = ()
    """[T+1] what a critic reads of V at its state and after each sampled token; empty without a critic."""

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
    """[G] the value estimated when each rollout was requested, if earlier rewards decided the group's size:
    its other rollouts are then a biased baseline. None if G was fixed beforehand."""
    weight: float = 1.0
    """Weight of each of its rollouts in the loss, fixed before any of them was seen."""

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


@dataclass(frozen=True, slots=True)
class CriticalStep:
    """The step that a rule names, and how certain it is."""

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


@dataclass(frozen=True, slots=True)
class StepValues:
    """A searched trajectory's values [S+1] at bounds in its completion; the last one is the outcome."""

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
    """Weight of its loss."""

    @property
    def answers(self) -> dict[str, Ids]:
        """What is trained, by the names of the fields."""
        return {"chosen_ids": self.chosen_ids, "rejected_ids": self.rejected_ids}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One continuation of a state and whether it is right."""

    prompt_ids: Ids
    completion_ids: Ids
    is_right: bool

    @property
    def answers(self) -> dict[str, Ids]:
        """What is trained, by the names of the fields."""
        return {"completion_ids": self.completion_ids}


TrainedRows = Sequence[Preference | Labelled]
"""What offline learning trains: rows of one of these kinds."""


def spent_tokens(tokens: Mapping[str, int]) -> int:
    """Generated tokens that count against a budget: those of all purposes but evaluation."""
    return sum(num for purpose, num in tokens.items() if purpose != "evaluation")
