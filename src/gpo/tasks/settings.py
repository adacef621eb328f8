"""Settings of the problems: where their rows are, how they are asked, and how answers are verified."""

from __future__ import annotations

import os
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from gpo.files import check_path
from gpo.settings import First, FirstIn, Settings

TASK_OWN = ("name", "split", "size", "seed", "data_dir")
"""Settings of a task that have their own flags."""


class BenchmarkSettings(Settings):
    """Where the benchmarks' rows are."""

    section = "Data and verifier"

    data_dir: str | None = Field(
        None,
        description="Folder with benchmark files as published; by default $GPO_DATA, else the hub",
    )

    @property
    def data_folder(self) -> str | None:
        """The folder that was named, here or in the environment; None for the hub."""
        folder = self.data_dir or os.environ.get("GPO_DATA") or None
        if folder is not None:
            check_path(folder, "--data-dir" if self.data_dir else "$GPO_DATA")
        return folder


class ColumnSettings(Settings):
    """Which columns of a user's rows hold what."""

    section = "Data and verifier"

    prompt_column: Annotated[str, FirstIn("sample", "eval", "locate", "solve")] = Field(
        "prompt", description="Column with the question"
    )
    answer_column: Annotated[str, FirstIn("sample", "eval", "locate", "solve")] = Field(
        "answer", description="Column with the known answer"
    )


class DataSettings(BenchmarkSettings, ColumnSettings):
    """The problems and how their answers are verified."""

    section = "Data and verifier"

    task: First[str | None] = Field(
        None, description="Benchmark, embedded task, or gym/NAME for a reasoning-gym generator"
    )
    data: First[str | None] = Field(
        None,
        description="Your own problems: FILE.jsonl, FILE.parquet or hub:OWNER/NAME[:CONFIG[:SPLIT]]; "
        "sample, locate, eval and solve also take ray:PATH, read while they run",
    )
    verifier: First[str | None] = Field(
        None,
        description="How answers are verified: exact, number, option, math, bbh, gym, module:function or "
        "file.py:function; by default the task's own",
    )
    verifier_limit_s: float = Field(10.0, gt=0, description="Processor seconds for one answer")
    prompt: str | None = Field(
        None,
        description="Prompt: plain, zero-shot, few-shot or FILE.jinja; by default zero-shot for benchmarks, "
        "else plain",
    )
    shots: int | None = Field(
        None, ge=0, description="Examples of a few-shot prompt; by default as many as in the literature"
    )
    limit: Annotated[int | None, FirstIn("sample", "eval", "locate", "solve", "pairs")] = Field(
        None,
        ge=1,
        description="Maximum number of problems: the first, or evenly spread ones of a benchmark",
    )
    size: int = Field(512, ge=1, le=10_000_000, description="Problems to draw from an embedded task")
    task_options: dict[str, Any] = Field(
        {}, description="Option of a reasoning-gym generator, such as max_terms=4"
    )

    @property
    def needs_answers(self) -> bool:
        """Whether every problem must have a known answer."""
        return True

    @field_validator("task_options")
    @classmethod
    def _of_the_generator(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := [key for key in value if key in TASK_OWN]:
            raise ValueError(f"{taken[0]} has a flag of its own; give --{taken[0].replace('_', '-')}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        self._check_source()
        return self

    def _check_source(self) -> None:
        if (self.task is None) == (self.data is None):
            raise ValueError(
                "--task or --data: give one of them, such as --task chain_sum or --data FILE.jsonl"
            )


class SplitSettings(Settings):
    """Which part of a task."""

    section = "Data and verifier"

    split: Annotated[str, FirstIn("eval")] = Field(
        "test", description="Split of a task: test, train or another one that a benchmark has"
    )


NO_TEST = "Train on rows of a test split, which is refused otherwise"


class LearningDataSettings(DataSettings):
    """The problems of anything that learns."""

    section = "Data and verifier"

    allow_test: bool = Field(False, description=NO_TEST)
    decontaminate: bool = Field(
        True, description="Leave out questions that resemble one of the evaluation or an available benchmark"
    )


class CheckSettings(BenchmarkSettings):
    """Settings of `gpo data check`."""

    section = "Check"
    arguments = ("task",)

    task: str = Field(description="Benchmark to check")
    split: str | None = Field(None, description="Split to check; all by default")
    limit: int | None = Field(None, ge=1, description="Maximum number of rows per split, evenly spread")
    verifier_limit_s: float = Field(20.0, gt=0, description="Processor seconds for one answer")
    seed: int = Field(0, ge=0, description="Seed of the choice of other rows' answers")


class OverlapSettings(BenchmarkSettings, ColumnSettings):
    """Settings of `gpo data overlap`."""

    section = "Overlap"
    arguments = ("file",)

    file: str = Field(description="Training file to compare with the available benchmarks")
