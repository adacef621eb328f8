"""What a run says of itself while it trains: a bar, a line a round, warnings, trackers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpo.console import Ui
from gpo.learn.watchdog import warnings
from gpo.progress import Progress
from gpo.record import Json, RunFolder
from gpo.report import terminal
from gpo.training.weights import AnySettings, is_cpu
from gpo.types import InputError


class Log:
    """Writes rounds to the terminal and to trackers; a warning is given once, until it was gone."""

    def __init__(
        self, folder: RunFolder, settings: AnySettings, ui: Ui, done: int, drawn: Callable[[], int]
    ) -> None:
        """`done` rounds were complete before; `drawn` counts tokens."""
        self.ui, self.num_rounds, self.budget_tokens = ui, settings.rounds, settings.budget_tokens
        self.trackers = Trackers(settings.track, folder.path, settings.model_dump(), is_cpu=is_cpu(settings))
        self.bar = Progress(ui, "training", "rounds", self.num_rounds, done=done, drawn=drawn)
        self._known: set[str] = set()

    def watch(self, what: str, done: int, total: int) -> None:
        """Shows beside the bar what the round is at; `done` of `total` where parts of it are told."""
        self.bar.stage = f"{what} {f'{done}/' if done else ''}{total}"

    def round(self, lines: Sequence[Json], num_updates: int | None) -> None:
        """Tells about the last of these rounds: beside the bar, or in a line of its own where none is shown.

        Trackers get it at the number of updates, if that is given, and else at the round's.
        """
        last = lines[-1]
        text = terminal.progress(lines, self.num_rounds, self.budget_tokens)
        is_shown = self.bar.is_redrawn
        if not is_shown:
            self.ui.log(text)
        # What is known to go wrong, and the settings to blame, are those of online training.
        learned = [line["metrics"] for line in lines if "train/updates" in line["metrics"]]
        found = warnings([metrics for metrics in learned if "train/rows" not in metrics])
        for name in found.keys() - self._known:
            self.ui.log(f"warning: round {last['round']}: {found[name]}")
        self._known = set(found)
        self.trackers.log(last, num_updates)
        self.bar.at(last["round"])
        self.bar.note = text if is_shown else ""

    def close(self) -> None:
        self.trackers.close()


def check_trackers(names: Sequence[Any]) -> None:
    """InputError if a tracker's library is not installed."""
    for name in names:
        if isinstance(name, str) and find_spec(name) is None:
            raise InputError(f"--track {name}: is not installed; pip install {name}")


class Trackers:
    """Copies of the metrics in TensorBoard, Weights & Biases or trackio, through accelerate's trackers.

    rounds.jsonl always has them. Without names nothing is tracked.
    """

    def __init__(self, names: Sequence[Any], folder: Path, settings: Json, *, is_cpu: bool) -> None:
        self.accelerator: Any = None
        if not names:
            return
        from accelerate import Accelerator

        self.accelerator = Accelerator(cpu=is_cpu, log_with=list(names), project_dir=folder / "trackers")
        plain = {k: v if isinstance(v, str | int | float | bool) else str(v) for k, v in settings.items()}
        self.accelerator.init_trackers("gpo", config=plain)

    def log(self, line: Json, step: int | None = None) -> None:
        """The numbers of a line of rounds.jsonl; its round is the step if there is no other."""
        numbers = dict(line["metrics"])
        numbers |= {f"tokens/{purpose}": float(num) for purpose, num in line["tokens"].items()}
        numbers |= {f"evaluation/{key}": value for key, value in line.get("evaluation", {}).items()}
        self.numbers(numbers, line["round"] if step is None else step)

    def numbers(self, found: Mapping[str, float | None], step: int) -> None:
        """Those of the numbers that are finite, at this step."""
        if self.accelerator is not None:
            finite = {
                key: value for key, value in found.items() if value is not None and math.isfinite(value)
            }
            self.accelerator.log(finite, step=step)

    def close(self) -> None:
        if self.accelerator is not None:
            self.accelerator.end_training()
