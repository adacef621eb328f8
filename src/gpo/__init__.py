"""Guided Pivotal Optimization: find the critical step, reset before it, learn from what follows.

Names are loaded when they are first used, so that `import gpo` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpo import curve, plot, search, steps, tasks, verifiers
    from gpo.evaluation import Evaluation, evaluate
    from gpo.gpo import Round, rounds
    from gpo.learn.policy_gradient import Optimisation, PolicyGradient
    from gpo.policies.server import ServerPolicy
    from gpo.policies.transformers import TransformersPolicy
    from gpo.pool import sample
    from gpo.recipe import RECIPES, Recipe
    from gpo.types import (
        CriticalStep,
        Group,
        InputError,
        Policy,
        Problem,
        Request,
        Rollout,
        Sample,
        State,
        StreamingPolicy,
        ValueCurve,
        Verifier,
    )

__version__ = "0.1.0"

DEMO_MODEL = Path(__file__).parent / "demo_model"
"""The tiny model that ships in the package."""

_MODULES = ("curve", "pairs", "plot", "search", "steps", "tasks", "verifiers")
_NAMES = {
    "gpo.evaluation": ("Evaluation", "evaluate"),
    "gpo.gpo": ("Round", "rounds"),
    "gpo.pool": ("sample",),
    "gpo.recipe": ("RECIPES", "Recipe"),
    "gpo.learn.policy_gradient": ("Optimisation", "PolicyGradient"),
    "gpo.policies.server": ("ServerPolicy",),
    "gpo.policies.transformers": ("TransformersPolicy",),
    "gpo.types": (
        "CriticalStep",
        "Group",
        "InputError",
        "Policy",
        "Problem",
        "Request",
        "Rollout",
        "Sample",
        "State",
        "StreamingPolicy",
        "ValueCurve",
        "Verifier",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "DEMO_MODEL",
    "RECIPES",
    "CriticalStep",
    "Evaluation",
    "Group",
    "InputError",
    "Optimisation",
    "Policy",
    "PolicyGradient",
    "Problem",
    "Recipe",
    "Request",
    "Rollout",
    "Round",
    "Sample",
    "ServerPolicy",
    "State",
    "StreamingPolicy",
    "TransformersPolicy",
    "ValueCurve",
    "Verifier",
    "curve",
    "evaluate",
    "pairs",
    "plot",
    "rounds",
    "sample",
    "search",
    "steps",
    "tasks",
    "verifiers",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"gpo.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gpo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
