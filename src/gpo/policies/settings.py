"""Settings of the policy, how it samples, and the engine that samples from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gpo.settings import First, FirstIn, Reading, Settings

TEMPLATE_OWN = (
    *("conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt"),
    *("continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors"),
    *("return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"),
)
"""What this program tells a chat template itself."""


class ModelSettings(Reading):
    """The policy and how it samples."""

    section = "Model and sampling"

    model: First[str] = Field(
        "demo", description="Path or hub name of a causal LM; `demo` is the tiny model in this package"
    )
    adapter: str | None = Field(None, description="Path or hub name of a PEFT adapter for the model")
    trust_remote_code: bool = Field(False, description="Run code that comes with the model")
    device: str | None = Field(None, description="Torch device; by default cuda where there is one, else cpu")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Dtype of the weights"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of torch; 1 for the demo model and torch's choice for others"
    )
    temperature: Annotated[float, FirstIn("sample", "eval")] = Field(
        1.0, ge=0, le=10, description="Sampling temperature; 0 decodes greedily"
    )
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling: probability mass to sample from")
    top_k: int = Field(0, ge=0, description="Number of likeliest tokens to sample from; 0 is all")
    max_tokens: First[int] = Field(512, ge=1, description="Maximum completion length, given prefix included")
    stop: list[str] = Field([], description="String that ends a completion; repeat it for several")
    batch_tokens: int = Field(
        65_536,
        ge=1,
        description="Tokens of one sampling batch: rows times padded length",
    )
    chat: bool = Field(True, description="Ask through the model's chat template, where it has one")
    system_prompt: str | None = Field(None, description="System prompt for the chat template")
    template_args: dict[str, Any] = Field(
        {}, description="Argument for the chat template, such as enable_thinking=false"
    )

    @field_validator("template_args")
    @classmethod
    def _of_the_template(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := [key for key in value if key in TEMPLATE_OWN]:
            raise ValueError(f"{taken[0]} is set by gpo itself; leave it out")
        return value


class EngineSettings(ModelSettings):
    """The policy, and the engine that samples from it."""

    section = "Engine"

    engine: Annotated[
        Literal["transformers", "vllm", "server"], FirstIn("sample", "eval", "locate", "pairs")
    ] = Field(
        "transformers",
        description="Engine that samples: transformers or vLLM in this process, or servers that are running",
    )
    server: list[str] = Field(
        [],
        description="Base URL of a server of the model; repeat it for several; $GPO_API_KEY holds the key",
    )
    served_model: str | None = Field(
        None, description="Name of the model or adapter on the server; by default the only one it serves"
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Rows that the engine works on at once; by default 64 per server and for vLLM, and for "
        "transformers as many as batch_tokens surely hold",
    )
    vllm_args: dict[str, Any] = Field(
        {}, description="Further argument of vLLM's engine, such as tensor_parallel_size=2"
    )
    request_timeout_s: float = Field(600.0, gt=0, description="Seconds that one call to a server may take")
    retries: int = Field(8, ge=0, description="Number of retries of a failed call to a server")
    patience_s: float = Field(
        300.0, ge=0, description="Seconds to wait for servers that are all gone before giving up"
    )
    text_only: bool = Field(
        False, description="Use servers that return no token ids; log-probabilities are then unknown"
    )

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
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


def check_entropies(settings: EngineSettings, rule: str) -> None:
    """ValueError for a rule that would name no step, as the engine gives no entropies to name it by."""
    if rule == "entropy" and settings.engine != "transformers":
        recipe = getattr(settings, "recipe", None)
        of, instead = (f", of the recipe {recipe},", "--recipe search") if recipe else ("", "another rule")
        raise ValueError(
            f"rule: 'entropy'{of} needs token entropies, which engine {settings.engine} does not give; "
            f"give {instead} or --engine transformers"
        )


class ActorSettings(Settings):
    """Sampling on Ray actors."""

    section = "Engine"

    actors: int = Field(
        0, ge=0, description="Ray actors that sample, each with the whole model; 0 samples in this process"
    )
    actor_gpus: float | None = Field(
        None, ge=0, description="GPUs per actor; by default 1 where the cluster has any"
    )


class AdapterSettings(ModelSettings):
    """A model whose weights are trained, or a new adapter of it."""

    section = "LoRA"

    lora_rank: Annotated[int | None, FirstIn("train")] = Field(
        None, ge=1, description="Rank of a new LoRA adapter to train in place of the weights"
    )
    lora_alpha: float | None = Field(
        None, gt=0, description="LoRA alpha, its scale times its rank; by default twice the rank"
    )
    lora_targets: list[str] = Field(
        [], description="Module that the adapter adapts; repeat it for several; by default all linear ones"
    )

    @model_validator(mode="after")
    def _one_adapter(self) -> Self:
        if self.lora_rank and self.adapter:
            raise ValueError(
                "lora_rank: makes a new adapter; with adapter a given one is trained; leave one of them out"
            )
        if not self.lora_rank and (self.lora_alpha or self.lora_targets):
            raise ValueError("lora_alpha and lora_targets: are those of a new adapter; give lora_rank too")
        return self
