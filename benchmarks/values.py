"""What a value model is worth: how well it knows values that are known, and what it saves a search.

    python benchmarks/values.py --task chain_sum [--located 25 100 200] [--output DIR]
    python benchmarks/values.py --curves benchmarks/data/real_curves.jsonl --model MODEL

Trajectories of problems that no value model learned from are measured with 64 rollouts at every boundary.
Value models are learned from so many located trajectories of other problems, which `gpo locate` found
(DIR/TASK-located). Searches then follow the measured trajectories, each twice: with entropy, with the value
model, with the values of other trajectories (a wrong model) and with random scores (a useless proposal),
each with what it learned on the first 20. Recorded curves of a pretrained model are too few to part: four
folds of problems are predicted by the other three, and each half of them is searched ten times with what the
other half taught.

When a value model pays. A target is a mean quality: that of uniform 8, and that of the default, entropy with
8 lengths of the trajectory. Each search takes the cheapest of COSTS at which its mean quality is that high.
The tokens that the value model saves on a trajectory are the lengths that it saves over entropy times the
mean length; it pays after as many searches as these go into the tokens of its training traces (all that
`gpo locate` generated for them; of the recorded curves, their rollouts). Intervals are over trajectories.
A third target, what the value model comes to without a rollout, was added when the tables of pivotlate were
there: entropy's own step was as good there as entropy with 8 lengths, which no search can save tokens on.
Every stage is kept in DIR, and a second start goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from command import Parser, existing, keep_to, out_folder, recorded, script, whole
from search import follow
from values_tables import knows, report
from worlds import World, measure

from gpo.paths import PathPrior
from gpo.search import adaptive, uniform

TRUTH = 64
FITTED_ON = 20
COSTS = (0.01, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 10, 15, 20)
FOLDS = 4
REPEATS, RECORDED_REPEATS = 2, 10
"""Searches of each trajectory; a table counts their mean as one."""


@dataclass(frozen=True)
class Predicted(World):
    """A measured trajectory, and what value models predict of it: [S] values by the model's name."""

    predicted: dict[str, list[float]] = field(default_factory=dict)

    def means(self, kind: str) -> list[float] | None:
        return self.predicted.get(kind)

    def scores(self, kind: str, seed: int) -> list[float] | None:
        """What a search of this kind starts from."""
        if kind == "none":
            return None
        if kind == "entropy":
            return None if self.proposal is None else self.proposal.tolist()
        if kind == "random":
            return np.random.default_rng([7, seed]).random(len(self.values)).tolist()
        changes = np.abs(np.diff(self.predicted[kind]))
        return [*changes.tolist(), float(changes.mean()) if len(changes) else 0.0]


def kept(path: Path, make: Any) -> Any:
    """What is in the file, made first if it is not there."""
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def learned(task: str, num: int, measured: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What a value model of `num` located trajectories predicts, and the tokens that these cost."""
    import torch

    import gpo
    from gpo.values.rows import read_counted

    torch.set_num_threads(1)
    run = folder / f"{task}-located"
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=96)
    counted = read_counted([run], 2**31)
    questions = set(sorted({one.problem.question for one in counted})[:num])
    tokens = sum(len(one.action_ids) for one in gpo.read_run(run).rollouts if one.question in questions)
    found, values = fitted(policy, [one for one in counted if one.problem.question in questions], measured)
    return {"fitted": found, "tokens": tokens, "values": values}


def fitted(policy: Any, counted: list[Any], measured: list[dict[str, Any]]) -> tuple[Any, list[list[float]]]:
    """What a fit came to, and what the model then predicts of the measured trajectories."""
    from gpo.values.backbone import Backbone
    from gpo.values.fit import fit
    from gpo.values.head import Head
    from gpo.values.model import Values
    from gpo.values.settings import ValueOptimisation

    backbone = Backbone(policy.model, policy.temperature)
    head = Head(backbone.hidden_size)
    found = fit(backbone, head, counted, ValueOptimisation())
    return asdict(found), read(Values(backbone, head), measured)


def read(values: Any, measured: list[dict[str, Any]]) -> list[list[float]]:
    """[S] predicted values at the boundaries of each measured trajectory."""
    import gpo

    given = [
        (gpo.State(gpo.Problem("", tuple(one["prompt_ids"]), "")), tuple(one["ids"])) for one in measured
    ]
    return [
        [curve[bound] for bound in one["bounds"][:-1]]
        for curve, one in zip(values.read(given), measured, strict=True)
    ]


def recorded_folds(path: Path, model: Path) -> list[dict[str, Any]]:
    """The recorded trajectories, each with the values that a model of the other folds predicts."""
    import gpo
    from gpo.values.rows import of_curve

    policy = gpo.TransformersPolicy.load(model, max_tokens=160, temperature=0.7)
    found = []
    for line in sorted(recorded(path, ("problem",)), key=lambda one: one["problem"]):
        ids = [*policy.tokenizer.encode(line["completion"]), *policy.end_ids[:1] * line["finished"]]
        if len(ids) == line["bounds"][-1]:
            own = {"prompt_ids": policy.prompt_ids(line["question"]), "ids": ids}
            found.append({**line, **own, "entropy": line["scores"]["entropy"]})
    curves = [of_curve(curve(one)) for one in found]
    for fold in range(FOLDS):
        others = [one for i, one in enumerate(curves) if i % FOLDS != fold]
        mine = found[fold::FOLDS]
        about, values = fitted(policy, others, mine)
        print(f"fold {fold}: {about}", flush=True)
        for one, predicted in zip(mine, values, strict=True):
            one["predicted"] = predicted
    return found


def curve(one: dict[str, Any]) -> Any:
    import gpo

    problem = gpo.Problem(str(one["question"]), tuple(one["prompt_ids"]), "", "", one["question"])
    rollout = gpo.Rollout(gpo.State(problem), tuple(one["ids"]), (), (), "", True, one["outcome"], 0)
    wins, trials = (*one["successes"], int(one["outcome"])), (*one["trials"], 1)
    return gpo.ValueCurve(tuple(one["bounds"]), wins, trials, rollout)


def worlds(measured: list[dict[str, Any]], predicted: dict[str, list[list[float]]]) -> list[Predicted]:
    return [
        Predicted(
            np.array(one["successes"]) / np.array(one["trials"]),
            float(one["outcome"]),
            np.diff(one["bounds"]),
            np.array(one["entropy"]),
            {name: some[i] for name, some in predicted.items()},
        )
        for i, one in enumerate(measured)
    ]


def settings(world: Predicted, kind: str, seed: int, prior: PathPrior) -> dict[str, Any]:
    """What a search of this kind starts with."""
    found = {
        "num_steps": len(world.values),
        "outcome": world.outcome,
        "step_tokens": world.lengths.tolist(),
        "proposal": world.scores(kind, seed),
        "prior": prior,
        "seed": seed,
    }
    return found | ({"means": world.means(kind)} if world.means(kind) else {})


def taught(some: list[Predicted], kind: str, traces: int = 10) -> PathPrior:
    """What searches of this kind learn from worlds that are not measured on."""
    prior = PathPrior()
    for seed, world in enumerate(some):
        budget = traces * int(world.lengths.sum())
        search = adaptive(**settings(world, kind, seed, prior), budget_tokens=budget)
        follow(search, world, np.random.default_rng([4, seed]), ())
        prior = prior.learn(search.path)
    return prior


def one_world(index: int, world: Predicted, priors: dict[str, PathPrior], repeats: int) -> dict[str, Any]:
    """The mean quality of what each search names at each of COSTS, and uniform's at its cost."""
    found = [searched_once(seed, world, priors) for seed in range(index * repeats, (index + 1) * repeats)]
    return {kind: np.mean([one[kind] for one in found], axis=0).tolist() for kind in found[0]}


def searched_once(seed: int, world: Predicted, priors: dict[str, PathPrior]) -> dict[str, list[float]]:
    """What each search names with these random numbers."""
    effects = np.abs(world.effects)
    quality = effects / max(effects.max(), 1e-12)
    found: dict[str, list[float]] = {}
    for kind, prior in priors.items():
        budget = int(COSTS[-1] * world.lengths.sum())
        search = adaptive(**settings(world, kind, seed, prior), budget_tokens=budget)
        named, *_ = follow(search, world, np.random.default_rng([2, seed]), COSTS)
        found[kind] = quality[named].tolist()
    for n in (4, 8):
        search = uniform(n, num_steps=len(effects), outcome=world.outcome, step_tokens=world.lengths.tolist())
        _, search, cost = follow(search, world, np.random.default_rng([2, seed]), (), width=len(effects))
        best = search.best()
        found[f"uniform {n}"] = [float(quality[-1 if best is None else best.index]), cost]
    return found


def searched(
    some: list[Predicted], kinds: list[str], folds: list[tuple[list[int], list[int]]], repeats: int
) -> list[dict]:
    """Every world that is measured on, by the searches that the others of its fold taught."""
    found = []
    for to_fit, to_measure in folds:
        priors = {kind: taught([some[i] for i in to_fit], kind) for kind in kinds}
        says = {kind: prior.say for kind, prior in priors.items() if prior.say}
        print(
            f"say: {says}; lifts: { {k: np.round(p.lifts, 2).tolist() for k, p in priors.items()} }",
            flush=True,
        )
        found += [
            {"index": i, "says": says, "length": int(some[i].lengths.sum())}
            | one_world(i, some[i], priors, repeats)
            for i in to_measure
        ]
    return found


def of_task(args: argparse.Namespace) -> str:
    """The tables of a task of the tiny model."""
    folder, given = args.output, {name: getattr(args, name) for name in ("worlds", "split", "located")}
    truth = folder / f"{args.task}-truth.json"
    keep_to(folder / f"{args.task}-settings.json", given, is_begun=truth.exists())
    measured = kept(truth, lambda: measure(args.task, args.worlds, args.split, TRUTH))
    models = {
        f"value {num}": kept(
            folder / f"{args.task}-value-{num}.json",
            lambda num=num: learned(args.task, num, measured, folder),
        )
        for num in args.located
    }
    predicted = {name: one["values"] for name, one in models.items()}
    shifted = [*next(reversed(predicted.values()))]
    lengths = [len(one) for one in shifted]
    wrong = {"wrong": [resized(shifted[i - 1], lengths[i]) for i in range(len(shifted))]}
    some = worlds(measured, predicted | wrong)
    kinds = ["none", "entropy", *predicted, "wrong", "random"]
    fold = ([*range(FITTED_ON)], [*range(FITTED_ON, len(some))])
    results = kept(folder / f"{args.task}-searches.json", lambda: searched(some, kinds, [fold], REPEATS))
    trials = [one["trials"] for one in measured]
    lines = [knows(some, name, trials) for name in predicted]
    spent = [f"{name}: {one['tokens']:,} tokens; {one['fitted']}" for name, one in models.items()]
    tokens = {name: one["tokens"] for name, one in models.items()}
    return "\n\n".join([report(args.task, results, COSTS, kinds, tokens), *lines, *spent])


def resized(values: list[float], num: int) -> list[float]:
    """The same curve with another number of boundaries."""
    return np.interp(np.linspace(0, 1, num), np.linspace(0, 1, len(values)), values).tolist()


def of_recorded(args: argparse.Namespace) -> str:
    """The tables of the pretrained model's recorded curves."""
    measured = kept(args.output / "recorded.json", lambda: recorded_folds(args.curves, args.model))
    some = worlds(measured, {"value": [one["predicted"] for one in measured]})
    kinds = ["none", "entropy", "value", "random"]
    halves = [[*range(0, len(some), 2)], [*range(1, len(some), 2)]]
    folds = [(halves[0], halves[1]), (halves[1], halves[0])]
    path = args.output / "recorded-searches.json"
    results = kept(path, lambda: searched(some, kinds, folds, RECORDED_REPEATS))
    tokens = {"value": round(sum(sum(one["tokens"]) for one in measured) * (FOLDS - 1) / FOLDS)}
    told = report("recorded curves", results, COSTS, kinds, tokens)
    return f"{told}\n\n{knows(some, 'value', [one['trials'] for one in measured])}"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--task", help="of the tiny model; OUTPUT/TASK-located is the run to learn from")
    parser.add_argument("--curves", type=existing, help="recorded curves of a pretrained model")
    parser.add_argument("--model", type=Path, help="the model that they are of")
    parser.add_argument("--worlds", type=whole, default=60)
    parser.add_argument("--split", default="test", help="of the measured; the located are of another")
    parser.add_argument("--located", type=whole, nargs="+", default=[25, 100, 200])
    parser.add_argument("--output", type=out_folder, default=Path("runs/values-benchmark"))
    args = parser.parse_args()
    if not args.task and not (args.curves and args.model):
        parser.error("give --task, or --curves and --model")
    if args.worlds <= FITTED_ON:
        parser.error(f"argument --worlds: must be above {FITTED_ON}, on which the prior is fitted")
    args.output.mkdir(parents=True, exist_ok=True)
    print(of_task(args) if args.task else of_recorded(args))


if __name__ == "__main__":
    script(main)
