"""The learner's speed beside TRL's GRPOTrainer, on the same model, batch and machine.

    python benchmarks/learner.py                 # the tiny model in the package, on chain_sum
    python benchmarks/learner.py --model PATH    # any model that gpo can load

update: both learn from the same minibatches of rollouts, all with an advantage; trained tokens a second.
end to end: rounds of prompts x 8 rollouts, each sampled, verified and learned from in minibatches of 32,
with the same verifier; rollouts a second, and where our seconds go. TRL's generate stops with the last row
of its batch; ours leaves out rollouts without an advantage, which have no gradient. Repeats are interleaved
after one uncounted; figures are medians, the ratio is the median of the ratios of neighbours with its range.
Seconds are the processor's on a CPU, as other programs may run beside, and the wall's on a GPU.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from command import Parser, script, whole
from datasets import Dataset

import gpo
from gpo.gpo import run_round
from gpo.learn.examples import Example
from gpo.learn.reading import complete, credited
from gpo.ranks import Ranks, SharedPolicy, SharedVerifier
from gpo.training.metrics import Clock
from gpo.types import Group, Problem, Request, Rollout, State

GROUP_SIZE, MINIBATCH = 8, 32


@dataclass
class Bench:
    """One model for each side, with the same weights, and the same problems."""

    model: str
    max_tokens: int
    seconds: Callable[[], float]

    def __post_init__(self) -> None:
        self.ours = gpo.TransformersPolicy.load(self.model, max_tokens=self.max_tokens, dtype="float32")
        self.theirs = gpo.TransformersPolicy.load(self.model, max_tokens=self.max_tokens, dtype="float32")
        self.verifier = gpo.verifiers.load("gym")
        rows = gpo.tasks.load("chain_sum", "train", size=512, seed=0)
        self.problems = gpo.tasks.problems(rows, self.ours.prompt_ids)

    def learner(self) -> gpo.PolicyGradient:
        settings = gpo.Optimisation(algorithm="grpo", learning_rate=1e-9, minibatch=MINIBATCH)
        return gpo.PolicyGradient(self.ours.model, settings, temperature=1.0, seed=0)

    def trainer(self, problems: Sequence[Problem], num_rounds: int, rollout_func: Any = None) -> Any:
        from trl import GRPOConfig, GRPOTrainer

        def reward(completions: Sequence[Any], index: Sequence[int], **_: Any) -> list[float]:
            texts = [one if isinstance(one, str) else one[0]["content"] for one in completions]
            return self.verifier.score([problems[i] for i in index], texts)

        is_cpu = self.theirs.model.device.type == "cpu"
        args = GRPOConfig(
            output_dir=tempfile.mkdtemp(), use_cpu=is_cpu, bf16=False, gradient_checkpointing=False,
            per_device_train_batch_size=MINIBATCH, num_generations=GROUP_SIZE,
            steps_per_generation=len(problems) // num_rounds * GROUP_SIZE // MINIBATCH,
            max_completion_length=self.max_tokens, learning_rate=1e-9, max_steps=num_rounds * len(problems)
            // num_rounds * GROUP_SIZE // MINIBATCH, report_to=[], save_strategy="no", logging_strategy="no",
            disable_dropout=True, disable_tqdm=True, shuffle_dataset=False,
        )  # fmt: skip
        rows = [
            {"prompt": [{"role": "user", "content": problem.question}], "index": i}
            for i, problem in enumerate(problems)
        ]
        return GRPOTrainer(
            model=self.theirs.model, reward_funcs=reward, args=args, train_dataset=Dataset.from_list(rows),
            processing_class=self.theirs._tokenizer, rollout_func=rollout_func,
        )  # fmt: skip

    def timed(self, work: Callable[[], Any]) -> float:
        if self.ours.model.device.type == "cuda":
            torch.cuda.synchronize()
        start = self.seconds()
        work()
        if self.ours.model.device.type == "cuda":
            torch.cuda.synchronize()
        return self.seconds() - start


def minibatch(bench: Bench) -> list[Group]:
    """Four groups of 8 rollouts, rewarded by turns, so that each has an advantage."""
    states = [State(problem) for problem in bench.problems[:4]]
    drawn = bench.ours.sample([Request(state, GROUP_SIZE, 1) for state in states])
    return [
        Group(
            state,
            tuple(
                Rollout(state, one.action_ids, one.logprobs, one.entropies, "", True, float(k % 2), 0)
                for k, one in enumerate(samples)
            ),
        )
        for state, samples in zip(states, drawn, strict=True)
    ]


def prepared(learner: gpo.PolicyGradient, groups: Sequence[Group]) -> list[Example]:
    """The groups' rollouts as one minibatch, with all that an update needs."""
    with learner.network.training():
        examples = credited(groups, (), learner.settings, learner.network)
        complete(examples, range(MINIBATCH), (), learner.settings, learner.network)
    assert len(examples) == MINIBATCH
    return examples


def update_works(bench: Bench) -> tuple[Callable[[], Any], Callable[[], Any], int]:
    """What one update does on each side, and the tokens that it trains."""
    groups = minibatch(bench)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    learner = bench.learner()
    examples = prepared(learner, groups)

    def rollout_func(prompts: Any, trainer: Any) -> dict[str, Any]:
        del prompts, trainer
        return {
            "prompt_ids": [list(rollout.state.ids) for rollout in rollouts],
            "completion_ids": [list(rollout.action_ids) for rollout in rollouts],
            "logprobs": None,
        }

    trainer = bench.trainer(bench.problems[:4], 1, rollout_func)
    trainer.model.train()
    trainer.create_optimizer()
    batch = trainer._generate_and_score_completions(
        [{"prompt": "", "index": i // 8} for i in range(MINIBATCH)]
    )
    advantages = torch.cat([example.advantages_T[:1] for example in examples])
    batch["advantages"] = advantages.to(batch["advantages"])
    trainer.current_gradient_accumulation_steps = 1

    def theirs() -> None:
        trainer.compute_loss(trainer.model, batch).backward()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 0.5)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    return lambda: learner._step(examples, 1), theirs, sum(len(rollout.action_ids) for rollout in rollouts)


def round_works(
    bench: Bench, num_prompts: int, num_rounds: int, repeats: int
) -> tuple[Callable[[], tuple[Clock, float]], Callable[[], Any]]:
    """What some rounds do on each side; ours says where its time went, and its share of padding."""
    problems = bench.problems[: num_prompts * num_rounds]
    recipe = gpo.Recipe(rule="base", group_size=GROUP_SIZE, problems_per_round=num_prompts)
    sampler, verifier = SharedPolicy(bench.ours, Ranks()), SharedVerifier(bench.verifier, Ranks())

    def ours() -> tuple[Clock, float]:
        learner = bench.learner()
        clock, padding = Clock({"sample": sampler, "verify": verifier}), 0.0
        for i in range(num_rounds):
            batch = problems[i * num_prompts : (i + 1) * num_prompts]
            data = run_round(sampler, verifier, batch, recipe, index=i, seed=0)
            clock.lap("other")
            padding += learner.update(data.groups, round_index=i)["train/padding_frac"] / num_rounds
            clock.lap("train")
        return clock, padding

    # A trainer is made before it is timed, anew for every repeat.
    trainers = iter([bench.trainer(problems, num_rounds) for _ in range(repeats + 1)])

    def theirs() -> None:
        with redirect_stdout(io.StringIO()):
            next(trainers).train()

    return ours, theirs


def compare(
    bench: Bench, name: str, ours: Callable[[], Any], theirs: Callable[[], Any], amount: float, repeats: int
) -> None:
    pairs = [(bench.timed(ours), bench.timed(theirs)) for _ in range(repeats + 1)][1:]
    ratios = [their / our for our, their in pairs]
    our, their = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    print(
        f"{name:34} {amount / our:9,.0f} {amount / their:9,.0f}   "
        f"{statistics.median(ratios):5.2f}x ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=str(gpo.DEMO_MODEL))
    parser.add_argument("--max-tokens", type=whole, default=96)
    parser.add_argument("--prompts", type=whole, default=16, help="of a round")
    parser.add_argument("--rounds", type=whole, default=2, help="of a repeat")
    parser.add_argument("--repeats", type=whole, default=5)
    args = parser.parse_args()
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.simplefilter("ignore")
    is_cpu = not torch.cuda.is_available()
    torch.set_num_threads(1 if is_cpu else torch.get_num_threads())
    bench = Bench(args.model, args.max_tokens, time.process_time if is_cpu else time.perf_counter)
    print(f"{'a second':34} {'gpo':>9} {'TRL':>9}   gpo / TRL")
    ours, theirs, num_tokens = update_works(bench)
    compare(bench, "update: trained tokens", ours, theirs, num_tokens, 4 * args.repeats)
    ours, theirs = round_works(bench, args.prompts, args.rounds, args.repeats)
    num_rollouts = args.prompts * args.rounds * GROUP_SIZE
    compare(bench, "end to end: rollouts", ours, theirs, num_rollouts, args.repeats)
    clock, padding = ours()
    total = sum(clock.seconds.values())
    shares = ", ".join(f"{name} {s / total:.0%}" for name, s in clock.seconds.items() if name != "evaluation")
    print(f"our time: {shares}; padding: {padding:.1%} of the places of a batch")


if __name__ == "__main__":
    script(main)
