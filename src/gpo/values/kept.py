"""A critic of the policy that is trained: a value model, kept across rounds, that names reset states.

It reads the policy's own hidden states, which every update moves. So each round it goes on from where it was,
with a few passes over what was just sampled, and before that it is judged by how it foretold these outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gpo.learn.checkpoint import RESTORE
from gpo.seeds import derive_seed
from gpo.types import Ids, InputError, Rollout, State
from gpo.values.backbone import Backbone
from gpo.values.fit import Example, Run, batched, negative_log_likelihood
from gpo.values.head import Head, Kind
from gpo.values.model import Values
from gpo.values.rows import of_rollout
from gpo.values.settings import ValueOptimisation

if TYPE_CHECKING:
    from gpo.policies.transformers import TransformersPolicy

EPOCHS = 6
"""Passes over a round's rollouts."""
SETTINGS = ValueOptimisation(completions_per_update=16, head_learning_rate=1e-3)


class KeptCritic:
    """A gpo.protocols.Critic whose backbone is the policy itself, which it only reads."""

    def __init__(
        self, policy: TransformersPolicy, *, seed: int = 0, success_at: float = 1.0, kind: Kind = "evidence"
    ) -> None:
        backbone = Backbone(policy.model, policy.temperature, policy.context)
        self.seed, self.success_at = seed, success_at
        self.num_rounds, self.is_ready = 0, False
        with drawn(derive_seed(seed, "critic head")):
            self.values = Values(backbone, Head(backbone.hidden_size, kind))

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[list[float]]:
        """[T+1] values for each state and T ids after it; see Values.read."""
        return self.values.read(given)

    def learn(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Learns from a round's rollouts; returns the loss before, and that of their mean, in nats a trial.

        It is ready for the next round if its loss was the lower one. A round of equal outcomes says nothing
        of that, and leaves it as it was.
        """
        counted = [
            of_rollout(one, success_at=self.success_at, seed=self.seed) for one in rollouts if one.action_ids
        ]
        if not counted:
            return {}
        with drawn(derive_seed(self.seed, "critic", self.num_rounds)):
            run = Run(self.values.backbone, self.values.head, SETTINGS, (), lambda *_: None)
            examples = run.examples(counted)
            if self.num_rounds == 0:
                self.values.head.standardise(torch.cat(run.seen(examples)), 0.5)
            loss, base = run.loss(examples), base_loss(examples)
            self.is_ready = (self.num_rounds > 0 and loss < base) if base else self.is_ready
            rng = np.random.default_rng(derive_seed(self.seed, "critic order", self.num_rounds))
            run.head.train()
            for _ in range(EPOCHS):
                order = [examples[i] for i in rng.permutation(len(examples))]
                for batch in batched(order, SETTINGS.completions_per_update):
                    run.update(batch)
            run.head.eval()
        self.num_rounds += 1
        return {
            "critic/log_loss": loss,
            "critic/base_log_loss": base,
            "critic/is_ready": float(self.is_ready),
        }

    def save(self, path: Path) -> None:
        """Writes the head and how far it is to `path` as safetensors: no pickle."""
        state = {name: one.contiguous() for name, one in self.values.head.state_dict().items()}
        about = torch.tensor([self.num_rounds, int(self.is_ready)])
        save_file({**state, "about": about}, path)

    def load(self, path: Path) -> None:
        """Restores what `save` wrote; InputError for a file that is missing, damaged or another model's."""
        try:
            state = load_file(path)
            about = state.pop("about").tolist()
            if not all(bool(one.isfinite().all()) for one in state.values()) or len(about) != 2:
                raise ValueError("it holds numbers that it cannot")
            self.values.head.load_state_dict(state)
        except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: is not this model's critic ({reason}); {RESTORE}") from None
        self.num_rounds, self.is_ready = int(about[0]), bool(about[1])


def base_loss(examples: Sequence[Example]) -> float:
    """The loss of the examples' mean as every value, in nats a trial; 0 where all outcomes are equal."""
    wins, trials = (
        torch.cat(parts) for parts in zip(*((e.wins_K, e.trials_K) for e in examples), strict=True)
    )
    rate = float(wins.sum() / trials.sum())
    if not 0 < rate < 1:
        return 0.0
    logits = torch.full_like(wins, math.log(rate / (1 - rate)))
    return float(negative_log_likelihood(logits, wins, trials))


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """Inside, torch draws from this seed; outside it goes on as if nothing had been drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        yield
