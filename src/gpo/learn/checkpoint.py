"""The state of an optimizer and a critic as safetensors, by the names of their parameters: no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpo.learn.network import Network, whole
from gpo.types import InputError

RESTORE = "restore that checkpoint from a copy, or start a new run from an earlier one with --model"
_KEYS = ("value", "step", "exp_avg", "exp_avg_sq")
"""A weight of the critic, and what AdamW keeps of a parameter."""


def save_state(path: Path, network: Network, num_updates: int) -> None:
    """Writes the file on the first process; all must call, as sharded tensors are gathered by all."""
    tensors = {"num_updates": torch.tensor(num_updates)}
    for name, parameter in _parameters(network).items():
        if parameter in network.optimizer.state:
            for key, value in network.optimizer.state[parameter].items():
                tensors[f"{key}:{name}"] = _saved(torch.as_tensor(value))
    for name, parameter in network.critic_parameters.items():
        tensors[f"value:{name}"] = _saved(parameter)
    if network.ranks.is_first:
        save_file(tensors, path)


@torch.no_grad()
def load_state(path: Path, network: Network) -> int:
    """Takes up what `save_state` wrote; returns the number of updates.

    InputError, before anything is taken up, for a file that is damaged or another network's.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}), so it was damaged; {RESTORE}") from None
    parameters = _parameters(network)
    _check_names(path, tensors, network)
    for place, value in tensors.items():
        key, _, name = place.partition(":")
        if key == "value":
            parameters[name].copy_(_like(parameters[name], value))
        elif name:
            state = network.optimizer.state[parameters[name]]
            state[key] = value if key == "step" else _like(parameters[name], value)
    return int(tensors["num_updates"])


def _check_names(path: Path, tensors: Mapping[str, Tensor], network: Network) -> None:
    """InputError unless every tensor has its parameter and shape, and the critic all its weights."""
    parameters = _parameters(network)
    if missing := {"num_updates", *(f"value:{name}" for name in network.critic_parameters)} - tensors.keys():
        raise InputError(f"{path}: lacks {min(missing)}, so it was damaged; {RESTORE}")
    for place, value in tensors.items():
        key, _, name = place.partition(":")
        wanted: Any = () if key in ("num_updates", "step") else None
        if place != "num_updates":
            if key not in _KEYS or name not in parameters:
                raise InputError(f"{path}: holds {place}, which no trained part has; {RESTORE}")
            wanted = parameters[name].shape if wanted is None else wanted
        if tuple(value.shape) != tuple(wanted):
            raise InputError(
                f"{path}: {place} has shape {list(value.shape)} where the network has {list(wanted)}, so it "
                f"is another network's; {RESTORE}"
            )
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path}: {place} holds nan or infinity, so it was damaged; {RESTORE}")


def _parameters(network: Network) -> dict[str, nn.Parameter]:
    return network.parameters | network.critic_parameters


def _saved(tensor: Tensor) -> Tensor:
    return whole(tensor).detach().cpu().contiguous()


def _like(parameter: Any, value: Tensor) -> Tensor:
    """The value on the parameter's device, sharded as the parameter is."""
    if not hasattr(parameter, "device_mesh"):
        return value.to(parameter.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
