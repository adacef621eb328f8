"""RLOO with GPO's rollouts in TRL: GRPOTrainer with the settings that make it RLOO. Runs on a CPU."""

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

import gpo.trl


def main(max_steps: int = 20, output_dir: str = "runs/trl-rloo") -> GRPOTrainer:
    rows = gpo.tasks.load("chain_sum", "train", size=1024, seed=0)
    prompts = [[{"role": "user", "content": row.question}] for row in rows]
    dataset = Dataset.from_dict({"prompt": prompts, "answer": [row.answer for row in rows]})
    recipe = gpo.Recipe(rule="drop", explored="failed", splitter=gpo.steps.newline(min_tokens=1))
    rollouts = gpo.trl.rollout_func(verifier=gpo.verifiers.load("number"), recipe=recipe, reset_share=0.5)
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(gpo.DEMO_MODEL),
        processing_class=PreTrainedTokenizerFast.from_pretrained(gpo.DEMO_MODEL),
        rollout_func=rollouts,
        reward_funcs=rollouts.reward,
        train_dataset=dataset,
        args=GRPOConfig(
            output_dir=output_dir,
            **gpo.trl.rloo(num_generations=8),
            per_device_train_batch_size=64,  # 8 groups: at least 4 fresh ones, and up to 4 reset groups
            max_completion_length=96,
            learning_rate=3e-4,
            max_steps=max_steps,
            logging_steps=1,
            use_cpu=True,  # these two for a CPU only
            bf16=False,
        ),
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    main()
