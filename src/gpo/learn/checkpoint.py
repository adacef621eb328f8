"""The state of an optimizer and a critic as safetensors, by the names of their parameters: no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpo.learn.network import Network, whole
from gpo.types import InputError


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
    """Takes up what `save_state` wrote; returns the number of updates. InputError for a damaged file."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), so it was damaged; remove that checkpoint to resume "
            "from the one before"
        ) from None
    if missing := {f"value:{name}" for name in network.critic_parameters} - tensors.keys():
        raise InputError(
            f"{path}: lacks {min(missing)}, a weight of the critic, so it was damaged; remove that "
            "checkpoint to resume from the one before"
        )
    parameters = _parameters(network)
    for place, value in tensors.items():
        key, _, name = place.partition(":")
        if key == "value":
            parameters[name].copy_(_like(parameters[name], value))
        elif name in parameters:
            state = network.optimizer.state[parameters[name]]
            state[key] = value if key == "step" else _like(parameters[name], value)
    return int(tensors["num_updates"])


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
