"""The named recipes: settings of the algorithm that belong together."""

from __future__ import annotations

from typing import Any, Literal

RecipeName = Literal[
    "default", "base", "random", "paper", "as-released", "rrpo", "tree", "search", "pivot", "critic", "ladder"
]

RECIPES: dict[str, dict[str, Any]] = {
    # The base algorithm: groups at prompts and nothing else.
    "base": {"rule": "base"},
    # Satori's restart: a step drawn at random, no value rollouts.
    "random": {
        "rule": "random",
        "explored": "all",
        "max_located": 16,
    },
    # The text of arXiv 2509.16456: the largest advantage by 4 rollouts a boundary, which are thrown away.
    "paper": {
        "rule": "signed",
        "search": "uniform",
        "explored": "all",
        "splitter": "newline",
        "max_located": 16,
        "trained": ("explore", "resets"),
    },
    # The authors' code: the failed trajectory's best state by 4 rollouts, the best of which replaces it.
    "as-released": {
        "rule": "as-released",
        "search": "uniform",
        "explored": "failed",
        "splitter": "as-released",
        "max_located": 16,
        "reset_size": 4,
        "splice": True,
        "trained": ("explore",),
    },
    # RRPO (arXiv 2605.25507): a random step of a failure; what follows it trains. 1 + 7 as in `pivot`.
    "rrpo": {
        "rule": "random",
        "explored": "failed",
        "max_located": 1_000_000,
        "group_size": 1,
        "reset_size": 7,
        "trained": ("resets",),
    },
    # Half of each group from the prompt, half from the highest-entropy step of one of them.
    "tree": {
        "rule": "entropy",
        "explored": "all",
        "max_located": 16,
        "group_size": 4,
        "reset_size": 4,
    },
    # Critical steps of successes in groups that also failed, by the adaptive search.
    "search": {},
    # One trajectory a prompt, and all else from its highest-entropy step.
    "pivot": {
        "rule": "entropy",
        "explored": "all",
        "max_located": 1_000_000,
        "group_size": 1,
        "reset_size": 7,
        "credit": "split",
    },
}
# The same, from the step at which a critic, kept across rounds, predicts the largest change.
RECIPES["critic"] = {**RECIPES["pivot"], "rule": "critic"}
# One trajectory a prompt, many prompts, and backward from every success that is found.
RECIPES["ladder"] = {
    "rule": "base",
    "explored": "all",
    "group_size": 1,
    "credit": "split",
    "problems_per_round": 8,
    "ladders": 8,
}
RECIPES["default"] = RECIPES["pivot"]
"""Settings of the named recipes; what they leave out is Recipe's default."""
