"""Groups to weights: policy gradient with group-relative advantages (RLOO, GRPO).

The advantage of a rollout compares it with the others from the same state, so a reset group has its
own baseline. Only sampled tokens are trained: the prompt and a given prefix are context.

    loss = - mean over sampled tokens of min(ratio * A, clip(ratio, 1 - c, 1 + c) * A)

with ratio = pi / pi_sampling of the token. At the first update the ratio is 1 and the gradient is
REINFORCE's; later minibatches of the same round are slightly off-policy, which the clip bounds
(PPO, arXiv 1707.06347). A group whose rewards are all equal has no gradient and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.utils import clip_grad_norm_

from gpo.learn.logprobs import ActionLogprobs
from gpo.types import Group, InputError, Rollout, derive_seed

Advantages = Callable[[Sequence[float]], list[float]]
"""Rewards [G] of one group to advantages [G]."""


def rloo(rewards_G: Sequence[float]) -> list[float]:
    """[G] reward minus the mean of the others (REINFORCE leave-one-out, arXiv 2402.14740).

    One rollout alone has nothing to be compared with: 0.
    """
    num, total = len(rewards_G), sum(rewards_G)
    return [r - (total - r) / (num - 1) if num > 1 else 0.0 for r in rewards_G]


def grpo(rewards_G: Sequence[float]) -> list[float]:
    """[G] (reward - mean) / (standard deviation + 1e-4) (GRPO, arXiv 2402.03300, eq. 3); 0 for one."""
    if len(rewards_G) < 2:
        return [0.0] * len(rewards_G)
    mean, std = float(np.mean(rewards_G)), float(np.std(rewards_G, ddof=1))
    return [(r - mean) / (std + 1e-4) for r in rewards_G]


ADVANTAGES: dict[str, Advantages] = {"rloo": rloo, "grpo": grpo}


@dataclass(frozen=True)
class Optimisation:
    """Settings of the learner."""

    algorithm: str = "rloo"
    learning_rate: float = 1e-6
    warmup_updates: int = 8
    """Updates over which the learning rate rises linearly from 0; without it tiny models collapse."""
    minibatch: int = 32
    """Rollouts per update."""
    clip: float = 0.2
    max_grad_norm: float = 0.5
    weight_decay: float = 0.0
    microbatch_tokens: int = 16_384
    """Rows times padded length of one forward and backward pass."""

    def __post_init__(self) -> None:
        if self.algorithm not in ADVANTAGES:
            raise InputError(f"algorithm: {self.algorithm!r} is unknown; one of {', '.join(ADVANTAGES)}")


Example = tuple[Rollout, float]
"""A rollout and its advantage."""


class PolicyGradient:
    """Updates a causal LM in place from groups of its own rollouts."""

    def __init__(self, model: Any, settings: Optimisation, *, temperature: float, seed: int) -> None:
        self.model, self.settings, self.seed = model, settings, seed
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise InputError("model: no parameter is trainable")
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
        )
        self.logprobs = ActionLogprobs(model, temperature)
        self.num_updates = 0

    def examples(self, groups: Sequence[Group]) -> list[Example]:
        """The rollouts with a non-zero advantage, each with it."""
        advantages = ADVANTAGES[self.settings.algorithm]
        return [
            (rollout, advantage)
            for group in groups
            for rollout, advantage in zip(group.rollouts, advantages(group.rewards_G), strict=True)
            if advantage != 0.0 and rollout.action_ids
        ]

    def update(self, groups: Sequence[Group], *, round_index: int = 0) -> dict[str, float]:
        """One pass over the groups in shuffled minibatches; returns the means of its metrics."""
        examples = self.examples(groups)
        order = np.random.default_rng(derive_seed(self.seed, "shuffle", round_index)).permutation(
            len(examples)
        )
        # Dropout would make the ratio compare two different networks, so training runs in eval mode.
        self.model.eval()
        steps = [
            self._step([examples[i] for i in order[first : first + self.settings.minibatch]])
            for first in range(0, len(examples), self.settings.minibatch)
        ]
        means = (
            {f"train/{key}": sum(step[key] for step in steps) / len(steps) for key in steps[0]}
            if steps
            else {}
        )
        return {
            "train/updates": float(len(steps)),
            "train/rollouts": float(len(examples)),
            "train/tokens": float(sum(len(rollout.action_ids) for rollout, _ in examples)),
            "train/signal_groups_frac": sum(g.has_signal for g in groups) / max(1, len(groups)),
            **means,
        }

    def _step(self, minibatch: Sequence[Example]) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * min(
                1.0, (self.num_updates + 1) / max(1, self.settings.warmup_updates)
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss, clipped = self.accumulate(minibatch)
        norm = float(clip_grad_norm_(self.parameters.values(), self.settings.max_grad_norm))
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient is {norm}; lower the learning rate or use float32")
        self.optimizer.step()
        self.num_updates += 1
        return {"loss": loss, "clip_frac": clipped, "grad_norm": norm}

    def accumulate(self, minibatch: Sequence[Example]) -> tuple[float, float]:
        """Adds the minibatch's gradient; returns its loss and the share of clipped tokens."""
        num_tokens = sum(len(rollout.action_ids) for rollout, _ in minibatch)
        loss_sum = clipped_sum = 0.0
        for rows in self._microbatches(minibatch):
            new = self.logprobs([rollout for rollout, _ in rows])
            old = new.new_tensor([x for rollout, _ in rows for x in rollout.logprobs])
            advantage = new.new_tensor([a for rollout, a in rows for _ in rollout.action_ids])
            ratio = torch.exp(new - old)
            bounded = ratio.clamp(1 - self.settings.clip, 1 + self.settings.clip)
            gains = torch.minimum(ratio * advantage, bounded * advantage)
            loss = -gains.sum() / num_tokens
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.item()
            clipped_sum += (bounded * advantage < ratio * advantage).sum().item()
        return loss_sum, clipped_sum / num_tokens

    def _microbatches(self, minibatch: Sequence[Example]) -> Iterator[list[Example]]:
        """Rows of similar length, so that little is padding, at most `microbatch_tokens` each."""
        rows: list[Example] = []
        for example in sorted(minibatch, key=lambda e: -_length(e[0])):
            if rows and (len(rows) + 1) * _length(rows[0][0]) > self.settings.microbatch_tokens:
                yield rows
                rows = []
            rows.append(example)
        if rows:
            yield rows

    def save(self, path: Path) -> None:
        """Writes the optimizer's state to `path` as safetensors: no pickle."""
        tensors = {"num_updates": torch.tensor(self.num_updates)}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}:{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
        save_file(tensors, path)

    def load(self, path: Path) -> None:
        """Takes up the state that `save` wrote."""
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); the checkpoint was damaged") from None
        self.num_updates = int(tensors.pop("num_updates"))
        for name, parameter in self.parameters.items():
            state = {
                key.partition(":")[0]: value
                for key, value in tensors.items()
                if key.partition(":")[2] == name
            }
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
            }


def _length(rollout: Rollout) -> int:
    return len(rollout.state.ids) + len(rollout.action_ids)
