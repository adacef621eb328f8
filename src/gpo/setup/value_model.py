"""Settings to a value model that is judged: what it is, what judges it, and the figures in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpo.record import Json, stored_run
from gpo.setup.engine import load_asking, load_policy, load_values
from gpo.setup.located_run import sampled_as
from gpo.value_settings import ValueEvalSettings
from gpo.values.judging import labelled_rows, of_counts, of_labels, of_steps, unseen
from gpo.values.rows import Counted, check_counts, read_counted
from gpo.values.saved import described

SAMPLING = ("temperature", "top_p", "top_k", "max_tokens")
"""What a value model's fingerprint says of how the rollouts were sampled that it learned from."""


class Judge:
    """A value model and what judges it, read and checked before weights load."""

    def __init__(self, settings: ValueEvalSettings) -> None:
        self.about, runs = described(settings.value), [Path(run) for run in settings.run]
        check_counts(runs)
        for run in runs[:1]:
            settings = sampled_as(run, settings)
        if "model" not in settings.model_fields_set:
            origin = {"model": self.about.backbone, "adapter": self.about.backbone_adapter}
            settings = settings.model_copy(update=origin)
        if not runs:
            # Nothing is sampled, so the values are read as they were learned.
            sampling = {name: self.about.fingerprint[name] for name in SAMPLING}
            left = sampling.keys() - settings.model_fields_set
            settings = settings.model_copy(update={name: sampling[name] for name in left})
        self.settings, self.runs = settings, runs
        asking = load_asking(settings)
        self.counted: list[Counted] = []
        if runs:
            counted = read_counted(runs, asking.num_known)
            self.counted = unseen(counted, self.about.problems, " --run ".join(settings.run))
        if settings.data is not None:
            labelled_rows(Path(settings.data))

    def told(self) -> str:
        """What it would read."""
        return f"nothing is sampled; {len(self.counted):,} completions of other problems would be read"

    def figures(self) -> Json:
        """All figures, with their intervals."""
        settings = self.settings
        policy = load_policy(settings)
        values = load_values(settings.value, policy)
        found: Json = {"value": settings.value}
        if self.counted:
            found["counts"] = of_counts(values, self.counted)
            located = [run for run in self.runs if stored_run(run).command == "locate"]
            found["steps"] = of_steps(values, policy, located, self.about.problems)
        if settings.data is not None:
            found["first_errors"] = of_labels(values, policy, Path(settings.data))
        return found


LINES: Sequence[tuple[str, str, str]] = (
    ("log_loss", "log loss of a trial, nats", "log_loss_of_rate"),
    ("brier", "Brier score", "brier_of_rate"),
    ("auc", "AUC of right and wrong continuations", ""),
    ("calibration_error", "calibration error", ""),
)


def report(found: Json) -> list[str]:
    """The figures in words, with 95 % intervals over problems."""
    lines = []
    if counts := found.get("counts"):
        lines.append(
            f"{counts['trials']:,.0f} trials at {counts['states']:,} states of {counts['problems']:,} "
            "problems that it did not learn from (95 % intervals over problems)"
        )
        for name, words, base in LINES:
            other = f"; one rate for all: {shown(counts[base])}" if base else ""
            lines.append(f"{words}: {shown(counts[name])}{other}")
    for kind, one in found.get("steps", {}).items():
        low, high = one["interval"]
        of = "the value model names" if kind == "value" else "entropy names"
        lines.append(
            f"|A| of the step that {of}, over the largest: {one['mean']:.3f} ({low:.3f} to {high:.3f})"
        )
    if labels := found.get("first_errors"):
        lines.append(
            f"first wrong step of {labels['rows']:,} labelled solutions: F1 {shown(labels['f1'])}, found in "
            f"wrong ones {shown(labels['wrong'])}, none seen in right ones {shown(labels['right'])}"
        )
    return lines


def shown(figure: Any) -> str:
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"
