"""The settings of the algorithm: what is explored, where it resets, what trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gpo import proposals
from gpo.pool import Purpose
from gpo.proposals import Proposal
from gpo.recipes import RECIPES
from gpo.rules import ADVANTAGE_RULES, CRITIC_RULES, FREE_RULES, VALUE_RULES, Rule
from gpo.settings import FirstIn, HadEffect, Success
from gpo.stepping import Stepping
from gpo.types import InputError

Explored = Literal["failed", "mixed", "unsolved", "succeeded", "all"]
EXPLORED = (
    "Trajectories to explore: a failed one of every group (failed), of groups that also succeeded (mixed) or "
    "of all-wrong groups (unsolved); a successful one of groups that also failed (succeeded); any one (all)"
)
ALONE = ("reinforce", "ppo")
"""Algorithms whose baseline needs no other rollout of the same state."""
Search = Literal["adaptive", "uniform", "bisect"]
ProposalName = Literal["entropy", "surprisal", "forced-answer", "self", "none"]


class Locating(Stepping, Success):
    """How trajectories are cut into steps and how the critical step is found."""

    section = "Critical step"
    has_critic: ClassVar[bool] = False
    """Whether a critic is kept that the rules of CRITIC_RULES can read."""

    group_size: int = Field(8, ge=1, description="Rollouts from every prompt")
    rule: Annotated[Rule, FirstIn("locate", "pairs")] = Field(
        "absolute",
        description="Rule that names the critical step; `base` looks for none, and resets nowhere; `critic` "
        "and `critic-half` read a critic that online training keeps",
    )
    search: Search = Field(
        "adaptive",
        description="How rollouts are spread over step boundaries; `uniform` is the paper's",
    )
    search_traces: Annotated[float, FirstIn("locate")] = Field(
        8.0, gt=0, description="Token budget of a search, in multiples of its trajectory's length"
    )
    values: int = Field(
        4, ge=1, description="Rollouts per step boundary for the searches `uniform` and `bisect`"
    )
    proposal: ProposalName | str | Callable[..., Any] = Field(
        "entropy",
        description="Cheap score of every step that the adaptive search starts from; `value:PATH` is a model "
        "of values, and your own module:function takes a question, an answer and the steps' texts",
    )
    trust_value: bool = Field(
        False,
        description="Let a value model's predictions count from the first search on; a search may then end "
        "without a rollout",
    )
    forced_answer: str = Field(
        proposals.FORCED_ANSWER, description="Text that the proposal `forced-answer` appends to each step"
    )
    explored: Explored = Field("failed", description=EXPLORED)

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Refuses an unknown proposal now, not when it is first used; and a critic where none is kept."""
        self.step_proposal()
        if self.rule in CRITIC_RULES and not self.has_critic:
            raise ValueError(
                f"rule: {self.rule!r} reads a critic, which only online training keeps; use another rule, or "
                "a value model as the proposal"
            )
        if self.trust_value and isinstance(self.proposal, str) and not proposals.value_path(self.proposal):
            raise ValueError(
                f"trust_value: is of a value model, and the proposal is {self.proposal!r}; give value:PATH"
            )
        return self

    def least_budgets(self, max_tokens: int) -> dict[str, int]:
        """What one more prompt may take of each budget; with less left of it, a run ends."""
        return {"budget_tokens": self.group_size * max_tokens}

    def check_budgets(self, max_tokens: int) -> None:
        """ValueError for a budget of which not even one prompt's group is sure to be sampled."""
        for name, least in self.least_budgets(max_tokens).items():
            budget = getattr(self, name, None)
            if budget is not None and budget < least:
                raise ValueError(
                    f"{name}: {budget} is less than what one prompt may take, {least}; raise it, or lower "
                    "group_size or max_tokens"
                )

    def step_proposal(self) -> Proposal:
        """What scores the steps before an adaptive search."""
        if callable(self.proposal):
            return self.proposal
        return proposals.by_name(self.proposal, template=self.forced_answer)


def _followed_signal(run: Mapping[str, Any]) -> bool:
    """Whether a run of an older version gave a search tokens by the signal that it brought."""
    is_asked = run["share"] == "signal" or (run["share"] == "auto" and run.get("budget_tokens") is not None)
    return is_asked and run.get("rule") != "base"


def _used_archive(run: Mapping[str, Any]) -> bool:
    """Whether a run of an older version sampled at states of earlier rounds."""
    return bool(run["archived"]) and int(run.get("group_size", 8)) > 1


class Recipe(Locating):
    """The settings of the algorithm; see `RECIPES` for the combinations that have a name.

    Settings left out are those of `search`; `gpo train` uses `Recipe.named("default")`.
    """

    section = "Recipe"
    removed: ClassVar[Mapping[str, HadEffect]] = {"archived": _used_archive, "share": _followed_signal}

    has_critic: ClassVar[bool] = True
    explored: Explored = Field("succeeded", description=EXPLORED)
    """Rare successes teach most per token; to see where reasoning breaks, explore failed ones."""
    reset_size: int = Field(8, ge=1, description="Rollouts from every reset state")
    problems_per_round: int = Field(16, ge=1, description="Fresh prompts per round")
    max_located: int = Field(
        8, ge=1, description="Maximum number of trajectories explored per round, one per problem"
    )
    resets: bool = Field(
        True, description="Sample a group at each critical step; without it, steps are only located"
    )
    reset_at: Literal["critical", "signal"] = Field(
        "critical", description="Reset to before the critical step, or near it where V(1 - V) is highest"
    )
    max_reset_frac: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Maximum share of a round's groups at reset states; ladders are not counted",
    )
    trained: tuple[Purpose, ...] = Field(
        ("explore", "values", "resets"),
        description="Purposes whose rollouts train; the paper's value rollouts do not",
    )
    credit: Literal["group", "split"] = Field(
        "group",
        description="Compare a prompt's rollouts with each other (group), or split an explored one at its "
        "reset state and credit its head with what the rollouts there earned (split)",
    )
    """With `group`, one rollout alone trains a critic's policy only; gpo.credit has `split`."""
    ladders: int = Field(
        0,
        ge=0,
        description="Groups at states of earlier successes in rounds whose prompts bring none: before the "
        "last steps at first, then towards the prompt as these are learned",
    )
    splice: bool = Field(
        False,
        description="Replace the explored trajectory by the best rollout at the reset state, prefix included",
    )

    @classmethod
    def of_older_run(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Without the purpose of the archive, which every run trained and few sampled for."""
        found = super().of_older_run(stored)
        if "trained" in found:
            found["trained"] = [purpose for purpose in found["trained"] if purpose != "archive"]
        return found

    @model_validator(mode="after")
    def _algorithm(self) -> Self:
        """Refuses settings that contradict each other."""
        if not self.trained:
            raise ValueError("trained: is empty, so there is nothing to learn from; give at least explore")
        if self.reset_at == "signal" and self.rule not in ADVANTAGE_RULES:
            raise ValueError(
                f"reset_at: 'signal' needs values, which the rule {self.rule!r} does not have; use "
                f"critical, or one of {', '.join(ADVANTAGE_RULES)}"
            )
        if self.splice and (self.rule not in VALUE_RULES or not self.resets):
            needs, known = f"needs resets and a rule on values, not {self.rule!r}", ", ".join(VALUE_RULES)
            clash = "rule" if self.resets else "resets"
            if self._is_of_recipe("splice") and not self._is_of_recipe(clash):
                raise ValueError(
                    f"{clash}: the recipe's splice {needs}; leave it out, or set splice to false"
                )
            raise ValueError(f"splice: {needs}; use one of {known}")
        self._check_split()
        return self

    def _check_split(self) -> None:
        """Refuses what would bias the credit of a split trajectory; the rule `base` splits none."""
        if self.credit != "split":
            return
        unbiased = "rewards must not decide where it splits"
        needed: dict[str, tuple[tuple[Any, ...], str]] = {
            "rule": (FREE_RULES, f"{unbiased}; use one of these, or the credit 'group'"),
            "explored": (("all",), f"{unbiased}; use that, or the credit 'group'"),
            "resets": (
                (True,),
                "they are what a head is credited with; leave it out, or use the recipe 'base'",
            ),
        }
        for name, (known, advice) in needed.items():
            value, wanted = getattr(self, name), " or ".join(map(str, known))
            if value in known or self.rule == "base":
                continue
            if self._is_of_recipe(name):
                needs = f"'split' needs {name} to be {wanted}, not {value!r}"
                raise ValueError(f"credit: {needs}; {unbiased}; leave it out, or use the recipe 'pivot'")
            raise ValueError(f"{name}: is {value!r}, and the credit 'split' needs {wanted}; {advice}")
        if not {"explore", "resets"} <= set(self.trained):
            name = "credit" if self._is_of_recipe("trained") else "trained"
            raise ValueError(
                f"{name}: the credit 'split' trains explore and resets; name both in trained, or use the "
                "credit 'group'"
            )

    def _is_of_recipe(self, name: str) -> bool:
        """Whether a setting is what it is without being given, so that it is not to blame."""
        recipe = RECIPES.get(getattr(self, "recipe", ""), {})
        usual: Any = recipe.get(name, type(self).model_fields[name].default)
        return bool(getattr(self, name) == usual)

    def least_budgets(self, max_tokens: int) -> dict[str, int]:
        """As above; with split credit the two parts of a trajectory train together with its reset group."""
        has_parts = self.credit == "split" and self.rule != "base"
        num = 2 * self.group_size + self.reset_size if has_parts else self.group_size
        return {**super().least_budgets(max_tokens), "budget_samples": num}

    def check_groups(self, algorithm: str) -> None:
        """ValueError if the algorithm compares the rollouts of a group, and none that trains has two."""
        has_resets = self.ladders > 0 or (self.resets and self.rule != "base")
        sizes = {
            "explore": self.group_size,
            "values": 2 if self.rule in VALUE_RULES else 0,  # each is compared with what was believed
            "resets": self.reset_size if has_resets else 0,
        }
        if self.credit == "split" or algorithm in ALONE or max(sizes.get(one, 0) for one in self.trained) > 1:
            return
        raise ValueError(
            f"group_size, reset_size and trained: {algorithm} compares the rollouts of a group, and no group "
            f"that trains has two; give larger ones, or --algorithm {' or '.join(ALONE)}"
        )

    def most_resets(self, num_prompts: int) -> int:
        """Groups at reset states that keep to their share of a round's groups."""
        return math.floor(num_prompts * self.max_reset_frac / (1 - self.max_reset_frac))

    @classmethod
    def named(cls, name: str, **changes: Any) -> Recipe:
        """The recipe of that name in `gpo.recipes`, with changes; InputError for an unknown one."""
        if name not in RECIPES:
            raise InputError(f"recipe: {name!r} is unknown; one of {', '.join(RECIPES)}")
        return cls(**{**RECIPES[name], **changes})
