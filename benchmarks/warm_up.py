"""Teach a pretrained model the form of `word_problems.py`'s solutions; its own mistakes can then be searched.

    python benchmarks/warm_up.py [--model build/models/smollm2] [--output build/models/smollm2-problems]

Two passes with TRL's SFTTrainer over solved problems of the training split, first with large numbers, then
with small ones; loss on the solutions alone, all weights in float32: half an hour on two cores. The model
keeps its chat template.
"""

from __future__ import annotations

from pathlib import Path

from command import Parser, model, out_folder, script, whole
from word_problems import WordProblem, word_problems

PASSES = (("large", 640, 3e-4), ("small", 320, 2e-4))
"""The size of the numbers, the problems, and the learning rate."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=model, default="build/models/smollm2")
    parser.add_argument("--output", type=out_folder, default=Path("build/models/smollm2-problems"))
    parser.add_argument("--threads", type=whole, default=2)
    parser.add_argument(
        "--skip", type=int, choices=range(len(PASSES)), default=0, help="passes that --model has behind it"
    )
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    current = args.model
    for numbers, size, rate in PASSES[args.skip :]:
        train(current, args.output, word_problems("train", size, seed=0, numbers=numbers), rate)
        current = args.output


def train(model: Path, output: Path, problems: list[WordProblem], learning_rate: float) -> None:
    """One pass over the problems; the model is saved in `output`."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "prompt": [{"role": "user", "content": one.question}],
            "completion": [{"role": "assistant", "content": one.solution}],
        }
        for one in problems
    ]
    config = SFTConfig(
        output_dir=str(output),
        learning_rate=learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=4,
        num_train_epochs=1,
        per_device_train_batch_size=16,
        save_strategy="no",
        logging_steps=5,
        max_length=None,
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        report_to=[],
        model_init_kwargs={"dtype": "float32"},
        seed=0,
    )
    trainer = SFTTrainer(str(model), args=config, train_dataset=Dataset.from_list(rows))
    trainer.train()
    trainer.save_model(str(output))


if __name__ == "__main__":
    script(main)
