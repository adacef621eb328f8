"""The head of a value model: what a backbone shows of a completion, to the logit of V at each state."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from gpo.values.backbone import EXTRA

Kind = Literal["evidence", "linear"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Head(nn.Module):
    """[..., T+1, H+EXTRA] to logits [..., T+1]; its outputs are scaled and shifted by `calibrate`.

    `linear` reads the hidden state alone, as a process reward model does. `evidence` adds up, over the tokens
    so far, what each one says by how unlikely it was and by `rank` numbers of its hidden state: a mistake
    stays made, however fluently the text goes on.
    """

    def __init__(self, hidden_size: int, kind: Kind = "evidence", *, rank: int = 8, width: int = 32) -> None:
        super().__init__()
        self.hidden_size, self.kind, self.rank, self.width = hidden_size, kind, rank, width
        self.register_buffer("mean", torch.zeros(hidden_size + EXTRA))
        self.register_buffer("std", torch.ones(hidden_size + EXTRA))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))
        self.mean: Tensor
        self.std: Tensor
        self.scale: Tensor
        self.shift: Tensor
        self.drop = nn.Dropout(0.5 if kind == "evidence" else 0.0)
        self.direct = nn.Linear(hidden_size, 1)
        if kind == "evidence":
            self.projection = nn.Linear(hidden_size, rank)
            self.last = nn.Linear(width, 1, bias=False)
            self.evidence = nn.Sequential(nn.Linear(rank + EXTRA - 1, width), nn.GELU())
        self.begin()

    @torch.no_grad()
    def begin(self) -> None:
        """Draws the weights from torch's generator; every value is the same at first."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
        self.direct.weight.zero_()
        self.direct.bias.zero_()
        if self.kind == "evidence":
            self.last.weight.zero_()
        self.scale.fill_(1.0)
        self.shift.zero_()

    @torch.no_grad()
    def standardise(self, seen_NF: Tensor, rate: float) -> None:
        """Takes the features' mean and spread from examples, and begins with `rate` as every value."""
        self.mean.copy_(seen_NF.mean(0))
        self.std.copy_(seen_NF.std(0).clamp(min=1e-4))
        self.mean[-1], self.std[-1] = 0.0, 1.0  # whether there is a token
        self.direct.bias.fill_(torch.logit(torch.tensor(rate), eps=1e-3))

    def forward(self, seen_BTF: Tensor) -> Tensor:
        known_BTF = (seen_BTF - self.mean) / self.std
        hidden_BTH = self.drop(known_BTF[..., : self.hidden_size])
        logits_BT: Tensor = self.direct(hidden_BTH)[..., 0]
        if self.kind == "evidence":
            surprise_BT2 = known_BTF[..., self.hidden_size : -1]
            told_BTR = torch.cat([self.projection(hidden_BTH), surprise_BT2], dim=-1)
            logits_BT = logits_BT + (self.last(self.evidence(told_BTR))[..., 0] * seen_BTF[..., -1]).cumsum(
                dim=-1
            )
        return self.scale * logits_BT + self.shift

    def calibrate(self, scale: float, shift: float) -> None:
        """Scales and shifts the logits that it gives from now on."""
        self.scale.mul_(scale)
        self.shift.mul_(scale).add_(shift)
