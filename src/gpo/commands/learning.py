"""Settings to the learning parts of a run: processes, the policy to train, its reference, the learner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gpo import checksums
from gpo.config import PreferenceSettings, TrainSettings
from gpo.learn.checkpoint import RESTORE
from gpo.learn.logprobs import check_temperature
from gpo.learn.network import check_precision, check_sharded, layers_of
from gpo.learn.optimisation import Optimisation
from gpo.learn.policy_gradient import PolicyGradient
from gpo.ranks import Ranks
from gpo.seeds import derive_seed
from gpo.setup import engine
from gpo.types import InputError

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.transformers import TransformersPolicy


def processes(settings: TrainSettings) -> Ranks:
    """The processes that torchrun or `accelerate launch` started; this one alone without them."""
    if "WORLD_SIZE" not in os.environ:
        return Ranks()
    from accelerate import Accelerator

    ranks = Ranks(Accelerator(cpu=is_cpu(settings)))
    if ranks.num > 1 and settings.engine != "transformers":
        raise InputError("--engine vllm: updates of several processes are not handed over; train with one")
    return ranks


def is_cpu(settings: TrainSettings) -> bool:
    return (settings.device or "").startswith("cpu")


def load_policy(
    settings: TrainSettings | PreferenceSettings, ranks: Ranks, checkpoint: Path | None
) -> TransformersPolicy:
    """The policy to train, with an adapter if one is asked for, on this process's device."""
    changes: dict[str, Any] = {}
    if ranks.num > 1:
        changes["device"] = str(ranks.device)
    if settings.dtype == "auto" and not (settings.adapter or settings.lora_rank):
        # Checkpoints in half precision are common, and small updates of such weights are rounded away.
        changes["dtype"] = "float32"
    policy = engine.load_policy(settings.model_copy(update=changes), checkpoint)
    if settings.lora_rank and not checkpoint:
        policy.model = with_new_adapter(settings, policy.model)
    return policy


def with_new_adapter(settings: TrainSettings | PreferenceSettings, model: Any) -> Any:
    from gpo.learn.adapter import new_adapter

    seed = derive_seed(settings.seed, "adapter")
    return new_adapter(model, settings.lora_rank or 1, settings.lora_alpha, settings.lora_targets, seed)


def load_asking(
    settings: TrainSettings | PreferenceSettings, ranks: Ranks, checkpoint: Path | None
) -> DescribedPolicy:
    """What asks as the policy to train does; InputError for what shows, without weights, that it cannot be.

    That is a file of the checkpoint which is not as it was written, too.
    """
    if checkpoint:
        checksums.check(checkpoint, RESTORE)
    asking = engine.load_asking(settings, checkpoint / "model" if checkpoint else None)
    if ranks.is_sharded:
        check_sharded(asking.config)
    if settings.dtype != "auto" and not (settings.adapter or settings.lora_rank):
        check_precision(getattr(torch, settings.dtype))
    if settings.lora_rank or settings.gradient_checkpointing:
        skeleton = asking.skeleton()
        if settings.gradient_checkpointing:
            layers_of(skeleton)
        if settings.lora_rank and not checkpoint:
            with_new_adapter(settings, skeleton)
    return asking


def save_model(policy: TransformersPolicy, path: Path) -> None:
    """Writes the policy's model to a folder that `load` reads, with the sums of its files."""
    policy.save(path)
    checksums.seal(path)


def load_learner(
    settings: TrainSettings, optimisation: Optimisation, policy: TransformersPolicy, ranks: Ranks
) -> PolicyGradient:
    """The learner of this policy; its reference is the policy at the start, loaded again."""
    has_adapter = bool(settings.adapter or settings.lora_rank)
    needs_copy = settings.kl_coef > 0 and not has_adapter
    return PolicyGradient(
        policy.model,
        optimisation,
        temperature=settings.temperature,
        seed=settings.seed,
        reference=load_policy(settings, ranks, None).model if needs_copy else None,
        ranks=ranks,
    )


def optimisation(settings: TrainSettings) -> Optimisation:
    """The learner's settings; the constant of a loss is a minibatch of the longest rollouts by default."""
    check_temperature(settings.temperature)
    if settings.norm == "constant" and settings.loss_constant is None:
        return settings.part(Optimisation, loss_constant=float(settings.minibatch * settings.max_tokens))
    return settings.part(Optimisation)
