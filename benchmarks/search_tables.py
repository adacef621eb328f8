"""What benchmarks/search.py found, as tables and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from real_curves import PROPOSALS
from worlds import UNKIND

from gpo.rules import VALUE_RULES
from gpo.search import CREDIBLE

COSTS = (1, 2, 4, 6, 8, 10, 15, 20, 30, 40)
UNIFORM_NS = (1, 2, 4, 8, 16)
BISECT_NS = (2, 4, 8)
PRETRAINED = "SmolLM2, word problems"


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
