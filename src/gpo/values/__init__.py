"""Values without rollouts: a model of V learned from what searches counted; torch loads when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpo.values.kept import KeptCritic
    from gpo.values.model import Values

__all__ = ["critic", "export", "load"]


def critic(policy: Any, *, seed: int = 0, success_at: float = 1.0) -> KeptCritic:
    """A critic for `gpo.rounds` with the rule `critic` or `critic-half`; it reads this policy's weights."""
    from gpo.values.kept import KeptCritic

    return KeptCritic(policy, seed=seed, success_at=success_at)


def export(path: str | Path, folder: str | Path) -> None:
    """Writes a value model with a linear head as a model for token classification, with its tokenizer.

    transformers and what reads process reward models load it (AutoModelForTokenClassification): at the last
    token of a step, the probability of the label 1, `right`, is the calibrated value after it. An adapter is
    merged. InputError for a head of the other kind, and for a folder that holds something.
    """
    from gpo.values.classifier import export as write

    write(path, folder)


def load(path: str | Path, policy: Any = None, *, device: str | None = None) -> Values:
    """The value model at `path`, a folder or the run of `gpo train --method value` that made it.

        values = gpo.values.load("runs/value", policy)
        [[before, *after_each_token]] = values.read([(state, ids)])

    With a policy that holds the weights it was trained with, it reads those; otherwise, such as beside a
    server, it loads them from where they were (`backbone` in its value.json). One with an adapter of its own
    loads a second copy. InputError for a policy with another vocabulary or other weights, a DataWarning for
    other sampling.
    """
    from gpo.values.saved import load as load_saved

    return load_saved(path, policy, device=device)
