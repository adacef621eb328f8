"""Sampling and learning on a GPU: one command of at most 8 minutes, which continues what an earlier one left.

    python benchmarks/gpu.py --model build/models/smollm2     # all cells, or those that are missing
    python benchmarks/gpu.py --toy                            # the same at toy size, also on a CPU
    python benchmarks/gpu.py --pair base pivot --model FOLDER --task gsm8k --data-dir FOLDER ...

Models: the one given, or a random one of SmolLM2-135M's shape, and a random one of 1.5 billion weights.
A cell is a line of results.jsonl, with the card and the versions of torch and transformers. What is there
is skipped; what raised an error is repeated; what ran out of memory is recorded as such. When the time is
over the program ends, with exit code 0 and what it has. Nothing is fetched.

--pair trains two recipes by turns, on equal numbers of generated tokens; other flags go to `gpo train`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import gpu_sampling
import torch
import transformers
from command import Parser, append, at_least_0, keep_to, out_folder, recorded, script, whole
from gpu_sampling import REAL, SHAPES, TOY, TOY_SHAPE, Found, Size, Subject, median_s, starts, work_of
from learner import GROUP_SIZE, MINIBATCH, minibatch, prepared

import gpo
from gpo import cli
from gpo.policies.loading import checked_source
from gpo.tasks import read_rows
from gpo.types import Problem, Request, Rollout, State, spent_tokens

Cell = tuple[str, Callable[[], Found]]
QUESTIONS = Path(__file__).parent.parent / "tests_real" / "problems.jsonl"


def problems_of(subject: Subject, size: Size) -> list[Problem]:
    """Four prefixes of random tokens, half as long as those of sampling."""
    work = replace(work_of(size, MINIBATCH), num_tokens=size.prefix // 2)
    prompts = starts(work, subject.sampler.model.config.get_text_config().vocab_size)
    return [Problem(str(k), ids, "") for k, ids in enumerate(prompts)]


def learner_of(subject: Subject) -> gpo.PolicyGradient:
    """As `gpo train --mixed-precision bf16` trains: float32 weights, bfloat16 products."""
    settings = gpo.Optimisation(
        algorithm="grpo", learning_rate=1e-9, minibatch=MINIBATCH, mixed_precision="bf16"
    )
    return gpo.PolicyGradient(subject.load(torch.float32).model, settings, temperature=1.0, seed=0)


def update(subject: Subject, size: Size, flops: float | None) -> Found:
    """An update on 32 rollouts: tokens a second, and the share of the card's matrix throughput.

    Six operations per weight and token, for the head per trained token, without attention and what is
    computed again.
    """
    subject.sampler.max_tokens = size.num_new
    groups = minibatch(SimpleNamespace(ours=subject.sampler, problems=problems_of(subject, size)))
    subject.forget()
    gpu_sampling.forget_peak()
    learner = learner_of(subject)
    examples = prepared(learner, groups)
    seconds = median_s(lambda: learner._step(examples, 1))
    num_read = sum(example.length for example in examples)
    num_trained = sum(len(example.rollout.action_ids) for example in examples)
    base = learner.model
    head, embedding = base.get_output_embeddings().weight, base.get_input_embeddings().weight
    num_body = sum(p.numel() for p in {id(p): p for p in base.parameters() if p is not head}.values())
    num_body -= 0 if embedding is head else embedding.numel()
    operations = 6 * (num_body * num_read + head.numel() * num_trained)
    found = {"tokens_per_s": num_read / seconds, "trained_tokens_per_s": num_trained / seconds}
    return found | ({"matrix_frac": operations / seconds / flops} if flops else {})


def agreement(subject: Subject, size: Size) -> Found:
    """log pi_trainer - log pi_sampler of fresh samples, with the sampler in either precision.

    `gpo train` samples in float32 with the transformers engine; other engines would in bfloat16. A pretrained
    model answers word problems, as it must not be surprised by what it reads.
    """
    learner, found = learner_of(subject), {}
    for dtype in (torch.bfloat16, torch.float32):
        policy = subject.own if dtype == torch.bfloat16 else subject.load(dtype)
        policy.max_tokens, problems = size.num_new, problems_of(subject, size)
        if subject.path:
            problems = gpo.tasks.problems(read_rows(str(QUESTIONS), "story", "result"), policy.prompt_ids)
        found[str(dtype).removeprefix("torch.")] = gap(learner, drawn(policy, problems))
    return found


def drawn(policy: gpo.TransformersPolicy, problems: Sequence[Problem]) -> list[Rollout]:
    states = [State(problem) for problem in problems]
    sampled = policy.sample([Request(state, GROUP_SIZE, k) for k, state in enumerate(states)])
    return [
        Rollout(state, one.action_ids, one.logprobs, one.entropies, "", True, 0.0, 0)
        for state, samples in zip(states, sampled, strict=True)
        for one in samples
    ]


@torch.no_grad()
def gap(learner: gpo.PolicyGradient, rollouts: Sequence[Rollout]) -> Found:
    """Sizes of the log-ratio, in nats, and how many tokens the cap of the importance weights touches."""
    network, parts = learner.network, []
    lengths = [len(rollout.state.ids) + len(rollout.action_ids) for rollout in rollouts]
    with network.training():
        for rows, _ in network.shares(lengths):
            chosen = [rollouts[i] for i in rows]
            sampled_N = torch.tensor([x for rollout in chosen for x in rollout.logprobs])
            parts.append(network.read(chosen)[0].float().cpu() - sampled_N)
    ratio_N = torch.cat(parts)
    cap = learner.settings.importance_cap
    return {
        "tokens": len(ratio_N),
        "mean_abs": float(ratio_N.abs().mean()),
        "p999_abs": float(ratio_N.abs().double().quantile(0.999)),
        "capped_frac": float((ratio_N > math.log(cap)).double().mean()),
    }


class Ledger:
    """The lines of results.jsonl that were measured with this card, these versions and this size."""

    def __init__(self, path: Path, *, is_toy: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.where = {
            "card": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "toy": is_toy,
        }

    def cells(self) -> dict[str, Found]:
        """What each cell found, without those that raised an error."""
        found = {}
        for line in recorded(self.path, ("cell",)):
            if self.where.items() <= line.items() and "error" not in line:
                found[line["cell"]] = line
        return found

    def write(self, line: Found) -> None:
        append(self.path, {**self.where, **line})
        print(told(line), flush=True)


def told(line: Found) -> str:
    texts = [f"{k} {v:,.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items() if k != "cell"]
    return f"{line['cell']:<44}{', '.join(texts)}"


class Deadline:
    """When the time is over: between cells, or a little later in one that goes on."""

    def __init__(self, minutes: float, ledger: Ledger) -> None:
        self.ledger, self.seconds = ledger, 60 * minutes
        self.cell, self.cell_start = "", time.monotonic()
        self.end = self.cell_start + self.seconds
        self.timer = threading.Timer(self.seconds + 5, self.leave)
        self.timer.daemon = True
        self.timer.start()

    def leave(self) -> None:
        """Ends the process in a cell, which is given up for good if it had half of the time."""
        spent = time.monotonic() - self.cell_start
        if spent > self.seconds / 2:
            self.ledger.write({"cell": self.cell, "unfinished_after_s": spent})
        print(f"the time is over in {self.cell}; the same command continues", flush=True)
        os._exit(0)


def cells(subjects: Sequence[Subject], size: Size, device: torch.device, ledger: Ledger) -> Iterator[Cell]:
    """Every cell, the cheap ones first; a subject's model is let go after its last of a size."""
    yield "card", partial(gpu_sampling.card, size, device)
    best = ledger.cells().get("card", {})
    for num_rows in size.rows:
        for subject in subjects:
            for name in ("gpo", "generate", "continuous batching"):
                arguments = subject, size, num_rows, name, best.get("bytes_per_s")
                yield f"{subject.name}: {num_rows} rows, {name}", partial(gpu_sampling.sampling, *arguments)
            if num_rows == size.rows[0]:
                yield f"{subject.name}: where time goes", partial(gpu_sampling.where_time_goes, subject, size)
                yield f"{subject.name}: update", partial(update, subject, size, best.get("flops"))
                yield f"{subject.name}: agreement", partial(agreement, subject, size)
            subject.forget()


def measure(todo: Iterator[Cell], minutes: float, ledger: Ledger) -> bool:
    """Measures what is missing, until the time is over; whether no cell raised an error."""
    deadline, is_sound = Deadline(minutes, ledger), True
    for name, work in todo:
        if name in ledger.cells():
            continue
        if time.monotonic() >= deadline.end:
            break
        deadline.cell, deadline.cell_start = name, time.monotonic()
        gpu_sampling.forget_peak()
        found = tried(work)
        is_sound &= "error" not in found
        ledger.write({"cell": name, **found, "peak_gib": gpu_sampling.peak_gib()})
    deadline.timer.cancel()
    return is_sound


def tried(work: Callable[[], Found]) -> Found:
    """What the cell finds, or why it does not: one that fails must not cost the others the card."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001
        text = f"{type(error).__name__}: {error}"
        words = ("out of memory", "can't allocate memory", "MemoryError")
        return {"out_of_memory": True} if any(word in text for word in words) else {"error": text[:500]}


def train_pair(
    arms: Sequence[str], folder: Path, minutes: float, turn_tokens: int, flags: Sequence[str]
) -> None:
    """Trains the arms by turns, each up to the same number of generated tokens, while two more turns fit."""
    start, slowest, target = time.monotonic(), 0.0, 0
    while time.monotonic() - start + len(arms) * slowest < 60 * minutes:
        # A run ends a little below its target; arms that were ended within a turn are brought level.
        done = min(progress(folder / arm)["tokens"] for arm in arms)
        target = max(target, round(done / turn_tokens) * turn_tokens) + turn_tokens
        for arm in arms:
            turn_start = time.monotonic()
            turn(arm, folder / arm, target, flags)
            gpu_sampling.forget_peak()
            slowest = max(slowest, time.monotonic() - turn_start)


def progress(folder: Path) -> Found:
    """Generated tokens of a run, as `gpo train` counts them, and its last evaluation."""
    lines = recorded(folder / "rounds.jsonl", ("tokens",))
    evaluated = [line["evaluation"] for line in lines if "evaluation" in line]
    return {"tokens": sum(spent_tokens(line["tokens"]) for line in lines), "evaluation": evaluated[-1:]}


def turn(arm: str, folder: Path, target: int, flags: Sequence[str]) -> None:
    """Starts or continues an arm, until no other group fits into the target."""
    how = ["--resume", str(folder)]
    if not folder.exists():
        how = ["--recipe", arm, "--output", str(folder), "--rounds", "100000", *flags]
    cli.main(["train", *how, "--budget-tokens", str(target)])
    print(json.dumps({"arm": arm, **progress(folder)}), flush=True)


def main(args: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__, allow_abbrev=False)
    parser.add_argument("--model", help="folder or GGUF of a pretrained model; default: random weights")
    parser.add_argument("--toy", action="store_true", help="tiny models and little work")
    parser.add_argument("--output", type=out_folder, default=Path("build/gpu"))
    parser.add_argument("--minutes", type=at_least_0, default=7.5, help="then it ends (default 7.5)")
    parser.add_argument(
        "--pair", nargs=2, metavar="ARM", help="recipes to train by turns, such as base pivot"
    )
    parser.add_argument(
        "--turn-tokens", type=whole, default=100_000, help="generated tokens of a turn of --pair"
    )
    given, flags = parser.parse_known_args(args)
    if given.pair:
        flags += ["--model", given.model] if given.model else []
        folder = given.output / "pair"
        keep_to(folder / "settings.json", {"flags": flags}, is_begun=any(folder.glob("*/run.json")))
        train_pair(given.pair, folder, given.minutes, given.turn_tokens, flags)
        return
    if flags:
        parser.error(f"unknown: {' '.join(flags)}")
    if given.model:
        checked_source("model", given.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    first = Path(given.model).name if given.model else "random 135M"
    shapes = [TOY_SHAPE, TOY_SHAPE] if given.toy else list(SHAPES.values())
    named = zip((first, "random 1.5B"), (given.model, None), shapes, strict=True)
    subjects, size = [Subject(*parts, device) for parts in named], TOY if given.toy else REAL
    ledger = Ledger(given.output / "results.jsonl", is_toy=given.toy)
    print(f"{ledger.where}, into {ledger.path}")
    if not measure(cells(subjects, size, device, ledger), given.minutes, ledger):
        sys.exit("some cells raised an error; the same command repeats them")


if __name__ == "__main__":
    script(main, goes_on=True)
