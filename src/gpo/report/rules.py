"""What each rule would have named, from one trajectory's own counts: the rules on the same rollouts."""

from __future__ import annotations

from gpo.record.lines import CurveLine
from gpo.rules import VALUE_RULES
from gpo.search import Search, Settings, adaptive, bisect, uniform

Picks = dict[str, tuple[int, float]]
"""Rule to the step it names and P(that step is the rule's argmax)."""


def picks(line: CurveLine, search: str, num_values: int) -> Picks:
    """The step of every value rule; none of a single step, without rollouts, or where a rule names none.

    The recorded step stands for its own rule. The others are what the run's own search names from the
    recorded counts; here without what a proposal and earlier searches had added to the adaptive one.
    """
    found: Picks = {}
    if line.num_steps > 1 and any(line.trials[:-1]):
        run = told(line, search, num_values)
        for rule in VALUE_RULES:
            run.rule = rule
            if step := run.best():
                found[rule] = step.index, step.probability
    if line.named:
        found[line.named.rule] = line.named.index, line.named.probability
    return found


def told(line: CurveLine, search: str, num_values: int) -> Search:
    """The run's search after the recorded counts, `num_values` rollouts per boundary."""
    outcome = float(line.successes[-1] > 0) if line.trials[-1] else None
    given: Settings = {"num_steps": line.num_steps, "outcome": outcome}
    run: Search
    if search == "adaptive":
        run = adaptive(**given)
    else:
        run = (uniform if search == "uniform" else bisect)(num_values, **given)
    for boundary, (wins, trials) in enumerate(zip(line.successes[:-1], line.trials[:-1], strict=True)):
        run.tell(boundary, wins, trials)
    return run


def agreement(all_picks: list[Picks]) -> dict[str, list[list[int]]]:
    """For every two rules, [R, R]: how often both named a step, and how often the same one."""
    named = [
        [sum(a in picks and b in picks for picks in all_picks) for b in VALUE_RULES] for a in VALUE_RULES
    ]
    same = [
        [
            sum(a in picks and b in picks and picks[a][0] == picks[b][0] for picks in all_picks)
            for b in VALUE_RULES
        ]
        for a in VALUE_RULES
    ]
    return {"named": named, "same": same}
