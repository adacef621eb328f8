"""Typed settings of `gpo pairs`, `gpo export` and `gpo train --method`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gpo.config import (
    ALLOW_TEST,
    AdapterSettings,
    LearningDataSettings,
    LocateSettings,
    RunSettings,
    Settings,
    StepSettings,
)

Method = Literal["dpo", "ipo", "kto", "simpo", "orpo"]


class RowSettings(Settings):
    """How rows for offline training are built; gpo.pairs.Options has what each means."""

    at: Literal["critical", "both", "every", "prompt", "random", "entropy", "as-released"] = Field(
        "critical",
        description="where the two answers of a pair part: before the critical step, there and at the "
        "prompt, or before every searched step; the others are baselines",
    )
    pairs_per_problem: int = Field(1, ge=1, description="pairs of one trajectory, at most")
    rows_per_problem: int = Field(
        8, ge=1, description="unpaired and fine-tuning rows of one trajectory, at most"
    )
    target: Literal["full", "step"] = Field(
        "full", description="train all that follows the state, or only its first step"
    )
    length_ratio: float | None = Field(
        None, ge=1, description="longest over shortest answer of a pair, at most; closest lengths come first"
    )
    weight: Literal["none", "advantage", "lower"] = Field(
        "none", description="weight of a pair: 1, the step's |A|, or the lower end of its 95 % interval"
    )
    min_credibility: float = Field(
        0.0, ge=0, le=1, description="least credibility of a critical step that gives rows"
    )
    label_at: float = Field(
        0.2, gt=0, le=1, description="value after a step from which a process-reward row calls it good"
    )
    fill: int = Field(
        8, ge=0, description="rollouts to sample where a trajectory has only right or only wrong answers"
    )


class PairsSettings(LocateSettings, RowSettings):
    """Settings of `gpo pairs`."""

    run: str | None = Field(
        None, description="a finished `gpo locate` to build from; without it, one is run first"
    )
    split: str = Field("train", description="of a task: train, or with --allow-test another one")
    allow_test: bool = Field(False, description=ALLOW_TEST)
    match_budget: bool = Field(
        True, description="with --run, let a baseline sample for the tokens that the search spent"
    )
    hold_out: float = Field(
        0.0, ge=0, lt=1, description="share of the problems to keep out, written to held_out.jsonl"
    )
    exclude: str | None = Field(
        None, description="file with questions to keep out, such as the evaluation's, in the prompt column"
    )

    @model_validator(mode="after")
    def _one_source(self) -> PairsSettings:
        if self.run is None and (self.task is None) == (self.data is None):
            raise ValueError("--run, --task or --data: give one of them, such as --run runs/located")
        return self


class ExportSettings(Settings):
    """Settings of `gpo export`."""

    run: str = Field(description="a finished `gpo pairs`")
    to: Literal["trl", "llama-factory", "openrlhf", "ms-swift", "verl", "axolotl", "hub"] = Field(
        description="whose format to write"
    )
    rows: Literal["pairs", "unpaired", "steps", "sft"] = Field("pairs", description="which rows to write")
    allow_test: bool = Field(False, description=ALLOW_TEST)
    output: str | None = Field(None, description="folder for the files; RUN/export-TARGET by default")
    repo: str | None = Field(None, description="for hub: OWNER/NAME of the dataset")
    push: bool = Field(False, description="for hub: upload to the repo, which needs your token")
    private: bool = Field(False, description="for hub: make the repo private")
    license: str | None = Field(None, description="for hub: the licence in the card, as the hub names it")


class PreferenceSettings(AdapterSettings, LearningDataSettings, RunSettings, StepSettings, RowSettings):
    """Settings of `gpo train --method`."""

    method: Method = Field(description="offline: dpo, ipo, kto, simpo or orpo, on TRL")
    pairs: str | None = Field(
        None, description="a finished `gpo pairs` to train on; without it, every round builds its own"
    )
    rounds: int = Field(
        1, ge=1, description="rounds of sampling, locating, pairing and training; one with --pairs"
    )
    problems_per_round: int = Field(64, ge=1, description="fresh prompts of a round")
    beta: float | None = Field(None, gt=0, description="of the loss; 0.1 by default, 2 for simpo")
    simpo_gamma: float = Field(0.5, ge=0, description="simpo's target margin")
    nll_weight: float = Field(
        0.0, ge=0, description="of an added log-likelihood term on the chosen answer (dpo, ipo, simpo)"
    )
    learning_rate: float = Field(1e-6, gt=0, description="of AdamW")
    warmup_updates: int = Field(8, ge=0, description="updates over which the learning rate rises")
    epochs: int = Field(2, ge=1, description="passes over the rows of a round")
    batch: int = Field(32, ge=1, description="rows of one update")
    microbatch: int = Field(8, ge=1, description="rows of one forward and backward pass")
    max_grad_norm: float = Field(0.5, gt=0, description="gradients are scaled down to this norm")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    max_length: int | None = Field(
        None, ge=2, description="rows with more tokens of prompt and answer are left out"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    bf16: bool = Field(False, description="mixed precision, on hardware that has it")
    save_every: int = Field(0, ge=0, description="updates between checkpoints inside a round; 0 is none")
    track: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="where else metrics go; rounds.jsonl always has them"
    )
    eval_task: str | None = Field(
        None, description="task to evaluate on; the training task's test split by default"
    )
    eval_data: str | None = Field(None, description="file to evaluate on, with the same columns")
    eval_problems: int = Field(200, ge=0, description="held-out problems of an evaluation; 0 is none")
    eval_num: int = Field(1, ge=1, le=100_000, description="completions of each of them")
    keep_checkpoints: int = Field(2, ge=1, description="latest checkpoints to keep")

    @model_validator(mode="after")
    def _one_source(self) -> PreferenceSettings:
        if self.task is not None and self.data is not None:
            raise ValueError("--task or --data: give only one of them")
        if self.pairs is None and self.task is None and self.data is None:
            raise ValueError("--pairs, --task or --data: give one of them, such as --pairs runs/pairs")
        if self.pairs is not None:
            for key in ("rounds", "problems_per_round", *RowSettings.model_fields):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key}: the rows of --pairs are made already; leave it out")
        if self.batch % self.microbatch:
            raise ValueError(
                f"batch: must be a multiple of microbatch, got {self.batch} and {self.microbatch}"
            )
        return self
