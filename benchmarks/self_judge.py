"""Does a model know its own first wrong step? On recorded curves, where the critical step is known.

    python benchmarks/self_judge.py --model MODEL [--model MODEL ...]

Protocol. The failed trajectories of `data/real_curves.jsonl` have values from 128 rollouts at every boundary.
Each model is asked once for the first wrong step of each, as `--proposal self` asks. Shown is the mean true
|A| of the step named over the largest of the trajectory, with 95 % bootstrap intervals over trajectories,
where it named one: for the model, for entropy on the same trajectories, and for a step drawn at random. The
policy that wrote the trajectories is one of the models; an instruct model that judges another's work is what
the proposal is meant for, but not what `gpo locate` would ask.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from command import Parser, script
from real_curves import MAX_TOKENS, TEMPERATURE, recorded


def asked(model: Path, lines: list[dict[str, Any]]) -> tuple[list[list[float] | None], int]:
    """The scores of each trajectory's steps, and the tokens that the model answered with."""
    import torch

    import gpo
    from gpo.self_judge import first_wrong

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(model, max_tokens=MAX_TOKENS, temperature=TEMPERATURE)
    curves = []
    for line in lines:
        problem = gpo.Problem("", policy.prompt_ids(line["question"]), line["answer"], "", line["question"])
        ids = tuple(policy.tokenizer.encode(line["completion"]))
        rollout = gpo.Rollout(gpo.State(problem), ids, (), (), line["completion"], True, 0.0, 0)
        bounds = (*line["bounds"][:-1], len(ids))
        curves.append(gpo.ValueCurve(bounds, (0,) * len(bounds), (0,) * len(bounds), rollout))
    return first_wrong(policy, curves), policy.num_drawn


def qualities(line: dict[str, Any]) -> np.ndarray:
    """[S] true |A| of each step over the largest."""
    values = np.array(line["successes"]) / np.array(line["trials"])
    effects = np.abs(np.diff(np.append(values, line["outcome"])))
    return effects / max(effects.max(), 1e-12)


def shown(values: list[float]) -> str:
    rng, found = np.random.default_rng(0), np.array(values)
    means = [rng.choice(found, len(found)).mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{found.mean():.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=Path, action="append", required=True)
    args = parser.parse_args()
    lines = [line for line in recorded() if not line["outcome"]]
    for model in args.model:
        scores, tokens = asked(model, lines)
        named = [(line, one) for line, one in zip(lines, scores, strict=True) if one is not None]
        print(f"{model}: named a step of {len(named)} of {len(lines)} trajectories, for {tokens} tokens")
        if named:
            places = Counter(int(np.argmax(one)) + 1 for _, one in named)
            print("steps named:", ", ".join(f"{step}: {num}" for step, num in sorted(places.items())))
            picked = {
                "self": [float(qualities(line)[np.argmax(one)]) for line, one in named],
                "entropy": [
                    float(qualities(line)[np.argmax(line["scores"]["entropy"])]) for line, _ in named
                ],
                "random": [float(qualities(line).mean()) for line, _ in named],
            }
            for kind, some in picked.items():
                print(f"  {kind}: {shown(some)}")


if __name__ == "__main__":
    script(main)
