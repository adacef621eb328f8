"""The settings of every command, made of those of the parts that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gpo.learn.optimisation import Method, Optimisation, PreferenceOptimisation
from gpo.pairs.parts import Options
from gpo.policies.settings import ActorSettings, AdapterSettings, EngineSettings, check_entropies
from gpo.recipe import Locating, Recipe
from gpo.recipes import RECIPES, RecipeName
from gpo.settings import First, FirstIn, S, Settings, Success, checked, with_new_names
from gpo.step_rewards import StepRewardSettings
from gpo.tasks.settings import NO_TEST, DataSettings, LearningDataSettings, SplitSettings


class OutputSettings(Settings):
    """Where results go."""

    section = "Run"

    output: First[str | None] = Field(
        None, description="Folder for the results; by default the next free runs/COMMAND-SEED"
    )
    seed: int = Field(0, ge=0, description="Seed of every random choice")


class RunSettings(OutputSettings):
    """Where results go, and what bounds the run."""

    section = "Run"

    budget_tokens: int | None = Field(
        None,
        ge=1,
        description="Maximum number of generated tokens, evaluation not counted; training never exceeds it",
    )


class SweepSettings(EngineSettings, DataSettings, SplitSettings, RunSettings, Success, ActorSettings):
    """What goes once over problems, without learning."""


class SampleSettings(SweepSettings):
    """Settings of `gpo sample`."""

    section = "Sampling"

    num: First[int] = Field(4, ge=1, le=100_000, description="Completions per problem")

    @model_validator(mode="after")
    def _differing(self) -> Self:
        if self.num > 1 and self.temperature == 0:
            raise ValueError(f"--num {self.num}: greedy samples of a problem are all alike; give --num 1")
        return self


class EvalSettings(SweepSettings):
    """Settings of `gpo eval`."""

    section = "Evaluation"

    num: First[int] = Field(1, ge=1, le=100_000, description="Completions per problem")
    k: list[str] = Field([], description="k of pass@k and maj@k; repeat it for several; by default 1 and num")
    against: First[str | None] = Field(
        None, description="Model, checkpoint or finished `gpo eval` folder to compare with"
    )
    against_adapter: str | None = Field(None, description="PEFT adapter for the model to compare with")
    export: Literal["lm-eval"] | None = Field(
        None, description="Also write the same evaluation for EleutherAI's harness"
    )


class LocateSettings(SweepSettings, Locating):
    """Settings of `gpo locate`."""

    section = "Given trajectories"

    completion_column: Annotated[str | None, FirstIn("locate")] = Field(
        None,
        description="Column with your own trajectories, as text or token ids; they are searched instead of "
        "sampled ones",
    )
    reward_column: str | None = Field(
        None, description="Column with the rewards of your trajectories; without it they are verified"
    )

    @model_validator(mode="after")
    def _named_by_what_is_there(self) -> Self:
        check_entropies(self, self.rule)
        return self


class EvaluatingSettings(Settings):
    """How a model that learns is evaluated, and what is kept of it."""

    section = "Evaluation and checkpoints"

    eval_task: str | None = Field(
        None, description="Task to evaluate on; by default the training task's test split"
    )
    eval_data: str | None = Field(None, description="File to evaluate on, with the same columns")
    eval_problems: First[int] = Field(200, ge=1, description="Held-out problems of an evaluation")
    eval_num: int = Field(1, ge=1, le=100_000, description="Completions per held-out problem")
    eval_every: int = Field(
        10, ge=0, description="Rounds between evaluations; 0 evaluates before and after training only"
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many evaluations without a new best, and keep the best model"
    )
    keep_checkpoints: int = Field(2, ge=1, description="Number of latest checkpoints to keep")
    track: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="Tracker that also gets the metrics; rounds.jsonl always has them"
    )


class TrainSettings(
    EngineSettings,
    AdapterSettings,
    LearningDataSettings,
    RunSettings,
    Recipe,
    Optimisation,
    StepRewardSettings,
    EvaluatingSettings,
):
    """Settings of `gpo train`."""

    section = "Training"
    mode = "without --method"

    rounds: First[int] = Field(100, ge=1, description="Rounds of sampling and learning")
    recipe: First[RecipeName] = Field(
        "default",
        description="Named settings of what is explored, reset and trained; settings you give win, and the "
        "defaults shown for them are those of `search`",
    )
    step_credit: bool = Field(
        False,
        description="Credit each step of an explored trajectory by its searched values; ppo fits its critic",
    )
    budget_samples: int | None = Field(
        None, ge=1, description="Maximum number of trained rollouts; training never exceeds it"
    )

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if self.engine == "server":
            raise ValueError(
                "engine: a server's weights cannot be updated, so what it samples would soon be another "
                "policy's; train with transformers or vllm, or offline on `gpo pairs --engine server`"
            )
        check_entropies(self, self.rule)
        self.check_budgets(self.max_tokens)
        self.check_groups(self.algorithm)
        if self.top_p < 1 or self.top_k > 0:
            raise ValueError("top_p and top_k: training needs the full distribution; leave them out")
        if self.credit == "split" and self.kl_in == "reward" and self.kl_coef:
            raise ValueError(
                "kl_in: the head of a split trajectory would not be charged for divergence after it; "
                "use loss, or the credit group"
            )
        return self


class DemoSettings(OutputSettings):
    """Settings of `gpo demo`."""

    section = "Run"

    rounds: int = Field(20, ge=1, description="Rounds of sampling and learning")


class RowSettings(Options):
    """How rows for offline training are built."""

    section = "Rows"

    fill: Annotated[int, FirstIn("pairs")] = Field(
        8, ge=0, description="Rollouts to sample where a trajectory has only right or only wrong answers"
    )


class PairsSettings(LocateSettings, RowSettings):
    """Settings of `gpo pairs`."""

    section = "Pairs"

    run: First[str | None] = Field(
        None, description="Finished `gpo locate` run to build from; without it, one is run first"
    )
    split: str = Field("train", description="Split of a task: train, or with --allow-test another one")
    allow_test: bool = Field(False, description=NO_TEST)
    match_budget: bool = Field(
        True, description="With --run, let a baseline sample as many tokens as the search spent"
    )
    hold_out: float = Field(
        0.0, ge=0, lt=1, description="Share of the problems to keep out, written to held_out.jsonl"
    )
    exclude: str | None = Field(
        None, description="File with questions to keep out, such as the evaluation's, in the prompt column"
    )

    def _check_source(self) -> None:
        if self.run is None and (self.task is None) == (self.data is None):
            raise ValueError("--run, --task or --data: give one of them, such as --run runs/located")


class ExportSettings(Settings):
    """Settings of `gpo export`."""

    section = "Export"
    arguments = ("run",)

    run: str = Field(description="Finished `gpo pairs` run")
    to: Literal["trl", "llama-factory", "openrlhf", "ms-swift", "verl", "axolotl", "hub"] = Field(
        description="Trainer, or hub, whose format is written"
    )
    rows: Literal["pairs", "unpaired", "steps", "sft"] = Field("pairs", description="Rows to write")
    allow_test: bool = Field(False, description=NO_TEST)
    output: str | None = Field(None, description="Folder for the files; by default RUN/export-TARGET")
    repo: str | None = Field(None, description="For hub: OWNER/NAME of the dataset")
    push: bool = Field(False, description="For hub: upload to the repo, which needs your token")
    private: bool = Field(False, description="For hub: make the repo private")
    license: str | None = Field(None, description="For hub: licence in the card, as the hub names it")


class PreferenceSettings(
    AdapterSettings,
    LearningDataSettings,
    RunSettings,
    Locating,
    RowSettings,
    PreferenceOptimisation,
    EvaluatingSettings,
):
    """Settings of `gpo train --method`."""

    section = "Training"
    mode = "with --method"

    method: First[Method] = Field(description="Offline loss, by TRL; without it, training is online")
    pairs: First[str | None] = Field(
        None, description="Finished `gpo pairs` run to train on; without it, every round builds its own"
    )
    rounds: int = Field(
        1, ge=1, description="Rounds of sampling, locating, pairing and training; one with --pairs"
    )
    problems_per_round: int = Field(64, ge=1, description="Fresh prompts per round")
    max_length: int | None = Field(
        None, ge=2, description="Leave out rows with more tokens of prompt and answer than this"
    )
    eval_problems: int = Field(200, ge=0, description="Held-out problems of an evaluation; 0 does none")
    eval_every: int = Field(
        1, ge=0, description="Rounds between evaluations; 0 evaluates before and after training only"
    )

    @model_validator(mode="after")
    def _weighable(self) -> Self:
        self.check_budgets(self.max_tokens)
        if self.weight != "none" and self.method == "kto":
            raise ValueError("weight: kto cannot weigh a row; use none, or a method that trains pairs")
        return self

    def _check_source(self) -> None:
        if self.task is not None and self.data is not None:
            raise ValueError("--task or --data: give only one of them")
        if self.pairs is None and self.task is None and self.data is None:
            raise ValueError("--pairs, --task or --data: give one of them, such as --pairs runs/pairs")
        if self.pairs is not None:
            for key in ("rounds", "problems_per_round", *RowSettings.model_fields):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key}: the rows of --pairs are made already; leave it out")


SAMPLED_HOW = ("server", "slots", "request_timeout_s", "retries", "patience_s", "actors", "actor_gpus")
"""Settings of how much is sampled at once and where, which nothing that is sampled depends on."""

MEMORY = ("batch_tokens", "microbatch_tokens", "microbatch")
"""Settings of how much is computed at once: lowered where memory ran out, they change rounding alone."""

EXTENDABLE = ("rounds", "budget_tokens", "budget_samples", "patience", "allow_test", *SAMPLED_HOW, *MEMORY)
"""Settings that may change when a run is resumed: nothing that was sampled depends on them."""


def merged(cls: type[S], values: Mapping[str, Any], origin: Mapping[str, str]) -> S:
    """The settings of these values, after those of the recipe that they name."""
    given = with_new_names(cls, values, origin)
    return checked(cls, _recipe(cls, given) | given, origin)


def _recipe(cls: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the named recipe stands for."""
    if "recipe" not in cls.model_fields:
        return {}
    name = values.get("recipe", cls.model_fields["recipe"].default)
    return RECIPES.get(name, {}) if isinstance(name, str) else {}
