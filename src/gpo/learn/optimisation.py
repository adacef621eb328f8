"""The settings of the learner, and which of them have no meaning together."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gpo.learn.advantages import ALGORITHMS, Algorithm
from gpo.learn.critic import CRITICS
from gpo.types import InputError

NORMALISATIONS = ("tokens", "rollouts", "constant")
SCHEDULES = ("constant", "linear", "cosine")
PPO_ONLY = ("critic", "critic_learning_rate", "gae_lambda", "value_clip")


@dataclass(frozen=True)
class Optimisation:
    """Settings of the learner."""

    algorithm: str = "rloo"
    """One of advantages.ALGORITHMS."""
    learning_rate: float = 1e-6
    schedule: str = "constant"
    """How the learning rate falls over `num_rounds`: not, or to 0, linearly or as a cosine."""
    num_rounds: int | None = None
    warmup_updates: int = 8
    """Updates over which the learning rate rises linearly from 0; without it tiny models collapse."""
    minibatch: int = 32
    """Rollouts per update; one that has fewer takes a smaller step, by the square root of its share."""
    epochs: int = 1
    """Passes over the rollouts of a round; the ratio to the policy before the first is clipped."""
    clip: float = 0.2
    clip_high: float | None = None
    """The upper clip where it differs (clip-higher, DAPO, arXiv 2503.14476)."""
    normalisation: str | None = None
    """What a loss is divided by, one of NORMALISATIONS; by default the algorithm's.

    tokens: sampled tokens of the minibatch (DAPO). rollouts: each rollout's mean, then their mean (GRPO
    as published). constant: `loss_constant`, so that rounds are plain sums (Dr. GRPO).
    """
    loss_constant: float | None = None
    """Tokens that `constant` divides by: minibatch times the token limit is usual."""
    kl_coef: float = 0.0
    """Weight of the divergence from the reference policy; 0 needs no reference."""
    kl_in: str = "loss"
    """loss: k3 of every token, as in GRPO. reward: k1, taken off the reward, as in InstructGPT's PPO."""
    mask_truncated: bool = False
    """Whether rollouts that the limit cut are not trained. They count as failures in baselines either way."""
    importance_cap: float = 2.0
    """Bound of the weight pi_trainer / pi_sampler of a token: truncated importance sampling."""
    critic: str = "head"
    """PPO's values, one of CRITICS."""
    critic_learning_rate: float = 1e-3
    gae_lambda: float = 0.95
    value_clip: float | None = 0.2
    max_grad_norm: float = 0.5
    """Of the policy's gradient, and of the critic's, each by itself."""
    weight_decay: float = 0.0
    microbatch_tokens: int = 16_384
    """Rows times padded length of one forward and backward pass; gradients of a minibatch accumulate."""
    gradient_checkpointing: bool = False
    mixed_precision: str = "no"
    """bf16: the network runs in bfloat16, weights and gradients stay as they are."""

    def __post_init__(self) -> None:
        choices = {
            "algorithm": tuple(ALGORITHMS),
            "schedule": SCHEDULES,
            "normalisation": (*NORMALISATIONS, None),
            "kl_in": ("loss", "reward"),
            "critic": CRITICS,
            "mixed_precision": ("no", "bf16"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name}: {getattr(self, name)!r} is unknown; one of {', '.join(filter(None, known))}"
                )
        for name in ("minibatch", "epochs", "microbatch_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: must be at least 1, got {getattr(self, name)}")
        self._check_meaning()

    def _check_meaning(self) -> None:
        """Refuses settings that would do nothing, or something else than they say."""
        defaults = {field.name: field.default for field in fields(self)}
        if self.algorithm != "ppo":
            for name in PPO_ONLY:
                if getattr(self, name) != defaults[name]:
                    raise InputError(
                        f"{name}: only ppo has a critic; {self.algorithm} does not use it; leave it out"
                    )
        if self.schedule != "constant" and not self.num_rounds:
            raise InputError(
                f"num_rounds: the schedule {self.schedule} needs it; give how many there will be"
            )
        if self.norm == "constant" and not self.loss_constant:
            raise InputError("loss_constant: the normalisation `constant` needs it; give a number of tokens")
        if self.norm != "constant" and self.loss_constant is not None:
            raise InputError(f"loss_constant: the normalisation `{self.norm}` does not use it; leave it out")
        if self.kl_in == "reward" and not self.kl_coef:
            raise InputError(
                "kl_in: there is nothing to put into the reward while kl_coef is 0; raise that, or "
                "leave kl_in out"
            )
        if self.clip_high is not None and self.clip_high < self.clip:
            raise InputError(f"clip_high: must be at least clip ({self.clip}), got {self.clip_high}")
        if self.importance_cap < 1:
            raise InputError(f"importance_cap: must be at least 1, got {self.importance_cap}")

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
        done = min(1.0, max(0, round_index - 1) / self.num_rounds) if self.num_rounds else 0.0
        falls = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
        return warmup * falls[self.schedule]
