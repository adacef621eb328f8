"""What benchmarks/online.py compares: tasks with their problems, and arms, each a recipe with changes."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np
from hard_tasks import HARD, EveryLine

EVAL_PROBLEMS = 200
PROBLEMS_PER_ROUND = 16
TASKS: dict[str, dict[str, int]] = {
    "chain_sum": {"tokens": 60_000, "rounds": 12},
    "pivotlate": {"tokens": 60_000, "rounds": 12},
    "fixed set": {"tokens": 60_000, "rounds": 12},
    "rare": {"tokens": 50_000, "rounds": 9},
    "hard sums": {"tokens": 100_000, "rounds": 16},
    "long chain": {"tokens": 100_000, "rounds": 8},
}
"""The demo's task; a late decision; 32 problems over and over; and those of HARD. The base algorithm
spends about the tokens in the rounds."""
SEARCHES: dict[str, dict[str, Any]] = {
    **{f"search, {num} at every boundary": {"search": "uniform", "values": num} for num in (1, 4, 16)},
    "search, bisection": {"search": "bisect"},
    **{f"search, {num} lengths": {"search_traces": num} for num in (2, 32)},
    "search, drop": {"rule": "drop"},
    "search, failures": {"explored": "mixed"},
    "search, any trajectory": {"explored": "all"},
    "search, a quarter of the groups": {"max_reset_frac": 0.25},
    "search, no resets": {"resets": False},
    "search, values not trained": {"trained": ("explore", "resets")},
}
"""Changes to the recipe `search`."""
ARMS: dict[str, dict[str, Any]] = {
    **{
        name: {"recipe": name}
        for name in ("base", "random", "paper", "as-released", "tree", "search", "pivot", "rrpo")
    },
    "pivot 2 + 6": {"recipe": "pivot", "group_size": 2, "reset_size": 6},
    "pivot, suffixes only": {"recipe": "pivot", "credit": "group"},
    "pivot, random step": {"recipe": "pivot", "rule": "random"},
    "pivot, surprisal": {"recipe": "pivot", "told": "surprisal"},
    "pivot, oracle": {"recipe": "pivot", "told": "decision"},
    "pivot, half the rate": {"recipe": "pivot"},
    "srpo, oracle": {"recipe": "rrpo", "rule": "entropy", "told": "first wrong line"},
    **{f"{name}, 4 prompts a round": {"recipe": name, "problems_per_round": 4} for name in ("base", "pivot")},
    "base, pilot of 4": {"recipe": "base", "rounds": {"pilot": 4}},
    "pivot, pilot of 3": {"recipe": "pivot", "rounds": {"pilot": 3}},
    "pivot 1 + 4 + 3": {"recipe": "pivot", "rounds": {"second": 3}},
    "pivot, then base": {"recipe": "pivot", "rounds": {"base_from": 2 / 3}},
    "failures": {"recipe": "rrpo", "rule": "entropy"},
    "failures, V near one half": {"recipe": "search", "explored": "mixed", "reset_at": "signal"},
    "base, 2 prompts a round": {"recipe": "base", "problems_per_round": 2},
    "base, half the rate": {"recipe": "base"},
    **{name: {"recipe": "search", **changes} for name, changes in SEARCHES.items()},
    "pivot, steps of 8 tokens": {"recipe": "pivot", "splitter": "fixed", "fixed_step_tokens": 8},
    "pivot, steps by auto": {"recipe": "pivot", "splitter": "auto"},
    "pivot, a quarter of the rate": {"recipe": "pivot"},
    "ladder": {"recipe": "ladder", "problems_per_round": 8},
    "ladder, half the rate": {"recipe": "ladder", "problems_per_round": 8},
    "ladder, without ladders": {"recipe": "ladder", "problems_per_round": 8, "ladders": 0},
    "critic": {"recipe": "critic"},
    "critic, one half": {"recipe": "critic", "rule": "critic-half"},
    "base, key steps": {"recipe": "base", "step_reward": "key steps"},
    "base, repro": {"recipe": "base", "step_reward": "repro"},
    "base, bottleneck": {"recipe": "base", "learner": {"ib_coef": 0.1}},
}
"""A recipe, changes to it and to the `learner`, and a `step_reward`. `told` puts numbers of its own in place
of the entropies, so that the rule names the planted decision, or of a failure the first line that is truly
wrong: oracles, free of charge, of tasks where these are known. Key steps are the task's own lines, which no
other arm is told."""
VARIANTS = {
    **{name: "pivot" for name in ARMS if name.startswith("pivot, ") and name != "pivot, suffixes only"},
    **dict.fromkeys(("pivot 2 + 6", "pivot 1 + 4 + 3"), "pivot"),
    "tree": "pivot",
    **dict.fromkeys(SEARCHES, "search"),
    **dict.fromkeys(
        ("rrpo", "srpo, oracle", "failures", "failures, V near one half"), "pivot, suffixes only"
    ),
    **{name: "base" for name in ARMS if name.startswith("base, ")},
    **dict.fromkeys(("critic", "critic, one half"), "pivot"),
    "ladder, without ladders": "ladder",
}
"""Arms that take another arm's learning rate. With 4 prompts a round there is one update a round, on what the
policy of that round sampled."""
LEARNING_RATES = defaultdict(lambda: (1.5e-4, 3e-4, 6e-4), dict.fromkeys(HARD, (3e-4, 6e-4, 1.2e-3)))
"""The grid of every arm, by task."""


APART = ("told", "learner", "step_reward", "rounds")
"""What an arm says that is no setting of its recipe."""
WAYS = ("pilot", "second", "base_from")
"""What `rounds` may say, see online_rounds.py."""


def recipe_of(arm: Mapping[str, Any]):
    """The arm's recipe; a step is a line, which the authors' code finds in its own way."""
    import gpo

    changes = {key: value for key, value in arm.items() if key not in APART}
    name = changes.pop("recipe")
    splitter = gpo.steps.as_released if name == "as-released" else gpo.steps.newline
    settings = {"splitter": splitter(min_tokens=1), "problems_per_round": PROBLEMS_PER_ROUND, **changes}
    return gpo.Recipe.named(name, **settings)


def tried_arm(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the changes of ARM=JSON, of which everything is made once to see that it can be."""
    name, _, changes = text.partition("=")
    if not name or name in ARMS:
        raise argparse.ArgumentTypeError(f"{text!r} needs a name that no other arm has, as in ARM=JSON")
    try:
        make(arm := json.loads(changes))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ARM=JSON: {' '.join(str(error).split())}"
        ) from None
    return name, arm


def make(arm: Any) -> None:
    """An error of some kind for an arm that no run could start with."""
    import gpo

    if not isinstance(arm, dict) or "recipe" not in arm:
        raise ValueError('it must be an object with a recipe, such as {"recipe": "pivot", "group_size": 2}')
    recipe_of(arm)
    gpo.Optimisation(learning_rate=1e-3, **arm.get("learner", {}))
    if "step_reward" in arm:
        step_reward(arm["step_reward"])
    if arm.get("told", "surprisal") not in TOLD:
        raise ValueError(f"told: {arm['told']!r} is unknown; one of {', '.join(TOLD)}")
    way = arm.get("rounds", {})
    if wrong := [key for key, value in way.items() if key not in WAYS or type(value) not in (int, float)]:
        raise ValueError(f"rounds: {wrong[0]!r} is not one of {', '.join(WAYS)} with a number")


def problems_of(task: str, seed: int, policy, *, is_grid: bool):
    """Training and evaluation problems and the verifier of a task; training ones differ by seed.

    Validation problems are drawn from the training split, with a seed of their own; questions that are
    evaluated are never trained, but for the fixed set, which is both, as in the paper.
    """
    import gpo

    if task in HARD:
        taken: set[str] = set()
        test, validation = (HARD[task](EVAL_PROBLEMS, one, taken) for one in (0, 999))
        train, verifier = HARD[task](256, 1 + seed, taken), EveryLine()
    elif task == "fixed set":
        train = test = validation = gpo.tasks.load("chain_sum", "train", size=32, seed=seed)
        verifier = gpo.verifiers.load(gpo.tasks.verifier("chain_sum"))
    else:
        train = gpo.tasks.load(task, "train", size=2048, seed=seed)
        test = gpo.tasks.load(task, "test", size=EVAL_PROBLEMS, seed=0)
        validation = gpo.tasks.load(task, "train", size=EVAL_PROBLEMS, seed=999)
        held_out = {row.question for row in (*test, *validation)}
        train = [row for row in train if row.question not in held_out]
        verifier = gpo.verifiers.load(gpo.tasks.verifier(task))
    evaluated = validation if is_grid else test
    return *(gpo.tasks.problems(rows, policy.prompt_ids) for rows in (train, evaluated)), verifier


def decision(problem, lines: list[str]) -> int | None:
    """The line of the planted decision; None on tasks that have none."""
    from gpo.tasks.planted import Chain

    del lines
    return Chain.parse(problem.question).pivot


def first_wrong(problem, lines: list[str]) -> int:
    """The first line that differs from the gold ones, or the last."""
    gold = problem.columns.get("steps") or problem.answer.split("\n")
    num = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(lines, gold, strict=False))))
    return min(num, len(lines) - 1)


TOLD: dict[str, Callable[[Any, list[str]], int | None] | None] = {
    "surprisal": None,
    "decision": decision,
    "first wrong line": first_wrong,
}
"""The line that is told of a problem's lines; of `surprisal` nothing is."""


def told(policy, what: str):
    """The policy's `sample`, with other numbers for entropies: none (so that surprisals serve), or 1 on a
    line and 0 elsewhere."""
    sample, newline = policy.sample, policy.tokenizer.encode("\n")[-1]
    named = TOLD[what]

    def entropies(state, action_ids) -> tuple[float, ...]:
        if named is None:
            return ()
        ids = (*state.prefix_ids, *action_ids)
        line = named(state.problem, policy.text(ids).strip().split("\n"))
        ended = np.cumsum([0, *(token == newline for token in ids[:-1])])
        return tuple((ended == line)[len(state.prefix_ids) :].astype(float).tolist())

    def answers(requests):
        return [
            [replace(one, entropies=entropies(request.state, one.action_ids)) for one in some]
            for request, some in zip(requests, sample(requests), strict=True)
        ]

    return answers


def key_steps(question: str, steps: list[str], columns) -> list[float]:
    """1 for a step that holds the next gold line, in their order; else 0: R1-VL's two rewards in one."""
    del question
    keys, rewards = list(columns["steps"]), []
    for step in steps:
        is_next = bool(keys) and keys[0] in step.split("\n")
        rewards.append(float(is_next))
        keys = keys[is_next:]
    return rewards


def step_reward(name: str):
    """What an arm calls its step reward."""
    from gpo import proposals, step_rewards

    return proposals.judge(key_steps) if name == "key steps" else step_rewards.by_name(name)
