"""How many tokens a search needs to find the critical step, on trajectories whose values are known.

    python benchmarks/search.py [--worlds N] [--trajectories N] [--output DIR]

Each world is a curve of true values, an outcome and step lengths; rollouts are Bernoulli draws. A search's
quality is the true |A| of the step it names over the largest |A| of the curve; its cost is counted in
traces: generated tokens over the trajectory's own. Prints the tables, writes them and a picture.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
from command import Parser, natural, out_folder, processes, script, whole
from real_curves import PROPOSALS
from search_tables import BISECT_NS, COSTS, PRETRAINED, UNIFORM_NS, picture, tables
from worlds import FAMILIES, World, measured, real

from gpo.paths import PathPrior
from gpo.rules import VALUE_RULES
from gpo.search import Search, adaptive, bisect, uniform
from gpo.types import InputError

TASKS = ("chain_sum", "pivotlate")
FITTED_ON = 20
"""Of the measured trajectories those on which only the prior is fitted; of drawn worlds twice as many."""
REPEATS = 10
"""Searches of each trajectory of the pretrained model, which are few; a table counts their mean as one."""

Fold = tuple[list[World], list[World]]
"""Worlds to fit the prior on, and worlds to measure on."""


def follow(search: Search, world: World, rng: np.random.Generator, costs: tuple[float, ...], width: int = 1):
    """Runs a search; the step it names at each cost in traces, and its last answer."""
    trace = int(world.lengths.sum())
    named: list[int] = []
    spent = 0

    def note(limit: float) -> None:
        while len(named) < len(costs) and limit >= costs[len(named)]:
            best = search.best()
            named.append(len(world.values) - 1 if best is None else best.index)

    while not search.done and (asks := search.ask(width)):
        for boundary, num in asks:
            spent += num * int(world.lengths[boundary:].sum())
            note((spent - 1e-9) / trace)
            search.tell(boundary, int(rng.binomial(num, world.values[boundary])), num)
    note(np.inf)
    return named, search, spent / trace


def fitted_prior(worlds: list[World], traces: int = 10) -> PathPrior:
    """What searches of `traces` traces learn of the proposal from worlds that are not measured on."""
    prior = PathPrior()
    for seed, world in enumerate(worlds):
        budget = traces * int(world.lengths.sum())
        search = adaptive(
            **settings(world), proposal=world.proposal, prior=prior, budget_tokens=budget, seed=seed
        )
        follow(search, world, np.random.default_rng([4, seed]), ())
        prior = prior.learn(search.path)
    return prior


def settings(world: World) -> dict:
    return {"num_steps": len(world.values), "outcome": world.outcome, "step_tokens": world.lengths.tolist()}


def one_world(job: tuple[int, World], prior: PathPrior, repeats: int = 1) -> dict:
    """What each kind of search does on one world, as the mean of `repeats` of each."""
    index, world = job
    found = [one_search_each(world, seed, prior) for seed in range(index * repeats, (index + 1) * repeats)]
    means = {
        key: np.mean([one[key] for one in found], axis=0).tolist()
        for key in found[0]
        if key not in ("answer", "rules")
    }
    return means | {"answers": [one["answer"] for one in found], "rules": found[0]["rules"]}


def one_search_each(world: World, seed: int, prior: PathPrior) -> dict:
    """What each kind of search does on one world."""
    effects = np.abs(world.effects)
    quality = effects / max(effects.max(), 1e-12)
    budget = COSTS[-1] * int(world.lengths.sum())
    follow_all = partial(follow, world=world, costs=COSTS)
    result: dict = {"largest": float(effects.max())}
    search = adaptive(**settings(world), budget_tokens=budget, seed=seed)
    named, search, cost = follow_all(search, rng=np.random.default_rng([2, seed]))
    result["answer"] = answer(world, search, cost)
    result["adaptive"] = quality[named].tolist()
    hinted = adaptive(
        **settings(world), budget_tokens=budget, seed=seed, proposal=world.proposal, prior=prior
    )
    result["proposal"] = quality[follow_all(hinted, rng=np.random.default_rng([2, seed]))[0]].tolist()
    for n in BISECT_NS:
        named, *_ = follow_all(bisect(n, **settings(world)), rng=np.random.default_rng([2, seed]))
        result[f"bisect {n}"] = quality[named].tolist()
    for n in UNIFORM_NS:
        for kind, estimator in (("uniform", {}), ("pooled", {"pooled": True})):
            search = uniform(n, **estimator, **settings(world), seed=seed)
            rng = np.random.default_rng([2, seed])
            _, search, cost = follow(search, world, rng, (), width=len(world.values))
            best = search.best()
            result[f"{kind} {n}"] = [float(quality[-1 if best is None else best.index]), cost]
    result["rules"] = {rule: by_rule(world, rule) for rule in VALUE_RULES}
    return result


def by_rule(world: World, rule: str) -> dict:
    """The step that a rule takes on the true values, and the value of its reset state."""
    values = np.append(world.values, world.outcome)
    index = int(VALUE_RULES[rule](values[:-1], values[1:]).argmax())
    return {"index": index, "value": float(values[index]), "outcome": world.outcome}


def answer(world: World, search: Search, cost: float) -> dict:
    """A search's last answer beside the truth."""
    effects, best = np.abs(world.effects), search.best()
    low, high = best.interval
    is_argmax = effects >= effects.max() - 1e-9
    return {
        "probability": best.probability,
        "within_one": best.within_one,
        "credibility": best.credibility,
        "is_argmax": bool(is_argmax[best.index]),
        "is_within_one": bool(is_argmax[max(0, best.index - 1) : best.index + 2].any()),
        "is_credible": bool(effects[best.index] >= 0.2),
        "is_last": best.index == len(effects) - 1,
        "covered": bool(low - 1e-9 <= world.effects[best.index] <= high + 1e-9),
        "cost": cost,
    }


def families(args: argparse.Namespace) -> dict[str, list[Fold]]:
    """Worlds to fit the prior on and worlds to measure on, by family."""
    drawn = {
        name: [
            (
                [make(np.random.default_rng([3, seed])) for seed in range(2 * FITTED_ON)],
                [
                    make(np.random.default_rng([1, seed]))
                    for seed in range(max(8, args.worlds // 8) if "150" in name else args.worlds)
                ],
            )
        ]
        for name, make in FAMILIES.items()
    }
    pretrained = {f"{PRETRAINED}, {name}": halves(real(name)) for name in PROPOSALS}
    if not args.trajectories:
        return drawn | pretrained
    of_model = {f"tiny model, {task}": measured(task, args.trajectories, args.output) for task in TASKS}
    tiny = {name: [(some[:FITTED_ON], some[FITTED_ON:])] for name, some in of_model.items()}
    return drawn | tiny | pretrained


def check(args: argparse.Namespace) -> None:
    """InputError for a family that is not there, or too few trajectories to measure on."""
    if 0 < args.trajectories <= FITTED_ON:
        raise InputError(
            f"--trajectories: the prior is fitted on {FITTED_ON}, so give more than these, or 0 for none"
        )
    of_model = [f"tiny model, {task}" for task in TASKS if args.trajectories]
    names = [*FAMILIES, *of_model, *(f"{PRETRAINED}, {name}" for name in PROPOSALS)]
    if not any(args.only in name for name in names):
        raise InputError(f"--only: no family's name holds {args.only!r}; they are {'; '.join(names)}")


def halves(some: list[World]) -> list[Fold]:
    """Each half is measured with the prior that the other half taught."""
    return [(some[::2], some[1::2]), (some[1::2], some[::2])]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "--worlds", type=whole, default=400, help="worlds of each family (S = 150: an eighth)"
    )
    parser.add_argument(
        "--trajectories", type=natural, default=120, help="of the tiny model, a task; 0: none"
    )
    parser.add_argument("--only", default="", help="families whose name holds this")
    parser.add_argument("--output", type=out_folder, default=Path("runs/search-benchmark"))
    args = parser.parse_args()
    check(args)
    args.output.mkdir(parents=True, exist_ok=True)
    found = {}
    with processes(os.cpu_count() or 1) as pool:
        for family, folds in families(args).items():
            if args.only in family:
                found[family] = []
                for to_fit, to_measure in folds:
                    repeats = REPEATS if family.startswith(PRETRAINED) else 1
                    work = partial(one_world, prior=fitted_prior(to_fit), repeats=repeats)
                    found[family] += pool.map(work, enumerate(to_measure), chunksize=4)
                print(f"{family}: {len(found[family])} worlds done", flush=True)
                (args.output / "worlds.json").write_text(json.dumps(found))
    text = tables(found)
    (args.output / "tables.md").write_text(text + "\n")
    picture(found, args.output / "quality.png")
    print(text)


if __name__ == "__main__":
    script(main)
