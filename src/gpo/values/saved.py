"""A value model on disk: value.json, head.safetensors and an adapter if its backbone has one; no pickle."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gpo import checksums
from gpo.policies.adapters import load_adapter
from gpo.policies.fingerprint import weights_digest
from gpo.policies.folders import check_adapter_folder, check_weight_file
from gpo.policies.loading import load as load_model
from gpo.policies.loading import one_line
from gpo.protocols import ForwardingPolicy
from gpo.record import read_as, write_as
from gpo.record.base import Count, Line, Texts
from gpo.seeds import json_digest
from gpo.types import DataWarning, InputError
from gpo.values.backbone import Backbone
from gpo.values.fit import Fitted
from gpo.values.head import Head
from gpo.values.model import Values

FORMAT = 1
FILE, WEIGHTS, ADAPTER = "value.json", "head.safetensors", "adapter"
NEEDED = ("weights", "vocabulary", "template", "temperature", "top_p", "top_k", "stop", "max_tokens")
"""What a fingerprint holds."""


class FittedLine(Line):
    """What the fit came to, as Fitted."""

    completions: Count
    problems: Count
    held_out: Count
    trials: float
    epochs: Count
    base_loss: float
    loss: float
    scale: float
    shift: float
    say: float


class ValueFile(Line):
    """value.json."""

    format: Count
    head: Literal["evidence", "linear"]
    hidden_size: Annotated[int, Field(ge=1, lt=2**20)]
    rank: Annotated[int, Field(ge=1, lt=2**12)]
    width: Annotated[int, Field(ge=1, lt=2**16)]
    backbone: str
    """Where the model was loaded from: a folder, or a hub name."""
    backbone_adapter: str | None = None
    """The policy's own adapter, where it had one."""
    has_adapter: bool = False
    """Whether an adapter of the value model's own lies beside it."""
    fingerprint: dict[str, Any]
    """Of the policy whose values it learned: weights, vocabulary, template, sampling."""
    problems: Texts = ()
    """Digests of the questions that it learned from."""
    fitted: FittedLine

    def misfit(self) -> str | None:
        missing = [name for name in NEEDED if name not in self.fingerprint]
        return f"fingerprint: has no {missing[0]}" if missing else None


def save(
    path: Path,
    values: Values,
    fitted: Fitted,
    *,
    fingerprint: Mapping[str, Any],
    backbone: str | Path,
    backbone_adapter: str | None = None,
    adapter: Any = None,
    problems: Sequence[str] = (),
) -> None:
    """Writes the value model to a folder, with sums of its files.

    `adapter` is the PEFT model that it tuned, `problems` the questions that it learned from.
    """
    path.mkdir(parents=True, exist_ok=True)
    checksums.unseal(path)
    head = values.head
    save_file({name: one.contiguous() for name, one in head.state_dict().items()}, path / WEIGHTS)
    if adapter is not None:
        adapter.save_pretrained(path / ADAPTER)
    about = {
        "format": FORMAT,
        "head": head.kind,
        "hidden_size": head.hidden_size,
        "rank": head.rank,
        "width": head.width,
        "backbone": str(backbone),
        "backbone_adapter": backbone_adapter,
        "has_adapter": adapter is not None,
        "fingerprint": dict(fingerprint),
        "problems": [*map(json_digest, problems)],
        "fitted": asdict(fitted),
    }
    write_as(path / FILE, ValueFile.made(about))
    checksums.seal(path)


def folder_of(path: str | Path) -> Path:
    """The folder of a value model: that itself, or the run of `gpo train --method value` that made it."""
    path = Path(path).expanduser()
    found = next((one for one in (path, path / "value") if (one / FILE).is_file()), None)
    if found is None:
        raise InputError(
            f"value model {str(path)!r}: has no {FILE}; give a run of `gpo train --method value`, or its "
            "folder value"
        )
    return found


def described(path: str | Path) -> ValueFile:
    """What a value model says of itself; its files are compared with their sums. InputError if damaged."""
    folder = folder_of(path)
    checksums.check(folder, "train it again, or take a copy")
    about = read_as(folder / FILE, ValueFile)
    if about.format != FORMAT:
        raise InputError(f"{folder / FILE}: is of format {about.format}, and this version reads {FORMAT}")
    check_weight_file(folder / WEIGHTS)
    if about.has_adapter:
        check_adapter_folder(folder / ADAPTER)
    return about


def check_fits(path: str | Path, fingerprint: Mapping[str, Any], hidden_size: int | None = None) -> ValueFile:
    """What a value model says of itself, if it reads what a policy of this fingerprint writes.

    InputError for another vocabulary, other weights or another size, as far as these are known: what asks
    without weights has none in its fingerprint. A DataWarning for another template or other sampling.
    """
    about = described(path)
    others = [name for name in fingerprint if fingerprint[name] != about.fingerprint.get(name)]
    told = [f"{name}: {about.fingerprint.get(name)!r} there, {fingerprint[name]!r} here" for name in others]
    if {"vocabulary", "weights"} & {*others}:
        raise InputError(
            f"value model {str(path)!r}: learned the values of another policy ({'; '.join(told)}); give "
            "that policy's model, or train one on runs of this model"
        )
    if hidden_size not in (None, about.hidden_size):
        raise InputError(
            f"value model {str(path)!r}: reads hidden states of {about.hidden_size} numbers, and this model "
            f"has {hidden_size}; give the model it was trained with"
        )
    if others:
        warnings.warn(
            f"value model {str(path)!r}: its values are those of other sampling ({'; '.join(told)})",
            DataWarning,
            stacklevel=2,
        )
    return about


def load(path: str | Path, policy: Any = None, *, device: str | None = None) -> Values:
    """The value model at `path`, a folder or the run that made it.

    With a policy that holds the weights it was trained with, it reads those; otherwise, such as beside a
    server, it loads them from where they were (`backbone` in its value.json). One with an adapter of its own
    loads a second copy. InputError for a policy with another vocabulary or other weights, a DataWarning for
    other sampling.
    """
    while isinstance(policy, ForwardingPolicy):
        policy = policy.policy
    model, known = getattr(policy, "model", None), {} if policy is None else dict(policy.fingerprint)
    if model is None:
        known.pop("weights", None)  # engines name theirs in ways of their own
    about, folder = check_fits(path, known), folder_of(path)
    if model is None:
        model = _own_backbone(folder, about, device)
    if about.has_adapter:
        with one_line("adapter", str(folder / ADAPTER)):
            model = load_adapter(deepcopy(model), str(folder / ADAPTER))
    temperature = float(about.fingerprint["temperature"])
    context = getattr(policy, "context", None)
    backbone = Backbone(model, temperature, context)
    return Values(backbone, _head(folder, about, backbone))


def _head(folder: Path, about: ValueFile, backbone: Backbone) -> Head:
    head = Head(about.hidden_size, about.head, rank=about.rank, width=about.width)
    try:
        head.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder / WEIGHTS}: is not the head that {FILE} describes ({reason}); train it again"
        ) from None
    if not all(bool(one.isfinite().all()) for one in head.state_dict().values()):
        raise InputError(f"{folder / WEIGHTS}: has numbers that are not finite; train it again")
    if backbone.hidden_size != about.hidden_size:
        raise InputError(
            f"{folder / FILE}: hidden_size: is {about.hidden_size}, and the backbone has "
            f"{backbone.hidden_size}; give the model it was trained with"
        )
    return head


def _own_backbone(folder: Path, about: ValueFile, device: str | None) -> Any:
    model, _ = load_model(
        about.backbone,
        adapter=about.backbone_adapter,
        trust_remote_code=False,
        device=device,
        dtype=None,
    )
    if weights_digest(model) != about.fingerprint["weights"]:
        raise InputError(
            f"value model {str(folder)!r}: {about.backbone!r} no longer holds the weights it was trained "
            "with; restore them, or train it again"
        )
    return model
