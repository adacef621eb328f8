"""What the first completions say of the rest of a run: that it will find nothing, and what to change."""

from __future__ import annotations

from collections.abc import Sequence

from gpo.explore.events import Drawn, Event, Found
from gpo.located import bounds_of
from gpo.protocols import Policy
from gpo.recipe import Recipe
from gpo.types import Group, Rollout, State

ENOUGH, PROBLEMS = 16, 2
"""Completions, and problems that they answer, before anything is said: of problems that one answer in ten
solves, 16 are all wrong once in five times, so what is said are counts and not a verdict."""
NEARLY, MOSTLY = 0.9, 0.5
"""Share of completions from which all are said to be single steps, and most to be cut."""
SHORTER_STEPS = {
    "fixed": "a smaller --fixed-step-tokens",
    **dict.fromkeys(
        ("newline", "as-released"),
        "a smaller --min-step-tokens, or --splitter sentence for text without line breaks",
    ),
    **dict.fromkeys(("auto", "sentence"), "a smaller --min-step-tokens"),
}
"""What makes more steps of the same text, by the splitter that is set."""


def shorter_steps(recipe: Recipe) -> str:
    """What to give so that there are more steps."""
    return SHORTER_STEPS.get(str(recipe.splitter), "a splitter that cuts more often")


def of_groups(groups: Sequence[Group], recipe: Recipe, max_tokens: int, *, is_measured: bool) -> list[str]:
    """What is wrong with all of the groups; where rates are measured, being alike is no fault."""
    rollouts = [one for group in groups for one in group.rollouts]
    num, cut = len(rollouts), sum(not one.finished for one in rollouts)
    right = sum(one.reward >= recipe.success_at for one in rollouts)
    if cut >= MOSTLY * num:
        none = "" if right else ", and none is right"
        return [
            f"{cut} of the first {num} completions were cut by --max-tokens {max_tokens}, which counts as "
            f"wrong{none}: raise it, or ask for shorter answers with --system-prompt"
        ]
    if right == 0:
        can_skip = not is_measured and recipe.credit != "split" and recipe.rule != "base"
        skip = "; --explored mixed searches only where some are right" if can_skip else ""
        return [
            f"the first {num} completions are all wrong: look at one and its verdict (--dry-run shows the "
            f"prompt), or take easier problems or a stronger model{skip}"
        ]
    if is_measured or recipe.group_size == 1:
        return []
    if right == num:
        return [f"the first {num} completions are all right: take harder problems, or raise --temperature"]
    if all(group.value in (0, 1) for group in groups):
        alike = f"each of the first {len(groups)} problems got {recipe.group_size} answers of one kind"
        return [f"{alike}: raise --temperature or --group-size"]
    return []


def of_steps(nums: Sequence[int], recipe: Recipe) -> list[str]:
    """What is wrong with the numbers of steps."""
    single = sum(num == 1 for num in nums)
    if not nums or single < NEARLY * len(nums):
        return []
    return [f"{single} of the first {len(nums)} completions are a single step: give {shorter_steps(recipe)}"]


class Outlook:
    """Watches the events of a sweep, and says once what its first completions show."""

    def __init__(self, recipe: Recipe, policy: Policy, *, is_measured: bool) -> None:
        self.recipe, self.policy, self.is_measured = recipe, policy, is_measured
        self._drawn: dict[State, list[Rollout]] = {}
        self._groups: list[Group] = []
        self._num_steps: list[int] = []
        self._is_told = False

    def after(self, event: Event) -> list[str]:
        """What is to be said, now that this has happened."""
        if self._is_told:
            return []
        if isinstance(event, Drawn) and event.ask.purpose == "explore":
            self._add(event.ask.state, event.rollout)
        elif isinstance(event, Found) and event.task.given:
            self._num_steps.append(event.located.curve.num_steps)
        num = len(self._groups) * self.recipe.group_size
        self._is_told = (num >= ENOUGH and len(self._groups) >= PROBLEMS) or len(self._num_steps) >= ENOUGH
        return self._notes() if self._is_told else []

    def _add(self, state: State, rollout: Rollout) -> None:
        some = self._drawn.setdefault(state, [])
        some.append(rollout)
        if len(some) == self.recipe.group_size:
            self._groups.append(Group(state, tuple(some)))

    def _notes(self) -> list[str]:
        notes = []
        if self._groups:
            limit = self.policy.max_tokens
            notes = of_groups(self._groups, self.recipe, limit, is_measured=self.is_measured)
        if self.recipe.rule == "base":
            return notes
        splitter, rollouts = self.recipe.step_splitter(), [o for g in self._groups for o in g.rollouts]
        nums = [len(bounds_of(one, splitter, self.policy)) - 1 for one in rollouts if one.action_ids]
        return [*notes, *of_steps([*nums, *self._num_steps], self.recipe)]
