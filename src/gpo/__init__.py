"""Guided Pivotal Optimization: find the critical step, reset before it, learn from what follows.

Names are loaded when they are first used, so that `import gpo` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpo import curve, plot, rules, search, step_rewards, steps, tasks, values, verifiers
    from gpo.commands.export import push
    from gpo.evaluation import Evaluation, evaluate
    from gpo.gpo import Round, rounds
    from gpo.learn.policy_gradient import Optimisation, PolicyGradient
    from gpo.objects import Trajectory, locate, read_run, solve
    from gpo.policies.server import ServerPolicy
    from gpo.policies.transformers import TransformersPolicy
    from gpo.policies.vllm import VllmPolicy as VllmPolicy
    from gpo.pool import sample
    from gpo.protocols import Policy, StreamingPolicy, Verifier
    from gpo.recipe import Recipe
    from gpo.recipes import RECIPES
    from gpo.types import (
        CriticalStep,
        Group,
        InputError,
        Problem,
        Request,
        Rollout,
        Sample,
        State,
        ValueCurve,
    )

__version__ = "0.1.0"

DEMO_MODEL = Path(__file__).parent / "demo_model"
"""The tiny model that ships in the package."""

_MODULES = (
    "curve",
    "pairs",
    "plot",
    "rules",
    "search",
    "step_rewards",
    "steps",
    "tasks",
    "values",
    "verifiers",
)
_NAMES = {
    "gpo.commands.export": ("push",),
    "gpo.evaluation": ("Evaluation", "evaluate"),
    "gpo.gpo": ("Round", "rounds"),
    "gpo.pool": ("sample",),
    "gpo.recipe": ("Recipe",),
    "gpo.recipes": ("RECIPES",),
    "gpo.learn.policy_gradient": ("Optimisation", "PolicyGradient"),
    "gpo.objects": ("Trajectory", "locate", "read_run", "solve"),
    "gpo.policies.server": ("ServerPolicy",),
    "gpo.policies.transformers": ("TransformersPolicy",),
    "gpo.policies.vllm": ("VllmPolicy",),
    "gpo.protocols": ("Policy", "StreamingPolicy", "Verifier"),
    "gpo.types": (
        "CriticalStep",
        "Group",
        "InputError",
        "Problem",
        "Request",
        "Rollout",
        "Sample",
        "State",
        "ValueCurve",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

# VllmPolicy is not among them: `from gpo import *` must do without vLLM.
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
    "Trajectory",
    "TransformersPolicy",
    "ValueCurve",
    "Verifier",
    "curve",
    "evaluate",
    "locate",
    "pairs",
    "plot",
    "push",
    "read_run",
    "rounds",
    "rules",
    "sample",
    "search",
    "solve",
    "step_rewards",
    "steps",
    "tasks",
    "values",
    "verifiers",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"gpo.{name}")
    if name in _HOME:
        try:
            return getattr(import_module(_HOME[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "vllm":
                raise
            raise ImportError(f"gpo.{name} needs vLLM: pip install 'gpo[vllm]'") from None
    raise AttributeError(f"module 'gpo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOME})


def _draw_in_notebooks() -> None:
    """Tells a running IPython how curves, groups and critical steps look, by name: nothing is imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return
    drawn = {"ValueCurve": "types", "CriticalStep": "types", "Group": "types", "Located": "located"}
    for name, module in drawn.items():
        shell.display_formatter.formatters["text/html"].for_type_by_name(
            f"gpo.{module}", name, lambda thing: import_module("gpo.report.notebook").html(thing)
        )


_draw_in_notebooks()
