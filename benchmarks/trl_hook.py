"""What the hook costs and whether it trains: plain GRPO, the hook without resets, with resets, and as RLOO.

A check of the plumbing on a tiny model, at equal trainer steps and not at equal tokens: no evidence for or
against resets. Seconds are of this process's CPU time.

    python benchmarks/trl_hook.py --steps 20 --seed 0
"""

import tempfile
import time

from command import Parser, natural, script, whole
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

import gpo.trl
from gpo import steps, tasks, verifiers
from gpo.types import Problem

ARMS = {"plain": None, "hook, no resets": 0.0, "hook": 0.5, "hook, RLOO": 0.5}


def timed(function, clock: list[float]):
    """The function, whose processor seconds are added to `clock[0]`."""

    def call(*arguments, **named):
        start = time.process_time()
        result = function(*arguments, **named)
        clock[0] += time.process_time() - start
        return result

    return call


def train(arm: str, num_steps: int, seed: int, verifier, tokenizer) -> str:
    rows = tasks.load("chain_sum", "train", size=2048, seed=seed)
    prompts = [[{"role": "user", "content": row.question}] for row in rows]
    dataset = Dataset.from_dict({"prompt": prompts, "answer": [row.answer for row in rows]})
    recipe = gpo.Recipe(rule="drop", explored="failed", splitter=steps.newline(min_tokens=1))
    rollouts, clock = None, [0.0]
    if ARMS[arm] is not None:
        rollouts = gpo.trl.rollout_func(verifier=verifier, recipe=recipe, reset_share=ARMS[arm])

    def reward(completions, answer, **_):
        asked = [Problem("", (0,), one) for one in answer]
        return verifier.score(asked, [one[0]["content"] for one in completions])

    with tempfile.TemporaryDirectory() as folder:
        settings = gpo.trl.rloo(8) if arm == "hook, RLOO" else {"num_generations": 8}
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(gpo.DEMO_MODEL),
            processing_class=tokenizer,
            train_dataset=dataset,
            rollout_func=rollouts,
            reward_funcs=rollouts.reward if rollouts else reward,
            args=GRPOConfig(
                output_dir=folder, use_cpu=True, bf16=False, per_device_train_batch_size=64, seed=seed,
                max_completion_length=96, learning_rate=1e-4, lr_scheduler_type="constant",
                max_steps=num_steps, logging_steps=1, save_strategy="no", disable_tqdm=True, **settings,
            ),
        )  # fmt: skip
        trainer._generate_single_turn = timed(trainer._generate_single_turn, clock)
        trainer.rollout_func = timed(rollouts, clock) if rollouts else None
        start = time.process_time()
        trainer.train()
        total = time.process_time() - start
    policy = gpo.TransformersPolicy(trainer.model, tokenizer, max_tokens=96)
    held_out = tasks.problems(tasks.load("chain_sum", "test", size=400, seed=0), policy.prompt_ids)
    rate = gpo.evaluate(policy, verifier, held_out, seed=0)
    trained = sum(
        64 * line["completions/mean_length"] for line in trainer.state.log_history if "reward" in line
    )
    sampled = trained + (rollouts.tokens["untrained"] if rollouts else 0)
    return (
        f"{arm:16} {rate.accuracy:.3f} ± {rate.stderr:.3f}  sampling {clock[0]:5.1f} s of {total:5.1f} s, "
        f"{sampled:.0f} tokens, {trained:.0f} of them trained"
    )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--steps", type=whole, default=20)
    parser.add_argument("--seed", type=natural, default=0)
    options = parser.parse_args()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(gpo.DEMO_MODEL)
    with verifiers.load("number", num_workers=1) as verifier:
        lines = [train(arm, options.steps, options.seed, verifier, tokenizer) for arm in ARMS]
    print("\n".join(lines))


if __name__ == "__main__":
    script(main)
