"""The settings of the commands that learn and judge a model of values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from gpo.command_settings import OutputSettings
from gpo.policies.settings import AdapterSettings, ModelSettings
from gpo.settings import First
from gpo.tasks.settings import NO_TEST
from gpo.values.settings import ValueOptimisation


def check_distinct(runs: Sequence[str]) -> None:
    """ValueError where a run is named twice, whose counts would count twice."""
    places = [Path(run).resolve() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"--run: {run!r} is given more than once; name each run once")


class ValueEvalSettings(ModelSettings):
    """Settings of `gpo eval --value`."""

    section = "Evaluation"
    mode = "with --value"

    value: First[str] = Field(description="Value model to judge, in place of the model's success rate")
    run: list[str] = Field(
        [],
        description="Finished `gpo locate` or `gpo pairs` of other problems to judge it by; may be repeated",
    )
    data: str | None = Field(
        None,
        description="File of ProcessBench's form, rows of problem, steps and label, to find first errors in",
    )

    @model_validator(mode="after")
    def _judged(self) -> Self:
        check_distinct(self.run)
        if not self.run and self.data is None:
            raise ValueError(
                "--run or --data: give what the value model is judged by, such as --run runs/located"
            )
        return self


class ValueSettings(AdapterSettings, OutputSettings, ValueOptimisation):
    """Settings of `gpo train --method value`."""

    section = "Training"
    mode = "with --method value"

    method: First[Literal["value"]] = Field(
        description="value: learn a model of V from the counts of finished runs, sampling nothing"
    )
    run: First[list[str]] = Field(
        [],
        description="Finished `gpo locate` or `gpo pairs` to learn values from; repeat it for several",
    )
    allow_test: bool = Field(False, description=NO_TEST)

    @model_validator(mode="after")
    def _learnable(self) -> Self:
        check_distinct(self.run)
        if not self.run:
            raise ValueError("--run: needed with --method value: a finished gpo locate or gpo pairs")
        if self.lora_rank and self.head != "linear":
            raise ValueError(
                "lora_rank: an adapter is trained with the head `linear`; `evidence` reads how likely the "
                "policy itself finds the tokens; give --head linear too"
            )
        return self
