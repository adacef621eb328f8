"""Metrics to TensorBoard, Weights & Biases or trackio, through accelerate's trackers.

rounds.jsonl always has them; a tracker is a copy to look at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpo.record import Json
from gpo.types import InputError


def check(names: Sequence[Any]) -> None:
    """InputError if a tracker's library is not installed."""
    for name in names:
        if isinstance(name, str) and find_spec(name) is None:
            raise InputError(f"--track {name}: is not installed; pip install {name}")


class Trackers:
    """The trackers of a run, by accelerate's names; none is a run that is not tracked."""

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
