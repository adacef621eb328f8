"""The settings of the algorithm, and the named recipes: what is explored, where it resets, what trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpo import proposals, steps
from gpo.curve import ADVANTAGE_RULES, FREE_RULES, RULES, VALUE_RULES
from gpo.pool import PURPOSES
from gpo.proposals import Proposal
from gpo.types import InputError, Splitter

EXPLORED = ("failed", "mixed", "unsolved", "succeeded", "all")
"""Whose trajectory is explored: one failed of every group, only of groups that also succeeded, only of
groups that are all wrong, one successful of groups that also failed, any."""
SEARCHES = ("adaptive", "uniform", "bisect")
RESETS_AT = ("critical", "signal")
"""Before the critical step; or, of the states near it, the one with the most signal, V(1 - V)."""
ARCHIVES = ("succeeded", "all")
ARCHIVE_AT = ("backward", "signal")
"""The last state that is not mastered, so that resets move backward; or the one with the most V(1 - V)."""
CREDITS = ("group", "split")
"""group: a prompt's rollouts are compared with each other, so one alone trains a critic's policy only.
split: an explored one is cut at its reset state; its head earns what the rollouts there earned, against the
round's other prompts (gpo.credit)."""
SHARES = ("auto", "signal", "fixed")
"""signal: search, resets and archive get tokens while they bring more signal for them than fresh prompts;
fixed: always all that their settings allow; auto: signal where tokens are the budget, else fixed."""


@dataclass(frozen=True)
class Recipe:
    """The settings of the algorithm; see `RECIPES` for the combinations that have a name."""

    group_size: int = 8
    """G rollouts from every prompt."""
    reset_size: int = 8
    """Rollouts from every reset state and every archived one, value rollouts there included."""
    problems_per_round: int = 16
    search: str = "adaptive"
    """How rollouts are spread over step boundaries, one of SEARCHES; `uniform` is the paper's."""
    search_traces: float = 8.0
    """Tokens of an adaptive search or a bisection, in lengths of its trajectory."""
    values: int = 4
    """Rollouts per step boundary of the uniform search and of bisection (paper: n = 4)."""
    proposal: Proposal = proposals.entropy
    """The cheap look at the steps that an adaptive search starts from; see gpo.proposals."""
    rule: str = "absolute"
    """How the critical step is named, one of curve.RULES; `base` locates nothing."""
    explored: str = "succeeded"
    """Whose trajectories are explored, one of EXPLORED. The rare successes teach most for their tokens; to
    see where reasoning breaks, explore failed ones."""
    max_located: int = 8
    """At most this many trajectories are explored in a round, one of a problem."""
    resets: bool = True
    """Whether a group is sampled at the reset states, or steps are only located."""
    reset_at: str = "critical"
    """Which state that is, one of RESETS_AT."""
    max_reset_frac: float = 0.5
    """Resets and archived states make up at most so much of a round's groups."""
    archived: int = 8
    """Groups sampled in a round at states kept from earlier rounds, at most; 0 keeps none."""
    archive_of: str = "succeeded"
    """Whose states are kept: successful trajectories', or all explored ones'."""
    archive_at: str = "backward"
    """Which state of a kept trajectory is sampled, one of ARCHIVE_AT."""
    archive_per_problem: int = 2
    archive_decay: float = 0.7
    """Of old counts each round, as the policy they were counted under changes."""
    share: str = "auto"
    """How many tokens search, resets and archive get, one of SHARES."""
    trained: tuple[str, ...] = PURPOSES
    """Rollouts of these purposes train; the paper's value rollouts do not."""
    credit: str = "group"
    """How rollouts at prompts are credited, one of CREDITS."""
    splice: bool = False
    """The best rollout at the reset state replaces the explored trajectory and trains, prefix and all."""
    success_at: float = 1.0
    """A rollout is a success for V if its reward is at least this; learners use the raw reward."""
    splitter: Splitter = field(default_factory=steps.newline)

    def __post_init__(self) -> None:
        choices = {
            "rule": RULES,
            "explored": EXPLORED,
            "search": SEARCHES,
            "reset_at": RESETS_AT,
            "archive_of": ARCHIVES,
            "archive_at": ARCHIVE_AT,
            "share": SHARES,
            "credit": CREDITS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name}: {getattr(self, name)!r} is unknown; one of {', '.join(known)}")
        for name in ("group_size", "reset_size", "problems_per_round", "values", "max_located"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not self.search_traces > 0:
            raise InputError(f"search_traces: must be above 0, got {self.search_traces}")
        if not 0 <= self.max_reset_frac < 1:
            raise InputError(f"max_reset_frac: must be from 0 to below 1, got {self.max_reset_frac}")
        self._check_meaning()

    def _check_meaning(self) -> None:
        """Refuses settings that contradict each other."""
        if unknown := set(self.trained) - set(PURPOSES):
            raise InputError(f"trained: {min(unknown)!r} is unknown; of {', '.join(PURPOSES)}")
        if not self.trained:
            raise InputError(
                "trained: names nothing, so there is nothing to learn from; give explore at least"
            )
        if self.reset_at == "signal" and self.rule not in ADVANTAGE_RULES:
            raise InputError(
                f"reset_at: 'signal' needs values, and the rule {self.rule!r} has none to offer; use "
                f"critical, or one of {', '.join(ADVANTAGE_RULES)}"
            )
        if self.splice and (self.rule not in VALUE_RULES or not self.resets):
            raise InputError(
                f"splice: needs resets and a rule on values, not {self.rule!r}; use one of "
                f"{', '.join(VALUE_RULES)}"
            )
        self._check_split()
        if self.share == "signal" and self.rule == "base" and not self.archived:
            raise InputError(
                "share: 'signal' weighs search and archive against prompts, and there is neither; use fixed"
            )

    def _check_split(self) -> None:
        """Refuses what would bias the credit of a split trajectory."""
        if self.credit != "split":
            return
        needed: dict[str, tuple[Any, ...]] = {
            "rule": FREE_RULES,
            "explored": ("all",),
            "resets": (True,),
            "splice": (False,),
        }
        for name, known in needed.items():
            if (value := getattr(self, name)) not in known:
                raise InputError(
                    f"credit: 'split' needs {name} to be {' or '.join(map(str, known))}, not {value!r}, as "
                    "rewards must not decide where it splits; change it, or use the credit 'group'"
                )
        if not {"explore", "resets"} <= set(self.trained):
            raise InputError(
                "credit: 'split' trains explore and resets; name both in trained, or use the credit 'group'"
            )

    @classmethod
    def named(cls, name: str, **changes: Any) -> Recipe:
        """The recipe of that name in `RECIPES`, with changes; InputError for an unknown one."""
        if name not in RECIPES:
            raise InputError(f"recipe: {name!r} is unknown; one of {', '.join(RECIPES)}")
        settings = {**RECIPES[name], **changes}
        if isinstance(settings.get("splitter"), str):
            settings["splitter"] = steps.by_name(settings["splitter"])
        return cls(**settings)


RECIPES: dict[str, dict[str, Any]] = {
    # The base algorithm: groups at prompts and nothing else.
    "base": {"rule": "base", "archived": 0},
    # Satori's restart: a step drawn at random, no value rollouts.
    "random": {
        "rule": "random",
        "explored": "all",
        "max_located": 16,
        "archived": 0,
        "share": "fixed",
    },
    # The text of arXiv 2509.16456: the largest advantage by 4 rollouts a boundary, which are thrown away.
    "paper": {
        "rule": "signed",
        "search": "uniform",
        "explored": "all",
        "max_located": 16,
        "archived": 0,
        "share": "fixed",
        "trained": ("explore", "resets"),
    },
    # The authors' code: the failed trajectory's best state by 4 rollouts, the best of which replaces it.
    "as-released": {
        "rule": "as-released",
        "search": "uniform",
        "explored": "failed",
        "splitter": "as-released",
        "max_located": 16,
        "archived": 0,
        "share": "fixed",
        "reset_size": 4,
        "splice": True,
        "trained": ("explore",),
    },
    # Half of each group from the prompt, half from the highest-entropy step of one of them.
    "tree": {
        "rule": "entropy",
        "explored": "all",
        "max_located": 16,
        "archived": 0,
        "share": "fixed",
        "group_size": 4,
        "reset_size": 4,
    },
    # One trajectory a prompt, and all else from its highest-entropy step.
    "pivot": {
        "rule": "entropy",
        "explored": "all",
        "max_located": 1_000_000,
        "archived": 0,
        "share": "fixed",
        "group_size": 1,
        "reset_size": 7,
        "credit": "split",
    },
    # Critical steps of successes in groups that also failed, and states of earlier successes.
    "default": {},
}
"""Settings of the named recipes, of at most 15 lines each; what they leave out is Recipe's default."""
