"""Located trajectories to rows for offline training: pairs from one state, and what else they hold.

A pair is a right and a wrong continuation of the same state, so the prefix up to there is prompt and
only what differs is trained. The rollouts of the search are such continuations already. A continuation
that was sampled from a later step of the trajectory was made to pass through the steps before it, so it
says nothing for the other outcome: it stands only on the side that the trajectory itself is on.
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
