"""What is trained: the policy, its critic and their optimizer, on one process or over several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from gpo.learn.batches import buckets
from gpo.learn.critic import ActorCritic
from gpo.learn.logprobs import ActionLogprobs
from gpo.learn.optimisation import Optimisation
from gpo.ranks import Ranks
from gpo.rope import switch_of
from gpo.types import InputError, Rollout

_BUFFER_ELEMENTS = 2**25
"""Gradients that are summed over the processes in one message."""


class Network:
    """A policy with its critic, reference and optimizer; `read` gives log-probabilities and values.

    Where accelerate is set up to shard (FSDP), a copy is spread over the processes and trained, and the
    model itself stays whole on each of them, to sample: `publish` brings it up to date.
    """

    def __init__(
        self, model: Any, settings: Optimisation, temperature: float, ranks: Ranks, reference: Any
    ) -> None:
        self.model, self.settings, self.ranks = model, settings, ranks
        _check_trainable(model)
        if ranks.is_sharded:
            check_sharded(model.config)
        policy = ActionLogprobs(deepcopy(model) if ranks.is_sharded else model, temperature)
        critic = settings.critic if settings.algorithm == "ppo" else None
        self.module: Any = ActorCritic(policy, critic, has_entropies=settings.ib_coef > 0)
        self.reference = self._reference(reference, temperature)
        self._place()

    def _place(self) -> None:
        """Makes the optimizer, and shards both if accelerate says so."""
        optimizer: Any = self._optimizer()
        if self.ranks.is_sharded:
            self.module, optimizer = self.ranks.shard(self.module, optimizer)
        self.optimizer = optimizer

    def _optimizer(self) -> torch.optim.AdamW:
        settings = self.settings
        groups: list[dict[str, Any]] = [
            {"params": list(self.parameters.values()), "initial_lr": settings.learning_rate}
        ]
        if critic := list(self.critic_parameters.values()):
            groups.append({"params": critic, "initial_lr": settings.critic_learning_rate})
        return torch.optim.AdamW(
            [{**group, "lr": group["initial_lr"]} for group in groups],
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
        )

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The policy's trainable parameters, by their names in the model."""
        return {name: p for name, p in self.module.policy.model.named_parameters() if p.requires_grad}

    @property
    def critic_parameters(self) -> dict[str, nn.Parameter]:
        parameters: dict[str, nn.Parameter] = self.module.critic_parameters()
        return parameters

    def _reference(self, reference: Any, temperature: float) -> Callable[[Sequence[Rollout]], Tensor] | None:
        """Log-probabilities under what `kl_coef` holds the policy to."""
        if not self.settings.kl_coef:
            return None
        if hasattr(self.model, "disable_adapter"):
            return self._without_adapter
        if reference is None:
            raise InputError("reference: kl_coef needs a reference model; pass one")
        reference.requires_grad_(False).eval()
        return ActionLogprobs(reference, temperature)

    def _without_adapter(self, rollouts: Sequence[Rollout]) -> Tensor:
        with self.module.policy.model.disable_adapter():
            return self.read(rollouts)[0]

    def read(self, rollouts: Sequence[Rollout]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Log-probabilities [N] of these rollouts' sampled tokens, the critic's values, and entropies."""
        device = self.model.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.settings.mixed_precision == "bf16"):
            found: tuple[Tensor, Tensor | None, Tensor | None] = self.module(rollouts)
        return found

    def shares(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], bool]]:
        """This process's batches of rows with these lengths; whether each is its own or only for company.

        All processes gather sharded weights together, so there each reads equally many batches.
        """
        batches = buckets(lengths, self.settings.microbatch_tokens, num_min=self.ranks.num)
        for first in range(0, len(batches), self.ranks.num):
            mine = first + self.ranks.index
            if mine < len(batches):
                yield batches[mine], True
            elif self.ranks.is_sharded:
                yield batches[0], False

    @contextmanager
    def training(self) -> Iterator[None]:
        """Dropout off: a ratio must not compare two different networks. Layers recompute if that is set."""
        self.module.eval()
        with recomputed(self.module) if self.settings.gradient_checkpointing else nullcontext():
            yield

    def sum_gradients(self) -> None:
        """Adds up the gradients of all processes, unless sharding has done so."""
        if self.ranks.num == 1 or self.ranks.is_sharded:
            return
        pending: list[nn.Parameter] = []
        for parameter in [*self.parameters.values(), *self.critic_parameters.values()]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            pending.append(parameter)
            if sum(p.numel() for p in pending) >= _BUFFER_ELEMENTS:
                self._sum(pending)
                pending = []
        self._sum(pending)

    def _sum(self, parameters: Sequence[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        flat = self.ranks.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def publish(self) -> None:
        """Brings the model that samples up to date with sharded weights."""
        if not self.ranks.is_sharded:
            return
        targets = dict(self.model.named_parameters())
        for name, parameter in self.parameters.items():
            targets[name].copy_(whole(parameter))


@contextmanager
def recomputed(module: nn.Module) -> Iterator[None]:
    """Inside, the layers' activations are not kept but computed again in the backward pass.

    transformers' own switch works in training mode only, which would switch dropout on.
    """
    with ExitStack() as stack:
        for layer in layers_of(module):
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
            stack.callback(delattr, layer, "forward")
        yield


def layers_of(module: nn.Module) -> list[Any]:
    """The layers that can be recomputed; InputError where there are none."""
    layers = [layer for layer in module.modules() if isinstance(layer, GradientCheckpointingLayer)]
    if not layers:
        raise InputError("gradient_checkpointing: no layer of this model supports it; leave it out")
    return layers


def check_sharded(config: Any) -> None:
    """InputError for a model that cannot be spread over processes."""
    if switch_of(config):
        raise InputError(
            "model: LongRoPE reads long sequences in a pass of their own, which sharded processes cannot "
            "share; train without FSDP"
        )


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself, gathered from all processes if it is sharded."""
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full


def _check_trainable(model: Any) -> None:
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise InputError("model: no parameter is trainable; set requires_grad on those to train")
    for parameter in trainable:
        check_precision(parameter.dtype)


def check_precision(dtype: torch.dtype) -> None:
    """InputError for weights that cannot be trained as they are stored."""
    if dtype != torch.float32:
        raise InputError(
            f"dtype: weights in {str(dtype).removeprefix('torch.')} round small updates away; train them in "
            "float32 (with mixed_precision bf16), or an adapter"
        )
