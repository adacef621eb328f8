"""The settings of the learners, online and offline, and which of them have no meaning together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from gpo.learn.advantages import ALGORITHMS, Algorithm
from gpo.settings import FirstIn, Settings
from gpo.types import InputError

PPO_ONLY = ("critic", "critic_learning_rate", "gae_lambda", "value_clip")
Method = Literal["dpo", "ipo", "kto", "simpo", "orpo"]
METHODS: tuple[Method, ...] = get_args(Method)
NLL_METHODS = ("dpo", "ipo", "simpo")
"""Those whose loss takes an added log-likelihood term."""
AlgorithmName = Literal["ppo", "grpo", "dr-grpo", "rloo", "reinforce"]


class Updates(Settings):
    """How weights are updated, online and offline."""

    section = "Optimisation"

    learning_rate: Annotated[float, FirstIn("train")] = Field(1e-6, gt=0, description="AdamW learning rate")
    warmup_updates: int = Field(
        8,
        ge=0,
        description="Updates over which the learning rate rises from 0",
    )
    minibatch: int = Field(32, ge=1, description="Rollouts, or rows of pairs, per update over all processes")
    epochs: int = Field(1, ge=1, description="Passes over the data of a round")
    max_grad_norm: float = Field(
        0.5, gt=0, description="Clip gradients to this norm, the policy's and the critic's each by itself"
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory")
    mixed_precision: Literal["no", "bf16"] = Field(
        "no", description="Compute in bfloat16 (bf16); weights and gradients keep their dtype"
    )


class Optimisation(Updates):
    """Settings of the online learner."""

    algorithm: Annotated[AlgorithmName, FirstIn("train")] = Field("rloo", description="Advantage estimator")
    rounds: int | None = Field(None, ge=1, description="Rounds over which the schedule falls")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the learning rate falls over the rounds, to 0 at the end"
    )
    clip: float = Field(0.2, gt=0, description="Clip range of the importance ratio")
    clip_high: float | None = Field(
        None, gt=0, description="Upper clip range where it differs (clip-higher, DAPO)"
    )
    normalisation: Literal["tokens", "rollouts", "constant"] | None = Field(
        None,
        description="What a loss is divided by: all tokens of the minibatch (tokens: DAPO), each rollout's "
        "tokens and then the rollouts (rollouts: GRPO as published), or loss_constant (constant: Dr. GRPO); "
        "by default the algorithm's own",
    )
    loss_constant: float | None = Field(
        None,
        gt=0,
        description="Tokens that `constant` divides by; on the command line, minibatch times max_tokens by "
        "default",
    )
    kl_coef: float = Field(
        0.0, ge=0, description="Weight of the KL penalty to the initial policy; 0 loads no reference"
    )
    kl_in: Literal["loss", "reward"] = Field(
        "loss", description="Apply the KL penalty in the loss (k3 per token) or in the reward (k1)"
    )
    ib_coef: float = Field(
        0.0,
        ge=0,
        description="Weight of the information-bottleneck regulariser (IBRO): each token's entropy times its "
        "advantage; 0 leaves it out",
    )
    step_reward_weight: float = Field(
        0.1, gt=0, description="Weight of what the rewards of steps add to the advantages of their tokens"
    )
    mask_truncated: bool = Field(
        False, description="Do not train on rollouts that the limit cut off; they still count as failures"
    )
    importance_cap: float = Field(
        2.0,
        ge=1,
        description="Cap of a token's weight pi_trainer / pi_sampler, which corrects for the engine",
    )
    critic: Literal["head", "model"] = Field(
        "head", description="PPO's critic: a head on the policy's hidden states, or a model of its own"
    )
    critic_learning_rate: float = Field(1e-3, gt=0, description="Learning rate of PPO's critic")
    gae_lambda: float = Field(
        0.95, ge=0, le=1, description="Lambda of PPO's advantage estimates; 1 is the whole return"
    )
    value_clip: float | None = Field(0.2, gt=0, description="How far PPO's values may move in one round")
    microbatch_tokens: int = Field(
        16_384, ge=1, description="Tokens of one forward and backward pass: rows times padded length"
    )

    renamed: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {"num_rounds": ("rounds", {})}

    @model_validator(mode="after")
    def _learner(self) -> Self:
        """Refuses settings that would do nothing, or something else than they say."""
        if self.algorithm != "ppo":
            for name in PPO_ONLY:
                if getattr(self, name) != Optimisation.model_fields[name].default:
                    raise ValueError(
                        f"{name}: only ppo has a critic; {self.algorithm} does not use it; leave it out"
                    )
        if self.norm != "constant" and self.loss_constant is not None:
            raise ValueError(f"loss_constant: the normalisation `{self.norm}` does not use it; leave it out")
        if self.kl_in == "reward" and not self.kl_coef:
            raise ValueError("kl_in: has no effect while kl_coef is 0; raise that, or leave kl_in out")
        if self.clip_high is not None and self.clip_high < self.clip:
            raise ValueError(f"clip_high: must be at least clip ({self.clip}), got {self.clip_high}")
        return self

    @property
    def how(self) -> Algorithm:
        return ALGORITHMS[self.algorithm]

    @property
    def norm(self) -> str:
        """The normalisation in force."""
        return self.normalisation or self.how.normalisation

    @property
    def ratio_bounds(self) -> tuple[float, float]:
        """What the importance ratio is clipped to."""
        return 1 - self.clip, 1 + (self.clip if self.clip_high is None else self.clip_high)

    def rate_factor(self, update: int, round_index: int) -> float:
        """What the learning rate is multiplied by in an update, from 0, of a round, from 1."""
        warmup = min(1.0, (update + 1) / max(1, self.warmup_updates))
        done = min(1.0, max(0, round_index - 1) / self.rounds) if self.rounds else 0.0
        falls = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
        return warmup * falls[self.schedule]

    def check_complete(self) -> None:
        """InputError where a setting needs another one that only the caller knows."""
        if self.schedule != "constant" and not self.rounds:
            raise InputError(f"rounds: the schedule {self.schedule} needs it; give how many there will be")
        if self.norm == "constant" and not self.loss_constant:
            raise InputError("loss_constant: the normalisation `constant` needs it; give a number of tokens")


class PreferenceOptimisation(Updates):
    """Settings of the offline learner, whose losses are TRL's."""

    method: Method = Field("dpo", description="Offline loss")
    beta: float | None = Field(None, gt=0, description="Beta of the loss; 0.1 by default, 2 for simpo")
    simpo_gamma: float = Field(0.5, ge=0, description="Target margin of simpo")
    nll_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of an added log-likelihood term on the chosen answer, for dpo, ipo and simpo",
    )
    epochs: int = Field(2, ge=1, description="Passes over the data of a round")
    microbatch: int = Field(
        8,
        ge=1,
        description="Rows of one forward and backward pass; kto estimates its reference point from one",
    )
    save_every: int = Field(0, ge=0, description="Updates between checkpoints inside a round; 0 makes none")

    renamed: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {
        "batch": ("minibatch", {}),
        "bf16": ("mixed_precision", {True: "bf16", False: "no", "true": "bf16", "false": "no"}),
    }

    @model_validator(mode="after")
    def _method(self) -> Self:
        if self.nll_weight and self.method not in NLL_METHODS:
            reason = "has a log-likelihood term of weight 1 already" if self.method == "orpo" else "has none"
            raise ValueError(f"nll_weight: {self.method} {reason}; it is for {', '.join(NLL_METHODS)}")
        if self.method == "kto" and self.microbatch < 2:
            raise ValueError("microbatch: kto estimates its reference point from a batch; give at least 2")
        if self.minibatch % self.microbatch:
            raise ValueError(
                f"minibatch: must be a multiple of microbatch, got {self.minibatch} and {self.microbatch}"
            )
        return self
