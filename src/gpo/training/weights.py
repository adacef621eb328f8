"""Settings to the weights of a run: the processes that share them, the policy to train, its engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gpo import checksums
from gpo.command_settings import PreferenceSettings, TrainSettings
from gpo.learn.checkpoint import RESTORE
from gpo.learn.logprobs import check_temperature
from gpo.learn.network import check_precision, check_sharded, layers_of
from gpo.learn.optimisation import Optimisation
from gpo.policies.settings import AdapterSettings
from gpo.proposals import value_path
from gpo.ranks import Ranks, SharedPolicy
from gpo.seeds import derive_seed
from gpo.setup import engine
from gpo.types import InputError, Problem, State

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy
    from gpo.policies.transformers import TransformersPolicy

AnySettings = TrainSettings | PreferenceSettings
PROBES = 4
"""Prompts at which an engine is compared with the trainer."""


class Weights:
    """The policy that is trained, and what samples with its weights: itself, or an engine with a copy."""

    def __init__(self, settings: AnySettings, ranks: Ranks, checkpoint: Path | None) -> None:
        self.policy = load_policy(settings, ranks, checkpoint / "model" if checkpoint else None)
        self.engine = None
        if isinstance(settings, TrainSettings) and settings.engine == "vllm":
            self.engine = engine.load_vllm(settings)
        self.sampler = SharedPolicy(self.engine or self.policy, ranks)

    def sync(self, problems: Sequence[Problem]) -> dict[str, float]:
        """Hands the weights to an engine that keeps a copy; returns how far the copy is then off."""
        if self.engine is None:
            return {}
        probes = [State(problem) for problem in problems[:PROBES]]
        return {"engine/logprob_gap": self.engine.update(self.policy, probes)}


def processes(settings: TrainSettings) -> Ranks:
    """The processes that torchrun or `accelerate launch` started; this one alone without them."""
    if "WORLD_SIZE" not in os.environ:
        return Ranks()
    from accelerate import Accelerator

    ranks = Ranks(Accelerator(cpu=is_cpu(settings)))
    if ranks.num > 1 and settings.engine != "transformers":
        raise InputError("--engine vllm: takes no updates from several processes; train with one")
    return ranks


def is_cpu(settings: AnySettings) -> bool:
    return (settings.device or "").startswith("cpu")


def load_policy(settings: AnySettings, ranks: Ranks, checkpoint: Path | None) -> TransformersPolicy:
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


def with_new_adapter(settings: AdapterSettings, model: Any) -> Any:
    from gpo.learn.adapter import new_adapter

    seed = derive_seed(getattr(settings, "seed", 0), "adapter")
    return new_adapter(model, settings.lora_rank or 1, settings.lora_alpha, settings.lora_targets, seed)


def load_asking(settings: AnySettings, ranks: Ranks, checkpoint: Path | None) -> DescribedPolicy:
    """What asks as the policy to train does; InputError for what shows, without weights, that it cannot be.

    That is a file of the checkpoint which is not as it was written, too.
    """
    if value_path(settings.proposal) is not None:
        raise InputError(
            f"proposal: {settings.proposal!r} reads the weights that are trained, which change; give another "
            "proposal"
        )
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


def optimisation(settings: TrainSettings) -> Optimisation:
    """The learner's settings; the constant of a loss is a minibatch of the longest rollouts by default."""
    check_temperature(settings.temperature)
    if settings.norm == "constant" and settings.loss_constant is None:
        return settings.part(Optimisation, loss_constant=float(settings.minibatch * settings.max_tokens))
    return settings.part(Optimisation)
