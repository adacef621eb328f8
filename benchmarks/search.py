"""How many tokens a search needs to find the critical step, on trajectories whose values are known.

    python benchmarks/search.py [--worlds N] [--trajectories N] [--output DIR]

Each world is a curve of true values, an outcome and step lengths; rollouts are Bernoulli draws. A search's
quality is the true |A| of the step it names over the largest |A| of the curve; its cost is counted in
traces: generated tokens over the trajectory's own. Prints the tables, writes them and a picture.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from real_curves import PROPOSALS
from worlds import FAMILIES, UNKIND, World, measured, real

from gpo.paths import PathPrior
from gpo.rules import VALUE_RULES
from gpo.search import CREDIBLE, Search, adaptive, bisect, uniform

COSTS = (1, 2, 4, 6, 8, 10, 15, 20, 30, 40)
UNIFORM_NS = (1, 2, 4, 8, 16)
BISECT_NS = (2, 4, 8)
TASKS = ("chain_sum", "pivotlate")
PRETRAINED = "SmolLM2, word problems"
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


def mean_se(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


def saving(results: list[dict], n: int, kind: str = "adaptive") -> tuple[float, float, float, float]:
    """Quality of uniform n, its cost, and how many times fewer tokens adaptive needs, with 95 % interval."""
    uniform_q = np.array([r[f"uniform {n}"][0] for r in results])
    cost = float(np.mean([r[f"uniform {n}"][1] for r in results]))
    curves = np.array([r[kind] for r in results])
    rng = np.random.default_rng(0)

    def ratio(rows: np.ndarray) -> float:
        reached = np.maximum.accumulate(curves[rows].mean(0)) >= uniform_q[rows].mean()
        return cost / COSTS[int(reached.argmax())] if reached.any() else 0.0

    everything = np.arange(len(results))
    draws = [ratio(rng.choice(everything, len(everything))) for _ in range(500)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(uniform_q.mean()), cost, ratio(everything), float(low), float(high)


def tables(found: dict[str, list[dict]]) -> str:
    searches = ("adaptive", "proposal", *(f"bisect {n}" for n in BISECT_NS))
    rows = [
        [family, kind, *(f"{x:.2f}" for x in np.mean([r[kind] for r in results], axis=0))]
        for family, results in found.items()
        for kind in searches
    ]
    against = [
        [
            family,
            str(n),
            f"{saving(results, n)[1]:.0f}",
            *(mean_se([r[f"{kind} {n}"][0] for r in results]) for kind in ("uniform", "pooled")),
            *("{2:.1f} ({3:.1f} to {4:.1f})".format(*saving(results, n, kind)) for kind in searches[:2]),
        ]
        for family, results in found.items()
        for n in UNIFORM_NS
    ]
    fewer = ["fewer tokens: adaptive", "with proposal"]
    return "\n\n".join(
        [
            "## Quality by cost in traces",
            table(["family", "search", *map(str, COSTS)], rows),
            "## Against uniform",
            table(["family", "n", "cost", "uniform", "pooled", *fewer], against),
            "## Is the adaptive search anywhere significantly worse at the same tokens?",
            significance(found),
            "## Calibration of the last answer",
            calibration(found),
            "## What `result` names",
            named(found),
            "## The rules on the true curves",
            rules(found),
        ]
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def significance(found: dict[str, list[dict]]) -> str:
    """Paired differences of quality, adaptive minus the other, by family: the lowest, and its 95 % interval.

    Uniform n is met at the largest cost that does not exceed its own.
    """
    rows = []
    for family, results in found.items():
        adaptive_q = np.array([r["adaptive"] for r in results])
        for name, ns in (("uniform", UNIFORM_NS), ("bisect", BISECT_NS)):
            gaps = []
            for n in ns:
                other = np.array([r[f"{name} {n}"] for r in results])
                if name == "bisect":
                    gaps += [(f"{n} at {c}", adaptive_q[:, i] - other[:, i]) for i, c in enumerate(COSTS)]
                elif other[:, 1].mean() >= COSTS[0]:
                    at = int(np.searchsorted(COSTS, other[:, 1].mean(), side="right")) - 1
                    gaps.append((f"{n} at {COSTS[at]}", adaptive_q[:, at] - other[:, 0]))
            spans = [(n, g.mean(), 1.96 * g.std(ddof=1) / np.sqrt(len(g))) for n, g in gaps]
            worst = min(spans, key=lambda s: s[1] + s[2])
            below = sum(mean + half < 0 for _, mean, half in spans)
            gap = f"{worst[1]:+.3f} ({worst[1] - worst[2]:+.3f} to {worst[1] + worst[2]:+.3f})"
            rows.append([family, f"{name} {worst[0]}", gap, f"{below} of {len(spans)}"])
    return table(["family", "the worst comparison", "difference", "significantly worse"], rows)


CLAIMS = (("probability", "is_argmax"), ("within_one", "is_within_one"), ("credibility", "is_credible"))


def calibration(found: dict[str, list[dict]]) -> str:
    """Claims against the truth in bins of at least 400 answers from 0.5 up; one bin if there are fewer."""
    rows = []
    named_families = ("jumps", "planted", "tiny model")
    plain = [
        a for f, some in found.items() if f.startswith(named_families) for r in some for a in r["answers"]
    ]
    unkind = [a for f, some in found.items() if f in UNKIND for r in some for a in r["answers"]]
    pretrained = [a for r in found.get(f"{PRETRAINED}, {PROPOSALS[0]}", []) for a in r["answers"]]
    for name, answers in (("named", plain), ("unkind", unkind), (PRETRAINED, pretrained)):
        for claim, truth in CLAIMS:
            ordered = sorted((a for a in answers if a[claim] >= 0.5), key=lambda a: a[claim])
            for part in np.array_split(np.arange(len(ordered)), max(1, len(ordered) // 400)):
                if not len(part):
                    continue
                some = [ordered[i] for i in part]
                claimed, true = (np.array([a[key] for a in some], float) for key in (claim, truth))
                span = f"{claimed.min():.2f} to {claimed.max():.2f}"
                rows.append([name, claim, span, str(len(some)), f"{claimed.mean():.3f}", mean_se(true)])
        if answers:
            held = [float(a["covered"]) for a in answers]
            rows.append([name, "95 % interval", "all", str(len(answers)), "0.950", mean_se(held)])
    return table(["families", "claim", "bin", "answers", "claimed", "true"], rows)


def named(found: dict[str, list[dict]]) -> str:
    """How often a step is named at all, how often its |A| is 0.2, and the cost at which searches ended.

    On flat curves the outcome itself is the jump: any step but the last is a false alarm.
    """
    rows = []
    for family, results in found.items():
        answers = [answer for r in results for answer in r["answers"]]
        sure = [a for a in answers if a["credibility"] >= CREDIBLE]
        alarms = np.mean([a["credibility"] >= CREDIBLE and not a["is_last"] for a in answers])
        rows.append(
            [
                family,
                f"{len(sure) / len(answers):.2f}",
                f"{np.mean([a['is_credible'] for a in sure]):.2f}" if sure else "",
                f"{np.mean([a['is_argmax'] for a in sure]):.2f}" if sure else "",
                f"{np.mean([a['cost'] for a in answers]):.0f}",
                f"{alarms:.3f}" if family == "flat" else "",
            ]
        )
    return table(
        ["family", "named", "of these 0.2 or more", "of these the largest", "cost", "false alarms"], rows
    )


def rules(found: dict[str, list[dict]]) -> str:
    """How often each rule takes another step than `absolute`, and the mean V of its reset states."""
    rows = []
    for family, results in found.items():
        for rule in VALUE_RULES:
            picks = [r["rules"][rule] for r in results]
            differ = np.mean(
                [p["index"] != r["rules"]["absolute"]["index"] for p, r in zip(picks, results, strict=True)]
            )
            by_outcome = [[p["value"] for p in picks if p["outcome"] == outcome] for outcome in (0, 1)]
            rows.append(
                [family, rule, f"{differ:.2f}", *(f"{np.mean(v):.2f}" if v else "" for v in by_outcome)]
            )
    return table(["family", "rule", "differs from absolute", "V at the reset: failed", "succeeded"], rows)


def picture(found: dict[str, list[dict]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, (len(found) + 1) // 2, figsize=(16, 7), sharey=True)
    for axis, (family, results) in zip(axes.flat, found.items(), strict=False):
        axis.plot(COSTS, np.mean([r["adaptive"] for r in results], axis=0), "o-", label="adaptive")
        axis.plot(COSTS, np.mean([r["bisect 4"] for r in results], axis=0), "s--", label="bisect, n = 4")
        for name, marker in (("uniform", "x:"), ("pooled", "+:")):
            points = [np.mean([r[f"{name} {n}"] for r in results], axis=0) for n in UNIFORM_NS]
            axis.plot([p[1] for p in points], [p[0] for p in points], marker, label=name)
        axis.set(title=family, xscale="log", xlabel="traces of tokens", ylim=(0, 1))
    axes.flat[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


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


def halves(some: list[World]) -> list[Fold]:
    """Each half is measured with the prior that the other half taught."""
    return [(some[::2], some[1::2]), (some[1::2], some[::2])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=400, help="worlds of each family (S = 150: an eighth)")
    parser.add_argument("--trajectories", type=int, default=120, help="of the tiny model, a task; 0: none")
    parser.add_argument("--only", default="", help="families whose name holds this")
    parser.add_argument("--output", type=Path, default=Path("runs/search-benchmark"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    found = {}
    with ProcessPoolExecutor() as pool:
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
    main()
