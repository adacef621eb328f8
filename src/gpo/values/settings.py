"""The settings of a value model: what it learns from, what its head is, and how it is fitted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpo.settings import Settings


class ValueOptimisation(Settings):
    """How a value model is fitted."""

    section = "Value model"

    head: Literal["evidence", "linear"] = Field(
        "evidence",
        description="What reads the backbone: hidden states and how likely all tokens were (evidence), or "
        "the hidden state alone, as in a process reward model that other programs load (linear)",
    )
    states: int = Field(
        8, ge=0, description="States of a rollout that share its outcome; 0 learns from the curves alone"
    )
    value_hold_out: float = Field(
        0.2, gt=0, lt=1, description="Share of the problems to stop and calibrate by"
    )
    head_learning_rate: float = Field(1e-3, gt=0, description="AdamW learning rate of the head")
    adapter_learning_rate: float = Field(1e-3, gt=0, description="AdamW learning rate of a new adapter")
    head_weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay of the head")
    completions_per_update: int = Field(64, ge=1, description="Completions of one update")
    max_epochs: int = Field(
        20, ge=1, description="Maximum number of passes over the data; it ends when held-out problems say so"
    )
