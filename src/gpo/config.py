"""Typed settings of every command, read from a YAML file and from flags; flags win.

One class per command. Each field is at once a key of the YAML file and a flag (`group_size` and
`--group-size`), and its description is the flag's help.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from gpo.files import check_path, read_text
from gpo.limits import check_given, check_number, shown
from gpo.recipe import RECIPES
from gpo.types import InputError
from gpo.yaml_text import parse_yaml

RecipeName = Literal["default", "base", "random", "paper", "as-released", "tree", "pivot"]
Purpose = Literal["explore", "values", "resets", "archive"]
Explored = Literal["failed", "mixed", "unsolved", "succeeded", "all"]
EXPLORED_HELP = (
    "trajectories to explore: a failed one of every group, only of mixed groups, only of groups that are all "
    "wrong; a successful one of mixed groups; any"
)
Rule = Literal["signed", "absolute", "drop", "as-released", "entropy", "random", "base"]
SplitterName = Literal["newline", "as-released", "sentence", "fixed"]


Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
MAX_CONFIG_BYTES = 2**20
TEMPLATE_OWN = (
    *("conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt"),
    *("continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors"),
    *("return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"),
)
"""What this program tells a chat template itself."""
TASK_OWN = ("name", "split", "size", "seed", "data_dir")
"""Settings of a task that have flags of their own."""


class Settings(BaseModel):
    """Frozen, and no key is accepted that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: Any, info: ValidationInfo) -> Any:
        key = str(info.field_name)
        check_given(key, value, cls.model_fields[key].annotation)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _within_bounds(cls, value: Any, info: ValidationInfo) -> Any:
        check_number(str(info.field_name), value)
        return value


class ModelSettings(Settings):
    """The policy and how it samples."""

    model: str = Field(
        "demo", description="path or hub name of a causal LM; `demo` is the tiny model in this package"
    )
    adapter: str | None = Field(None, description="path or hub name of a PEFT adapter for it")
    trust_remote_code: bool = Field(False, description="run code that comes with the model")
    device: str | None = Field(None, description="torch device; cuda where there is one, else cpu")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="dtype of the weights"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of torch; its own choice, but 1 for the demo model"
    )
    temperature: float = Field(1.0, ge=0, le=10, description="of sampling; 0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus of sampling")
    top_k: int = Field(0, ge=0, description="most likely tokens to sample from; 0 is all")
    max_tokens: int = Field(512, ge=1, description="tokens of a completion, given prefix included")
    stop: list[str] = Field([], description="strings that end a completion")
    batch_tokens: int = Field(
        65_536, ge=1, description="tokens of one sampling batch: rows times padded length"
    )
    chat: bool = Field(True, description="ask through the model's chat template, where it has one")
    system_prompt: str | None = Field(None, description="system prompt for the chat template")
    template_args: dict[str, Any] = Field(
        {}, description="arguments for the chat template, such as enable_thinking=false"
    )
    thinking_marks: list[Pair] = Field(
        [],
        description="further marks of thinking, which no reader sees: what opens it and what closes it",
    )

    @field_validator("thinking_marks")
    @classmethod
    def _two_marks(cls, pairs: list[list[str]]) -> list[list[str]]:
        for opened, closed in pairs:
            if not opened.strip() or not closed.strip() or opened == closed:
                raise ValueError(f"{opened!r} {closed!r} are not two different marks; give a pair of them")
        return pairs

    @field_validator("template_args")
    @classmethod
    def _of_the_template(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := [key for key in value if key in TEMPLATE_OWN]:
            raise ValueError(f"{taken[0]} is set by gpo itself; leave it out")
        return value


class EngineSettings(ModelSettings):
    """The policy, and the engine that samples from it."""

    engine: Literal["transformers", "vllm", "server"] = Field(
        "transformers",
        description="what samples: transformers or vLLM in this process, or servers that run already",
    )
    server: list[str] = Field(
        [],
        description="base URL of a server of the model, as often as there are servers; its key, if it wants "
        "one, is read from $GPO_API_KEY",
    )
    served_model: str | None = Field(
        None, description="the model's name there, or its adapter's; by default the only one it serves"
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="rows that the engine works on at once: 64 of each server and of vLLM, and as many as "
        "batch_tokens surely hold of transformers",
    )
    vllm_args: dict[str, Any] = Field(
        {}, description="further arguments of vLLM's engine, such as tensor_parallel_size=2"
    )
    request_timeout_s: float = Field(600.0, gt=0, description="time limit of one call of a server")
    retries: int = Field(8, ge=0, description="times that a failed call of a server is tried again")
    patience_s: float = Field(
        300.0, ge=0, description="how long to wait for servers that are all gone, before giving up"
    )
    text_only: bool = Field(
        False, description="use servers that know no token ids; log-probabilities are then unknown"
    )

    @model_validator(mode="after")
    def _one_engine(self) -> EngineSettings:
        if self.engine == "server" and not self.server:
            raise ValueError("engine: server needs the URL of one; give server")
        if self.engine != "server":
            for key in ("server", "served_model", "text_only"):
                if getattr(self, key):
                    raise ValueError(f"{key}: is for engine server, not {self.engine}")
        if self.engine != "vllm" and self.vllm_args:
            raise ValueError(f"vllm_args: is for engine vllm, not {self.engine}")
        if self.engine == "server" and self.adapter:
            raise ValueError("adapter: a server has its adapters already; name one with served_model")
        return self


class BenchmarkSettings(Settings):
    """Where the benchmarks' rows are."""

    data_dir: str | None = Field(
        None, description="folder with benchmark files in upstream's schema; $GPO_DATA, else the hub"
    )

    @property
    def data_folder(self) -> str | None:
        """The folder that was named, here or in the environment; None for the hub."""
        folder = self.data_dir or os.environ.get("GPO_DATA") or None
        if folder is not None:
            check_path(folder, "--data-dir" if self.data_dir else "$GPO_DATA")
        return folder


class CheckSettings(BenchmarkSettings):
    """Settings of `gpo data check`."""

    task: str = Field(description="the benchmark")
    split: str | None = Field(None, description="one split; all by default")
    limit: int | None = Field(None, ge=1, description="only so many rows of a split, evenly spread")
    verifier_limit_s: float = Field(20.0, gt=0, description="seconds for one answer")
    seed: int = Field(0, ge=0, description="of the choice of other rows' answers")


class DataSettings(BenchmarkSettings):
    """The problems and how their answers are verified."""

    task: str | None = Field(
        None, description="a benchmark, an embedded task, or gym/NAME for a reasoning-gym generator"
    )
    data: str | None = Field(
        None,
        description="your own problems: FILE.jsonl, FILE.parquet or hub:OWNER/NAME[:CONFIG[:SPLIT]]; "
        "for sample and locate also ray:PATH, read as it is needed",
    )
    prompt_column: str = Field("prompt", description="column with the question")
    answer_column: str = Field("answer", description="column with the known answer")
    verifier: str | None = Field(
        None,
        description="exact, number, option, math, bbh, gym, module:function or file.py:function; "
        "default: the task's own",
    )
    verifier_limit_s: float = Field(10.0, gt=0, description="processor seconds for one answer")
    prompt: str | None = Field(
        None,
        description="plain, zero-shot, few-shot or FILE.jinja; a benchmark's own is zero-shot, else plain",
    )
    shots: int | None = Field(None, ge=0, description="examples of a few-shot prompt; as in the literature")
    limit: int | None = Field(
        None, ge=1, description="use only so many problems: the first, or of a benchmark evenly spread ones"
    )
    size: int = Field(512, ge=1, le=10_000_000, description="problems to draw from an embedded task")
    task_options: dict[str, Any] = Field(
        {}, description="options of a reasoning-gym generator, such as max_terms=4"
    )

    @field_validator("task_options")
    @classmethod
    def _of_the_generator(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := [key for key in value if key in TASK_OWN]:
            raise ValueError(f"{taken[0]} has a flag of its own; give --{taken[0].replace('_', '-')}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if (self.task is None) == (self.data is None):
            raise ValueError(
                "--task or --data: give one of them, such as --task chain_sum or --data FILE.jsonl"
            )
        return self


class OverlapSettings(BenchmarkSettings):
    """Settings of `gpo data overlap`."""

    file: str = Field(description="the training file")
    prompt_column: str = Field("prompt", description="column with the question")
    answer_column: str = Field("answer", description="column with the known answer")


class RunSettings(Settings):
    """Where results go, and what bounds the run."""

    output: str | None = Field(
        None, description="folder for results; by default the next free runs/COMMAND-SEED"
    )
    seed: int = Field(0, ge=0, description="of every random choice")
    success_at: float = Field(1.0, gt=0, le=1, description="a reward of at least this is a success")
    budget_tokens: int | None = Field(
        None,
        ge=1,
        description="generated tokens, evaluation not counted; training never exceeds them",
    )


class StepSettings(Settings):
    """How a trajectory is cut into steps and its critical step is named."""

    splitter: SplitterName = Field("newline", description="how completions are cut into steps")
    min_step_tokens: int = Field(30, ge=1, description="shorter steps are merged")
    max_steps: int = Field(30, ge=1, description="the rest is one step")
    fixed_step_tokens: int = Field(64, ge=1, description="length of a step of the splitter `fixed`")
    rule: Rule = Field("absolute", description="which step is critical; `base` looks for none")
    search: Literal["adaptive", "uniform", "bisect"] = Field(
        "adaptive", description="how rollouts are spread over step boundaries; `uniform` is the paper's"
    )
    search_traces: float = Field(8.0, gt=0, description="budget of a search, in lengths of its trajectory")
    values: int = Field(4, ge=1, description="rollouts per boundary of the searches `uniform` and `bisect`")
    proposal: str = Field(
        "entropy",
        description="cheap look at the steps from which the adaptive search starts: entropy, surprisal, "
        "forced-answer, none, or module:function, your own judge",
    )
    forced_answer: str = Field(
        "\nThe answer is {answer}", description="what the proposal `forced-answer` puts after each step"
    )
    explored: Explored = Field("failed", description=EXPLORED_HELP)
    group_size: int = Field(8, ge=1, description="rollouts from a prompt, and from a reset state")


class SplitSettings(Settings):
    """Which part of a task."""

    split: str = Field("test", description="of a task: test, train or what else a benchmark has")


class ActorSettings(Settings):
    actors: int = Field(
        0, ge=0, description="Ray actors that sample, each with the whole model; 0 samples in this process"
    )
    actor_gpus: float | None = Field(
        None, ge=0, description="GPUs of each actor; by default 1 where the cluster has any"
    )


class SampleSettings(EngineSettings, DataSettings, SplitSettings, RunSettings, ActorSettings):
    """Settings of `gpo sample`."""

    num: int = Field(4, ge=1, le=100_000, description="completions of each problem")

    @model_validator(mode="after")
    def _differing(self) -> Self:
        if self.num > 1 and self.temperature == 0:
            raise ValueError(f"--num {self.num}: greedy samples of a problem are all alike; give --num 1")
        return self


class EvalSettings(EngineSettings, DataSettings, SplitSettings, RunSettings):
    """Settings of `gpo eval`."""

    num: int = Field(1, ge=1, le=100_000, description="completions of each problem")
    k: list[str] = Field([], description="of pass@k and maj@k, as often as wanted; by default 1 and num")
    against: str | None = Field(
        None, description="another model, checkpoint or finished `gpo eval` folder to compare with"
    )
    against_adapter: str | None = Field(None, description="PEFT adapter for that model")
    export: Literal["lm-eval"] | None = Field(
        None, description="also write the same evaluation for EleutherAI's harness"
    )


class LocateSettings(EngineSettings, DataSettings, SplitSettings, RunSettings, StepSettings, ActorSettings):
    """Settings of `gpo locate`."""

    completion_column: str | None = Field(
        None,
        description="column with your own trajectories, as text or token ids, to search instead",
    )
    reward_column: str | None = Field(None, description="column with their rewards; verified if not given")


ALLOW_TEST = "train on rows of a test split all the same, which is otherwise refused"


class LearningDataSettings(DataSettings):
    """The problems of anything that learns."""

    allow_test: bool = Field(False, description=ALLOW_TEST)
    decontaminate: bool = Field(
        True, description="leave out questions that resemble one of the evaluation or of a benchmark at hand"
    )


class AdapterSettings(ModelSettings):
    """A model whose weights are trained, or a new adapter of it."""

    lora_rank: int | None = Field(None, ge=1, description="train a new LoRA adapter of this rank instead")
    lora_alpha: float | None = Field(
        None, gt=0, description="its scale times its rank; twice the rank by default"
    )
    lora_targets: list[str] = Field([], description="modules it adapts; all linear ones by default")

    @model_validator(mode="after")
    def _one_adapter(self) -> Self:
        if self.lora_rank and self.adapter:
            raise ValueError(
                "lora_rank: makes a new adapter; with adapter a given one is trained; leave one of them out"
            )
        if not self.lora_rank and (self.lora_alpha or self.lora_targets):
            raise ValueError("lora_alpha and lora_targets: are those of a new adapter; give lora_rank too")
        return self


class TrainSettings(EngineSettings, AdapterSettings, LearningDataSettings, RunSettings, StepSettings):
    """Settings of `gpo train`."""

    rounds: int = Field(100, ge=1, description="rounds of sampling and learning")
    problems_per_round: int = Field(16, ge=1, description="fresh prompts of a round")
    max_located: int = Field(8, ge=1, description="trajectories explored in a round, at most")
    explored: Explored = Field("succeeded", description=EXPLORED_HELP)
    recipe: RecipeName = Field(
        "default", description="named settings of what is explored, reset and trained; others given win"
    )
    reset_size: int = Field(8, ge=1, description="rollouts from a reset or archived state")
    reset_at: Literal["critical", "signal"] = Field(
        "critical", description="reset before the critical step, or near it where V(1 - V) is highest"
    )
    max_reset_frac: float = Field(
        0.5, ge=0, lt=1, description="share of a round's groups at reset and archived states, at most"
    )
    archived: int = Field(8, ge=0, description="groups of a round at states of earlier rounds, at most")
    archive_of: Literal["succeeded", "all"] = Field(
        "succeeded", description="keep states of successful trajectories, or of all explored ones"
    )
    archive_at: Literal["backward", "signal"] = Field(
        "backward",
        description="sample the last state of a kept trajectory that is not mastered, or of most V(1 - V)",
    )
    archive_per_problem: int = Field(2, ge=1, description="trajectories kept of a problem")
    archive_decay: float = Field(0.7, ge=0, le=1, description="of old counts, each round")
    share: Literal["auto", "signal", "fixed"] = Field(
        "auto",
        description="search, resets and archive get tokens while they bring more signal for them than fresh "
        "prompts, or always; auto is the former with a token budget and the latter without",
    )
    trained: list[Purpose] = Field(
        ["explore", "values", "resets", "archive"], description="rollouts of these purposes train"
    )
    credit: Literal["group", "split"] = Field(
        "group",
        description="compare a prompt's rollouts with each other, or split an explored one at its reset",
    )
    splice: bool = Field(
        False,
        description="the best rollout at the reset state replaces the explored one and trains, prefix too",
    )
    budget_samples: int | None = Field(None, ge=1, description="trained rollouts, never exceeded")
    algorithm: Literal["ppo", "grpo", "dr-grpo", "rloo", "reinforce"] = Field(
        "rloo", description="what an advantage is: a critic's, or a comparison within a group or the round"
    )
    learning_rate: float = Field(1e-6, gt=0, description="of AdamW")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate falls over the rounds, to 0 at their end"
    )
    warmup_updates: int = Field(8, ge=0, description="updates over which the learning rate rises")
    minibatch: int = Field(32, ge=1, description="rollouts of one update, over all processes")
    epochs: int = Field(1, ge=1, description="passes over the rollouts of a round")
    clip: float = Field(0.2, gt=0, description="bound of the importance ratio")
    clip_high: float | None = Field(None, gt=0, description="its upper bound where it differs (clip-higher)")
    normalisation: Literal["tokens", "rollouts", "constant"] | None = Field(
        None, description="what a loss is divided by; by default tokens, and the constant for dr-grpo"
    )
    loss_constant: float | None = Field(
        None, gt=0, description="that constant, in tokens; minibatch times max_tokens by default"
    )
    kl_coef: float = Field(0.0, ge=0, description="weight of the divergence from the policy at the start")
    kl_in: Literal["loss", "reward"] = Field(
        "loss", description="where it goes: k3 of each token in the loss, or k1 in the reward"
    )
    mask_truncated: bool = Field(
        False, description="do not train on rollouts that the limit cut; they still count as failures"
    )
    step_credit: bool = Field(
        False,
        description="explored trajectories: credit each step by its searched values; ppo fits its critic",
    )
    importance_cap: float = Field(
        2.0, ge=1, description="bound of the weights that correct for an engine unlike the trainer"
    )
    critic: Literal["head", "model"] = Field(
        "head", description="ppo's values: a head on the policy's hidden states, or a model of their own"
    )
    critic_learning_rate: float = Field(1e-3, gt=0, description="of ppo's critic")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="of ppo's advantages; 1 is the whole return")
    value_clip: float | None = Field(0.2, gt=0, description="how far ppo's values move in a round")
    max_grad_norm: float = Field(0.5, gt=0, description="gradients are scaled down to this norm")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    microbatch_tokens: int = Field(16_384, ge=1, description="tokens of one forward and backward pass")
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    mixed_precision: Literal["no", "bf16"] = Field(
        "no", description="bf16: compute in bfloat16, keep float32 weights"
    )
    eval_task: str | None = Field(
        None, description="task to evaluate on; the training task's test split by default"
    )
    eval_data: str | None = Field(None, description="file to evaluate on, with the same columns")
    eval_problems: int = Field(200, ge=1, description="held-out problems of an evaluation")
    eval_num: int = Field(1, ge=1, le=100_000, description="completions of each of them")
    eval_every: int = Field(10, ge=0, description="rounds between evaluations; 0 is only before and after")
    patience: int | None = Field(
        None, ge=1, description="stop after so many evaluations without a new best, and keep the best model"
    )
    keep_checkpoints: int = Field(2, ge=1, description="latest checkpoints to keep")
    track: list[Literal["tensorboard", "wandb", "trackio"]] = Field(
        [], description="also send metrics there; rounds.jsonl always has them"
    )

    @model_validator(mode="after")
    def _trainable(self) -> TrainSettings:
        if self.engine == "server":
            raise ValueError(
                "engine: a server's weights cannot be updated, so what it samples would soon be another "
                "policy's; train with transformers or vllm, or offline on `gpo pairs --engine server`"
            )
        if self.top_p < 1 or self.top_k > 0:
            raise ValueError(
                "top_p and top_k: a token that they make likelier would train as if it were not; "
                "training samples from all tokens, so leave them out"
            )
        if self.credit == "split" and self.kl_in == "reward":
            raise ValueError(
                "kl_in: the head of a split trajectory would not be charged for divergence after it; "
                "use loss, or the credit group"
            )
        return self


class DemoSettings(Settings):
    """Settings of `gpo demo`."""

    output: str | None = Field(
        None, description="folder for results; by default the next free runs/demo-SEED"
    )
    seed: int = Field(0, ge=0, description="of every random choice")
    rounds: int = Field(20, ge=1, description="rounds of sampling and learning")


SAMPLED_HOW = ("server", "slots", "request_timeout_s", "retries", "patience_s", "actors", "actor_gpus")
"""Settings of how much is sampled at once and where, which nothing that is sampled depends on."""

MEMORY = ("batch_tokens", "microbatch_tokens", "microbatch")
"""Settings of how much is computed at once: lowered where memory ran out, they change rounding alone."""

EXTENDABLE = ("rounds", "budget_tokens", "budget_samples", "allow_test", *SAMPLED_HOW, *MEMORY)
"""Settings that may change when a run is resumed: nothing that was sampled depends on them."""

ARGUMENTS = {("ExportSettings", "run"), ("CheckSettings", "task"), ("OverlapSettings", "file")}
"""Settings that are arguments on the command line, not flags."""

S = TypeVar("S", bound=Settings)


def load_settings(cls: type[S], config: Path | None, flags: Mapping[str, Any]) -> S:
    """The settings of a YAML file overlaid by flags; InputError names the first wrong key and value."""
    values = read_yaml(config) if config else {}
    origin = origins(config, values, flags)
    values = _recipe(cls, {**values, **flags}) | values
    try:
        return cls(**{**values, **flags})
    except ValidationError as error:
        raise InputError(_message(error, cls, origin)) from None


def check_stored(cls: type[S], run: Path, stored: Mapping[str, Any]) -> S:
    """The settings in a run's run.json that are of this kind; InputError names file, setting and value."""
    origin = {key: f"{run / 'run.json'}: settings.{key}" for key in stored}
    try:
        return cls(**{key: value for key, value in stored.items() if key in cls.model_fields})
    except ValidationError as error:
        raise InputError(_message(error, cls, origin)) from None


def origins(config: Path | None, values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, str]:
    """Where each setting was given, as messages name it: '--group-size', or 'FILE: group_size'."""
    flagged = {key: "--" + key.replace("_", "-") for key in flags}
    return {key: f"{config}: {key}" for key in values} | flagged


def _recipe(cls: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the named recipe stands for."""
    if "recipe" not in cls.model_fields:
        return {}
    name = values.get("recipe", cls.model_fields["recipe"].default)
    return RECIPES.get(name, {}) if isinstance(name, str) else {}


def _message(error: ValidationError, cls: type[Settings], origin: Mapping[str, str]) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(cls.model_fields)}"
        return f"{origin.get(key, key)}: unknown setting{hint}"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{_flag(cls, key)}: is required; give {_choices(cls, key)}"
    got = "" if key == "server" else f", got {shown(first['input'])}"  # a URL may hold a key
    return f"{origin.get(key, key)}: {message[0].lower()}{message[1:]}{got}"


def _flag(cls: type[Settings], key: str) -> str:
    """How a setting is given on the command line; those of `ARGUMENTS` stand there without a flag."""
    return key.upper() if (cls.__name__, key) in ARGUMENTS else "--" + key.replace("_", "-")


def _choices(cls: type[Settings], key: str) -> str:
    """What a setting may be, or what it is."""
    values = get_args(cls.model_fields[key].annotation)
    return f"one of {', '.join(map(str, values))}" if values else str(cls.model_fields[key].description)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a settings file; InputError if it holds anything else."""
    name = f"--config {path}"
    text = read_text(path, name, MAX_CONFIG_BYTES)
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{name}: cannot be read as YAML ({error}); correct that line") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(
            f"{name}: must hold `key: value` lines, found {type(content).__name__}; write one setting a line"
        )
    return content


def fields(cls: type[Settings]) -> Iterator[tuple[str, Any, str]]:
    """(key, default, description) of every setting."""
    for key, info in cls.model_fields.items():
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        yield key, default, info.description or ""
