"""`gpo.locate`: the critical step of one trajectory, given as text or sampled now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpo import tasks, verifiers
from gpo.cost import Bound, Cost, of_searches, of_sweep
from gpo.explore import Drawn, Explorer, Found, Task
from gpo.objects.trajectory import Trajectory
from gpo.protocols import Policy, Verifier
from gpo.recipe import Locating, Recipe
from gpo.record.runs import curve_line
from gpo.rules import Rule
from gpo.seeds import derive_seed, json_digest
from gpo.setup.engine import check_room, suited
from gpo.setup.given import given_rollout
from gpo.tasks.rows import answer_of
from gpo.types import InputError, Problem, Rollout


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is; printed, it is one line, so that `progress=print` will do."""

    purpose: str
    """Of the rollout that has just come: 'explore' at the prompt, 'values' at a step."""
    rollouts: int
    """Sampled so far."""
    tokens: int
    """Generated so far."""
    most: int
    """That may be generated in all, as far as that is known by now."""

    def __str__(self) -> str:
        what = "completions of the question" if self.purpose == "explore" else "continuations of its steps"
        return f"{self.rollouts} rollouts, {self.tokens:,} of at most {self.most:,} tokens: {what}"


def locate(
    policy: Policy,
    verifier: Verifier | str,
    question: str,
    answer: str | float,
    trace: str | Mapping[str, Any] | list[int] | None = None,
    *,
    rule: Rule = "absolute",
    progress: Callable[[Progress], object] | None = None,
    reward: float | None = None,
    columns: Mapping[str, Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Trajectory:
    """The value curve of a trajectory and the step that `rule` names, as `gpo locate` finds them.

        found = gpo.locate(policy, gpo.verifiers.load("math"), question, answer, trace=text, rule="drop")
        print(found)

    A verifier may be named, as in `gpo.verifiers.load`. `trace` is a completion that you have: its text, one
    assistant message or its token ids. Its outcome is what the verifier says, or `reward`, from 0 to 1.
    Without a trace, `group_size` completions are sampled and the first failed one is searched (`explored`
    chooses another kind). `columns` are what the verifier needs beside question and answer. `settings` are
    those of `gpo.recipe.Locating`: a search generates about search_traces times the trace's tokens.
    `progress` is called in this thread after each rollout. Equal seeds give equal results.

    InputError, before anything is sampled, for a setting, trace or answer that cannot be used; and where the
    sampled completions have none of the kind that is explored.
    """
    recipe = Locating(rule=rule, **settings).part(Recipe, resets=False)
    _check(rule, trace, reward)
    verifier = verifiers.load(verifier) if isinstance(verifier, str) else verifier
    problem = asked(policy, verifier, question, answer, columns or {}, "gpo.locate")
    check_room(policy, [problem])
    given = () if trace is None else (given_rollout(problem, trace, reward, policy, verifier),)
    explorer = Explorer(policy, verifier, suited(recipe, policy), seed=derive_seed(seed, "locate"))
    found = _searched(explorer, Task(0, problem, given), _bound(recipe, policy, given), progress)
    if found is None:
        raise InputError(
            f"explored: {recipe.explored!r} applies to none of the {recipe.group_size} sampled completions; "
            "give explored='all', a larger group_size, or the trace to search"
        )
    labels = {"round": 0, "fingerprint": json_digest(policy.fingerprint), "proposal": found.scores}
    return Trajectory(curve_line(found.located, policy, **labels))


def asked(
    policy: Policy,
    verifier: Verifier,
    question: str,
    answer: object,
    columns: Mapping[str, Any],
    caller: str,
    *,
    needs_answer: bool = True,
) -> Problem:
    """The question as the policy is asked it; InputError for an answer that a file could not hold either.

    Where no answer is needed None may stand for it, and is "".
    """
    known = answer_of({"answer": answer}, "answer", caller) if needs_answer or answer is not None else ""
    row = tasks.Row(f"asked/{json_digest([question, known])}", question, known, columns)
    return tasks.problems([row], policy.prompt_ids, check=verifier.check if known else None)[0]


def _check(rule: str, trace: object, reward: float | None) -> None:
    """InputError for arguments that contradict each other."""
    if rule == "base":
        raise InputError("rule: 'base' looks for no step; give another one, such as drop")
    if trace is None and reward is not None:
        raise InputError("reward: is that of a trace; give the trace, or leave it out")


def _bound(recipe: Recipe, policy: Policy, given: Sequence[Rollout]) -> Bound:
    """What the search costs at most, and the completions before it where there is no trace."""
    most = policy.max_tokens
    cost = Cost(of_searches(recipe, 1, most)) if given else of_sweep(recipe, 1, most)
    return Bound(recipe, most, cost)


def _searched(
    explorer: Explorer, task: Task, bound: Bound, progress: Callable[[Progress], object] | None
) -> Found | None:
    """Works through the task; None where it had no trajectory to search."""
    found, num = None, 0
    for event in explorer.run([task]):
        most = bound.after(event)
        if isinstance(event, Found):
            found = event
        elif isinstance(event, Drawn):
            num += 1
            if progress:
                progress(Progress(event.ask.purpose, num, explorer.tokens, most))
    return found
