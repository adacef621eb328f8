"""Turns located trajectories into rows for offline training: pairs from one state, and other rows.

A pair is a right and a wrong continuation of the same state: the prefix is prompt, and only the continuations
are trained. The search's rollouts already are such continuations. A continuation sampled from a later step
was forced through the steps before it. It says nothing for the other outcome, so it may stand only on the
trajectory's own side.
"""

from gpo.pairs.build import build, missing_side, weight_of, with_fresh
from gpo.pairs.parts import SEARCHED, Answer, FirstStep, Options, Pair, Rows, Trajectory, Unpaired
from gpo.pairs.sides import sides, step_before_which

__all__ = [
    "SEARCHED",
    "Answer",
    "FirstStep",
    "Options",
    "Pair",
    "Rows",
    "Trajectory",
    "Unpaired",
    "build",
    "missing_side",
    "sides",
    "step_before_which",
    "weight_of",
    "with_fresh",
]
