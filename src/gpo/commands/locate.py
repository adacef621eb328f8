"""`gpo locate`: one trajectory of each problem is explored, and its critical step named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpo.command_settings import LocateSettings
from gpo.commands import sweep
from gpo.console import Ui
from gpo.outlook import shorter_steps
from gpo.recipe import Recipe
from gpo.record import Json, read_lines, write_json
from gpo.record.lines import CurveLine, RolloutLine
from gpo.report import terminal
from gpo.search import CREDIBLE
from gpo.setup.start import output_folder
from gpo.setup.ways_on import ways_on
from gpo.types import Ids

FIFTHS = 5
States = dict[tuple[str, Ids], tuple[int, int]]
"""By problem and given completion tokens."""
RUNS_OUT = (
    "after this step most rollouts were cut by the token limit, which counts as wrong: it may have cost time "
    "and nothing else; raise --max-tokens"
)
MANY_CUT = 0.1
"""Share of cut value rollouts from which a run says what they do to V."""


def run(
    settings: LocateSettings,
    ui: Ui,
    *,
    resume: Path | None = None,
    is_part: bool = False,
    is_dry: bool = False,
) -> Json:
    """Samples each problem, explores one trajectory of it and names its critical step.

    Where it `is_part` of another command, that one says what comes next.
    """
    recipe = settings.part(Recipe, resets=False)
    path = resume or output_folder(settings.output, "locate", settings.seed)
    if is_dry:
        return sweep.rehearse("locate", settings, recipe, ui, path)
    summary = sweep.sweep("locate", settings, recipe, ui, path, is_resumed=resume is not None)
    summary |= found(read_lines(path / "curves.jsonl", CurveLine), summary["tokens"])
    states = cut_at(read_lines(path / "rollouts.jsonl", RolloutLine))
    summary |= cut(states, read_lines(path / "curves.jsonl", CurveLine))
    write_json(path / "summary.json", summary)
    curves = read_lines(path / "curves.jsonl", CurveLine)
    named = ((one.named.credibility, one) for one in curves if one.named)
    if best := max(named, key=lambda one: one[0], default=None):
        ui.print(terminal.trajectory(best[1]), *([RUNS_OUT] if runs_out(best[1], states) else []), "")
    notes = [*_signal(settings, summary), *_found(summary, recipe)]
    ui.print(sweep.rate(summary), *sweep.costs(summary, notes))
    if not is_part:
        ui.commands(ways_on("locate", path, settings, summary))
    return summary


def found(curves: Iterable[CurveLine], tokens: Json) -> Json:
    """How many trajectories have a critical step, where in the trace, and what one costs in value tokens."""
    num = num_one_step = num_critical = num_credible = num_unscored = num_unseen = 0
    fifths = [0] * FIFTHS
    for curve in curves:
        num += 1
        num_one_step += curve.num_steps == 1
        num_unscored += curve.proposal is None
        num_critical += curve.named is not None
        num_unseen += curve.trusted is not None and curve.tokens == 0
        if curve.named and curve.is_credible(CREDIBLE):
            num_credible += 1
            first, last = curve.bounds[0], curve.bounds[-1]
            start = curve.bounds[curve.named.index]
            fifths[FIFTHS * (start - first) // (last - first)] += 1
    return {
        "trajectories": num,
        "one_step": num_one_step,
        "unscored": num_unscored,
        "critical": num_critical,
        "credible": num_credible,
        "credible_starts_by_fifth": fifths,
        "without_rollouts": num_unseen,
        "value_tokens_per_credible": tokens.get("values", 0) / num_credible if num_credible else None,
    }


def cut_at(rollouts: Iterable[RolloutLine]) -> States:
    """How many rollouts of the searches begin at each state, and how many of them the token limit cut."""
    found: States = {}
    for one in rollouts:
        if one.purpose == "values":
            num, num_cut = found.get((one.problem, one.prefix_ids), (0, 0))
            found[one.problem, one.prefix_ids] = num + 1, num_cut + (not one.finished)
    return found


def runs_out(curve: CurveLine, states: States) -> bool:
    """Whether most of what was sampled after the critical step was cut, so that time may be all it lost."""
    if curve.critical is None:
        return False
    if curve.critical.index == curve.num_steps - 1:
        return not curve.finished
    after = curve.completion_ids[: curve.bounds[curve.critical.index + 1]]
    num, num_cut = states.get((curve.problem, after), (0, 0))
    return 2 * num_cut > num


def cut(states: States, curves: Iterable[CurveLine]) -> Json:
    """How many rollouts of the searches the token limit cut, and how many credible steps that concerns."""
    credible = (one for one in curves if one.is_credible(CREDIBLE))
    return {
        "value_rollouts": sum(num for num, _ in states.values()),
        "value_rollouts_cut": sum(num_cut for _, num_cut in states.values()),
        "credible_cut": sum(runs_out(one, states) for one in credible),
    }


def _found(summary: Json, recipe: Recipe) -> list[str]:
    lines = [
        f"explored {summary['trajectories']} trajectories; a critical step named in {summary['critical']}, "
        f"credible in {summary['credible']} (P(|A| >= 0.2) >= {CREDIBLE})"
    ]
    if summary["one_step"]:
        lines.append(
            f"trajectories with only one step, so nothing to compare: {summary['one_step']}; give "
            + shorter_steps(recipe)
        )
    if recipe.proposal == "self" and summary["unscored"]:
        lines.append(
            f"the model named no step of {summary['unscored']} trajectories (right, a single step, or no "
            "readable answer): their searches began without a proposal"
        )
    if summary["without_rollouts"]:
        lines.append(
            f"{summary['without_rollouts']} searches ended without a rollout: their steps are the value "
            "model's word alone (--trust-value)"
        )
    num, num_cut = summary["value_rollouts"], summary["value_rollouts_cut"]
    if num_cut > MANY_CUT * num:
        lines.append(
            f"the token limit cut {num_cut:,} of {num:,} rollouts of the searches, which count as wrong: V "
            "is also the chance to finish in time; raise --max-tokens"
        )
    if summary["credible_cut"]:
        lines.append(
            f"after {summary['credible_cut']} of the {summary['credible']} credible steps most rollouts were "
            "cut: raise --max-tokens before you believe these"
        )
    if summary["credible"]:
        fifths = " ".join(map(str, summary["credible_starts_by_fifth"]))
        lines.append(
            f"credible steps by the fifth of the trace where they start: {fifths}; "
            f"{summary['value_tokens_per_credible']:,.0f} value-rollout tokens per credible step"
        )
    return lines


def _signal(settings: LocateSettings, summary: Json) -> list[str]:
    """How many problems said nothing; trajectories that were given come one a problem and cannot tell."""
    if settings.completion_column:
        return []
    return [
        f"no signal in {summary['no_signal']} of {summary['problems']} problems (all rollouts ended alike)"
    ]
