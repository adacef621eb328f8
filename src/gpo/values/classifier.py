"""A value model in the form of process reward models: transformers' token classification."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification

from gpo.policies.loading import load_tokenizer
from gpo.types import InputError
from gpo.values.head import Head
from gpo.values.saved import described, load


def export(path: str | Path, folder: str | Path) -> None:
    """Writes a value model with a linear head as a model for token classification, with its tokenizer.

    transformers and what reads process reward models load it (AutoModelForTokenClassification): at the last
    token of a step, the probability of the label 1, `right`, is the calibrated value after it. An adapter is
    merged. InputError for a head of the other kind, and for a folder that holds something.
    """
    about, target = described(path), Path(folder)
    if about.head != "linear":
        raise InputError(
            f"value model {str(path)!r}: its head {about.head!r} is not one that other programs know; train "
            "one with --head linear"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: already exists; choose another folder")
    values = load(path)
    tokenizer = load_tokenizer(about.backbone, trust_remote_code=False)
    model: Any = values.backbone.model
    for _ in range(2 if about.backbone_adapter else 1):
        model = model.merge_and_unload() if hasattr(model, "peft_config") else model
    as_classifier(model, values.head).save_pretrained(target)
    tokenizer.save_pretrained(target)


def as_classifier(model: Any, head: Head) -> Any:
    """The model with two labels at every token, whose logits differ by the head's."""
    config = deepcopy(model.config)
    config.num_labels, config.id2label = 2, {0: "wrong", 1: "right"}
    config.label2id = {"wrong": 0, "right": 1}
    build: Any = AutoModelForTokenClassification.from_config
    found = build(config, dtype=model.dtype)
    found.base_model.load_state_dict(model.get_decoder().state_dict())
    mean, std = head.mean[: head.hidden_size], head.std[: head.hidden_size]
    weight_H = head.scale * head.direct.weight[0].detach() / std
    with torch.no_grad():
        found.score.weight.copy_(torch.stack([torch.zeros_like(weight_H), weight_H]))
        bias = head.scale * head.direct.bias[0] + head.shift - (weight_H * mean).sum()
        found.score.bias.copy_(torch.stack([torch.zeros_like(bias), bias]))
    return found
