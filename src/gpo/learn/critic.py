"""PPO's critic: values of the states before sampled tokens, and the advantages that follow from them.

Only the sampled suffix of a rollout counts: the first value is that of its (reset) state, and after its end
the value is 0, whether it ended by itself or was cut. A cut rollout has failed, as in V.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpo.learn.advantages import Floats
from gpo.learn.logprobs import ActionLogprobs
from gpo.types import Rollout, StepValues


def gae(rewards_T: Floats, values_T: Floats, gae_lambda: float) -> Floats:
    """[T] generalised advantages (arXiv 1506.02438, eq. 16), without discount: the reward comes at the end.

    A_t = delta_t + lambda A_{t+1},  delta_t = r_t + V_{t+1} - V_t,  V_T = 0.
    lambda 1 is the return minus V_t.
    """
    next_values_T = np.append(values_T[1:], 0.0)
    deltas_T: Floats = rewards_T + next_values_T - values_T
    advantages_T = np.zeros_like(deltas_T)
    following = 0.0
    for t in range(len(deltas_T) - 1, -1, -1):
        advantages_T[t] = following = deltas_T[t] + gae_lambda * following
    return advantages_T


def targets(returns_T: Floats, steps: StepValues | None) -> Floats:
    """[T] the critic's targets: returns, or estimated values where a search counted some.

    The believed value of a boundary pools several rollouts; the return is one of them. The last bound is
    the end, whose value is not the critic's to learn.
    """
    if steps is None:
        return returns_T
    places = [bound - len(steps.rollout.state.prefix_ids) for bound in steps.bounds[:-1]]
    targets_T = returns_T.copy()
    targets_T[places] = steps.values[:-1]
    return targets_T


def value_losses(new_N: Tensor, old_N: Tensor, targets_N: Tensor, clip: float | None) -> Tensor:
    """[N] half squared errors; with `clip` the larger of it and that of a value moved at most so far.

    The clipped form is PPO's in practice (arXiv 2005.12729); it is pessimistic, like the policy's clip.
    """
    losses_N = (new_N - targets_N) ** 2
    if clip is not None:
        near_N = old_N + (new_N - old_N).clamp(-clip, clip)
        losses_N = torch.maximum(losses_N, (near_N - targets_N) ** 2)
    return 0.5 * losses_N


class ActorCritic(nn.Module):
    """A policy's log-probabilities [N] of sampled tokens, the values and the entropies [N] before each.

    All in one call; `has_entropies` says whether these are wanted. `critic` is None, `head` (a linear head on
    the policy's last hidden states, which it does not train) or `model` (a copy of the policy with a head of
    its own: twice the memory).
    """

    def __init__(self, policy: ActionLogprobs, critic: str | None, *, has_entropies: bool = False) -> None:
        super().__init__()
        self.policy, self.has_entropies = policy, has_entropies
        # What accelerate reads to know the layers to shard.
        self._no_split_modules = getattr(policy.model, "_no_split_modules", None)
        self.head: nn.Linear | None = None
        self.decoder: Any = None
        if critic is None:
            return
        weight = policy.head.weight
        # Zero to begin with: the first advantages are those of no critic, not of a random one.
        self.head = nn.Linear(weight.shape[1], 1, device=weight.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if critic == "model":
            self.decoder = deepcopy(policy.decoder)

    def critic_parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters that are not the policy's, by name."""
        return {
            f"critic.{name}": parameter
            for name, parameter in self.named_parameters()
            if not name.startswith("policy.") and parameter.requires_grad
        }

    @torch.no_grad()
    def centre(self, mean: float) -> None:
        """Lets a critic that has learned nothing yet begin with the mean outcome as every value."""
        if self.head is not None and not self.head.weight.any():
            self.head.bias.fill_(mean)

    def forward(self, rollouts: Sequence[Rollout]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        batch = self.policy.batch(rollouts)
        hidden_NH = self.policy.hidden(batch)
        logprobs_N = self.policy.score(hidden_NH, batch.actions_N)
        entropies_N = self.policy.entropies(hidden_NH) if self.has_entropies else None
        if self.head is None:
            return logprobs_N, None, entropies_N
        seen_NH = hidden_NH.detach()
        if self.decoder is not None:
            seen_NH = self.policy.hidden(batch, self.decoder)
        values_N = self.head(seen_NH.to(self.head.weight.dtype)).float().sum(dim=1)
        return logprobs_N, values_N, entropies_N
