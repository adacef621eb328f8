"""A located trajectory as one object: what was written, its value curve, and the step that the rule named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from gpo.console import printed
from gpo.curve import Estimate
from gpo.objects.frames import Cells, frame
from gpo.record.base import number
from gpo.record.lines import CurveLine
from gpo.report import notebook, terminal
from gpo.types import CriticalStep, ValueCurve


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What `gpo.locate` returns and `gpo.read_run(path).trajectories` holds.

    `print(trajectory)` shows the table of `gpo locate`; a notebook shows chart and table.
    """

    line: CurveLine
    """All that was recorded: ids, counts, values [S+1], advantages [S], intervals."""

    @property
    def question(self) -> str:
        return self.line.question

    @property
    def answer(self) -> str:
        """The known answer."""
        return self.line.answer

    @property
    def steps(self) -> tuple[str, ...]:
        """[S] the text of every step."""
        return self.line.steps

    @property
    def reward(self) -> float:
        """The trajectory's own outcome, in [0, 1]."""
        return self.line.reward

    @cached_property
    def curve(self) -> ValueCurve:
        """Successes and trials [S+1] at the step bounds; its rollout has no log-probabilities."""
        return ValueCurve(self.line.bounds, self.line.successes, self.line.trials, self.line.rollout)

    @property
    def critical(self) -> CriticalStep | None:
        """The step that the rule named, credible or not; None if it named none."""
        return self.line.critical.step if self.line.critical else None

    @property
    def critical_text(self) -> str | None:
        """The text of the critical step; None if none was named."""
        return self.steps[self.line.critical.index] if self.line.critical else None

    @property
    def estimate(self) -> Estimate:
        """What the search believes: values [S+1], advantages [S] and their 95 % intervals."""
        return self.line.estimate

    @property
    def probabilities(self) -> list[float]:
        """[S] that each step is the one that the rule means; empty where a run did not keep them."""
        return [*map(number, self.line.probabilities)]

    def __str__(self) -> str:
        return printed(terminal.trajectory(self.line))

    def __repr__(self) -> str:
        name, num = self.line.problem, len(self.steps)
        return f"<Trajectory {name!r}: {num} steps, {terminal.naming(self.critical)}>"

    def _repr_html_(self) -> str:
        return notebook.html(self)

    def to_frame(self) -> Any:
        """The steps as a pandas or else polars DataFrame, a row each; InputError if neither is installed.

        `value` is V before the step, `advantage` what the step changed, with its 95 % interval `low` to
        `high`; `successes` of `trials` were sampled right at the step's beginning; `probability` is that of
        being the step that the rule means.
        """
        line, chances = self.line, self.probabilities or [math.nan] * len(self.steps)
        return frame(
            {
                "step": i,
                "text": text,
                "tokens": end - start,
                "value": line.values[i],
                "successes": line.successes[i],
                "trials": line.trials[i],
                "advantage": line.advantages[i],
                "low": line.intervals[i][0],
                "high": line.intervals[i][1],
                "probability": chances[i],
                "is_critical": line.critical is not None and line.critical.index == i,
            }
            for i, (text, (start, end)) in enumerate(zip(self.steps, pairwise(line.bounds), strict=True))
        )


def cells(one: Trajectory) -> Cells:
    """The row of a trajectory in a table of many; what the critical step is comes after what was asked."""
    line, critical = one.line, one.critical
    found: dict[str, Any] = {
        "problem": line.problem,
        "round": line.round,
        "question": line.question,
        "answer": line.answer,
        "text": "".join(line.steps),
        "reward": line.reward,
        "is_finished": line.finished,
        "num_steps": line.num_steps,
        "num_tokens": line.bounds[-1] - line.bounds[0],
        "search_tokens": line.tokens,
    }
    named = ("advantage", "probability", "credibility", "rule")
    found |= {"critical": critical.index if critical else None, "critical_text": one.critical_text}
    found |= {name: getattr(critical, name) if critical else None for name in named}
    low, high = critical.interval if critical else (None, None)
    before = line.values[critical.index] if critical else None
    return found | {"low": low, "high": high, "value_before": before}
