"""A value model: a head on a backbone, asked for the value of every state of a completion."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gpo.values.backbone import Asked, Backbone
from gpo.values.head import Head


class Values:
    """A gpo.protocols.ValueModel. The backbone may be a policy's own weights, which it only reads."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        self.backbone, self.head = backbone, head.eval()

    def read(self, given: Sequence[Asked]) -> list[list[float]]:
        """[T+1] calibrated values in [0, 1] for each state and T ids after it: at the state, then after each.

        One forward pass over each whole completion, prefix included. InputError if one exceeds the context.
        """
        found = []
        with torch.inference_mode():
            for (state, _), seen_TF in zip(given, self.backbone.read(given), strict=True):
                values_T = torch.sigmoid(self.head(seen_TF))
                found.append(values_T[len(state.prefix_ids) :].tolist())
        return found
