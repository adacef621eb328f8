"""How many tokens a search needs to find the critical step, on worlds whose values are known exactly.

    python benchmarks/search.py [--worlds N] [--output DIR]

Each world is a curve of true values, an outcome and step lengths; rollouts are Bernoulli draws. A search's
quality is the true |A| of the step it names over the largest |A| of the curve; its cost is counted in
traces: generated tokens over the trajectory's own. Prints the tables, writes them and a picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gpo.paths import PathPrior
from gpo.search import Search, adaptive, bisect, uniform

COSTS = (1, 2, 4, 6, 8, 10, 15, 20, 30, 40)
UNIFORM_NS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class World:
    """A trajectory with known values V(s_0) .. V(s_{S-1})."""

    values: np.ndarray
    outcome: float
    lengths: np.ndarray
    proposal: np.ndarray | None = None

    @property
    def effects(self) -> np.ndarray:
        return np.diff(np.append(self.values, self.outcome))


def jumps_and_drift(num_steps: int, rng: np.random.Generator, sizes: list[float] | None = None, drift=0.035):
    """V(s_0) uniform in .2 to .8, one to three jumps of .2 to .6, drift .035 sqrt(30 / S) a step."""
    values = np.empty(num_steps)
    values[0] = rng.uniform(0.2, 0.8)
    if sizes is None:
        sizes = [rng.uniform(0.2, 0.6) * rng.choice([-1, 1]) for _ in range(rng.integers(1, 4))]
    at = rng.choice(np.arange(1, num_steps), size=min(len(sizes), num_steps - 1), replace=False)
    jumps = dict(zip(at.tolist(), sizes, strict=False))
    for i in range(1, num_steps):
        moved = values[i - 1] + rng.normal(0, drift * np.sqrt(30 / num_steps)) + jumps.get(i, 0.0)
        values[i] = np.clip(moved, 0, 1)
    return finish(values, rng)


def finish(values: np.ndarray, rng: np.random.Generator) -> World:
    lengths = np.maximum(1, np.round(30 * np.exp(rng.normal(0, 0.6, len(values))))).astype(int)
    return World(values, float(rng.random() < values[-1]), lengths)


def flat(rng: np.random.Generator) -> World:
    return finish(np.full(20, rng.uniform(0, 1)), rng)


def opposite(rng: np.random.Generator) -> World:
    return jumps_and_drift(20, rng, [0.4, -0.4])


def slow_drift(rng: np.random.Generator) -> World:
    return jumps_and_drift(20, rng, [], drift=0.1)


def early(rng: np.random.Generator) -> World:
    values = np.full(20, rng.uniform(0.3, 0.7))
    values[2:] += 0.3 * rng.choice([-1, 1])
    return finish(values.clip(0, 1), rng)


def planted(rng: np.random.Generator, hint: float = 1.0) -> World:
    """An execution task: every line is right with its own probability, and one wrong line loses the rest.

    The proposal knows which lines are weak; with `hint` -1 it points away from them.
    """
    right = np.where(rng.random(8) < 0.3, rng.uniform(0.4, 0.7, 8), 0.98)
    is_right = rng.random(8) < right
    alive = np.cumprod(np.append(True, is_right))[:8]
    values = alive * np.cumprod(right[::-1])[::-1]
    proposal = -hint * right + rng.normal(0, 0.05, 8)
    return World(values, float(is_right.all()), np.full(8, 6), proposal)


FAMILIES: dict[str, Callable[[np.random.Generator], World]] = {
    **{f"jumps, S = {s}": partial(jumps_and_drift, s) for s in (6, 20, 30, 150)},
    "planted, S = 8": planted,
    "misleading proposal": partial(planted, hint=-1.0),
    "opposite jumps": opposite,
    "slow drift": slow_drift,
    "one early jump": early,
    "flat": flat,
}


UNKIND = ("opposite jumps", "slow drift", "one early jump")


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


def fitted_prior(family: str, num_worlds: int = 40, traces: int = 10) -> PathPrior:
    """What searches of `traces` traces learn of the proposal from worlds that are not measured on."""
    prior = PathPrior()
    for seed in range(num_worlds):
        world = FAMILIES[family](np.random.default_rng([3, seed]))
        search = adaptive(
            num_steps=len(world.values),
            outcome=world.outcome,
            step_tokens=world.lengths.tolist(),
            proposal=world.proposal,
            prior=prior,
            budget_tokens=traces * int(world.lengths.sum()),
            seed=seed,
        )
        follow(search, world, np.random.default_rng([4, seed]), ())
        prior = prior.learn(search.path)
    return prior


def one_world(family: str, seed: int, kinds: tuple[str, ...], prior: PathPrior) -> dict:
    """What each kind of search does on one world."""
    world = FAMILIES[family](np.random.default_rng([1, seed]))
    effects = np.abs(world.effects)
    largest = max(effects.max(), 1e-12)
    trace = int(world.lengths.sum())
    common = {"num_steps": len(world.values), "outcome": world.outcome, "step_tokens": world.lengths.tolist()}
    result: dict = {"largest": float(effects.max())}
    for kind in kinds:
        name, _, n = kind.partition(" ")
        rng = np.random.default_rng([2, seed])
        if name == "adaptive":
            search: Search = adaptive(**common, budget_tokens=COSTS[-1] * trace, seed=seed)
            named, search, cost = follow(search, world, rng, COSTS)
            best = search.best()
            result["answer"] = {
                "index": best.index,
                "probability": best.probability,
                "credibility": best.credibility,
                "is_argmax": bool(effects[best.index] >= largest - 1e-9),
                "is_credible": bool(effects[best.index] >= 0.2),
                "is_last": best.index == len(effects) - 1,
                "covered": bool(
                    best.interval[0] - 1e-9 <= world.effects[best.index] <= best.interval[1] + 1e-9
                ),
                "cost": cost,
            }
            result[kind] = [float(effects[i] / largest) for i in named]
        elif name == "proposal":
            hint = {"proposal": world.proposal, "prior": prior, "seed": seed}
            named, *_ = follow(adaptive(**common, **hint, budget_tokens=COSTS[-1] * trace), world, rng, COSTS)
            result[kind] = [float(effects[i] / largest) for i in named]
        elif name == "bisect":
            named, *_ = follow(bisect(int(n), **common), world, rng, COSTS)
            result[kind] = [float(effects[i] / largest) for i in named]
        else:
            search = uniform(int(n), pooled=name == "pooled", **common, seed=seed)
            _, search, cost = follow(search, world, rng, (), width=len(world.values))
            best = search.best()
            index = len(effects) - 1 if best is None else best.index
            result[kind] = [float(effects[index] / largest), cost]
    return result


KINDS = (
    "adaptive",
    "proposal",
    *(f"bisect {n}" for n in (2, 4, 8)),
    *(f"{name} {n}" for n in UNIFORM_NS for name in ("uniform", "pooled")),
)


def run_family(family: str, num_worlds: int, pool: ProcessPoolExecutor) -> list[dict]:
    work = partial(one_world, family, kinds=KINDS, prior=fitted_prior(family))
    return list(pool.map(work, range(num_worlds), chunksize=4))


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
    lines = ["## Quality by cost in traces", "", "| family | search | " + " | ".join(map(str, COSTS)) + " |"]
    lines.append("|---" * (len(COSTS) + 2) + "|")
    for family, results in found.items():
        for kind in ("adaptive", "proposal", "bisect 2", "bisect 4", "bisect 8"):
            row = np.mean([r[kind] for r in results], axis=0)
            lines.append(f"| {family} | {kind} | " + " | ".join(f"{x:.2f}" for x in row) + " |")
    lines += [
        "",
        "## Against uniform",
        "",
        "| family | n | cost | uniform | pooled | fewer tokens: adaptive | with proposal |",
    ]
    lines.append("|---" * 7 + "|")
    for family, results in found.items():
        for n in UNIFORM_NS:
            cost = saving(results, n)[1]
            pooled = mean_se([r[f"pooled {n}"][0] for r in results])
            uniform_q = mean_se([r[f"uniform {n}"][0] for r in results])
            fewer = []
            for kind in ("adaptive", "proposal"):
                _, _, times, low, high = saving(results, n, kind)
                fewer.append(f"{times:.1f} ({low:.1f} to {high:.1f})")
            lines.append(f"| {family} | {n} | {cost:.0f} | {uniform_q} | {pooled} | {' | '.join(fewer)} |")
    return "\n".join([*lines, "", *calibration(found)])


def calibration(found: dict[str, list[dict]]) -> list[str]:
    """Claims against the truth in bins of at least 400 answers, for plain and unkind families."""
    lines = ["## Calibration of the last answer", "", "| families | claim | bin | answers | claimed | true |"]
    lines.append("|---" * 6 + "|")
    plain = [a["answer"] for f, rows in found.items() if f.startswith(("jumps", "planted")) for a in rows]
    unkind = [a["answer"] for f, rows in found.items() if f in UNKIND for a in rows]
    for name, answers in (("jumps and planted", plain), ("unkind", unkind)):
        for claim, truth in (("probability", "is_argmax"), ("credibility", "is_credible")):
            ordered = sorted((a for a in answers if a[claim] >= 0.5), key=lambda a: a[claim])
            for part in np.array_split(np.arange(len(ordered)), max(1, len(ordered) // 400)):
                some = [ordered[i] for i in part]
                if not some:
                    continue
                span = f"{some[0][claim]:.2f} to {some[-1][claim]:.2f}"
                claimed, true = np.mean([a[claim] for a in some]), np.mean([a[truth] for a in some])
                lines.append(f"| {name} | {claim} | {span} | {len(some)} | {claimed:.3f} | {true:.3f} |")
        if answers:
            held = np.mean([a["covered"] for a in answers])
            lines.append(f"| {name} | 95 % interval | all | {len(answers)} | 0.950 | {held:.3f} |")
    alarms = [
        a["credibility"] >= 0.9 and not a["is_last"] for a in (r["answer"] for r in found.get("flat", []))
    ]
    if alarms:
        lines.append(f"\nFalse alarms on flat curves: {100 * np.mean(alarms):.1f} % of {len(alarms)}")
    return lines


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=400, help="worlds of each family (S = 150: an eighth)")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--output", type=Path, default=Path("runs/search-benchmark"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    found = {}
    with ProcessPoolExecutor() as pool:
        for family in args.families:
            num = max(8, args.worlds // 8) if "150" in family else args.worlds
            found[family] = run_family(family, num, pool)
            print(f"{family}: {num} worlds done", flush=True)
            (args.output / "worlds.json").write_text(json.dumps(found))
    text = tables(found)
    (args.output / "tables.md").write_text(text + "\n")
    picture(found, args.output / "quality.png")
    print(text)


if __name__ == "__main__":
    main()
