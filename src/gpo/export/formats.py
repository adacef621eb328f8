"""Rows in the formats that other trainers read, with the command that comes next.

Prompts are text with the chat template in them already, prefix included, so each target is told to use no
template of its own: that would close the assistant's turn after the prefix and open another. docs/offline.md
names the page that documents each format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gpo.export.rows import Export, Format, Json, Source, columns, messages, steps


def trl_pairs(rows: Sequence[Json], source: Source, folder: str) -> Export:
    ids = ("prompt_ids", "chosen_ids", "rejected_ids")
    files = {"train.parquet": columns(rows, "prompt", "chosen", "rejected", *ids)}
    return Export(files, f"trl dpo --model_name_or_path {source.model} --dataset_name {folder}")


def trl_unpaired(rows: Sequence[Json], source: Source, folder: str) -> Export:
    names = ("prompt", "completion", "label", "prompt_ids", "completion_ids")
    files = {"train.parquet": columns(rows, *names)}
    return Export(files, f"trl kto --model_name_or_path {source.model} --dataset_name {folder}")


def trl_steps(rows: Sequence[Json], _: Source, folder: str) -> Export:
    files = {"train.parquet": steps(rows)}
    return Export(files, f'python -c "import datasets; print(datasets.load_dataset({folder!r}))"')


def trl_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    files = {"train.parquet": columns(rows, "prompt", "completion")}
    return Export(files, f"trl sft --model_name_or_path {source.model} --dataset_name {folder}")


def _llama_factory(
    rows: list[Json], answers: dict[str, str], source: Source, folder: str, **stage: Any
) -> Export:
    names = {"prompt": "instruction", "query": "input"} | answers
    entry: Json = {"file_name": "train.json", "columns": names}
    if stage["stage"] == "dpo":
        entry["ranking"] = True
    config = {
        "model_name_or_path": source.model,
        "dataset_dir": folder,
        "dataset": "gpo",
        "template": "empty",
        "finetuning_type": "full",
        "do_train": True,
        "cutoff_len": 4096,
        "output_dir": f"{folder}/trained",
        **stage,
    }
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items())
    files = {"train.json": rows, "dataset_info.json": {"gpo": entry}, "train.yaml": text}
    return Export(files, f"llamafactory-cli train {folder}/train.yaml")


def llama_factory_pairs(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [{**one, "input": ""} for one in columns(rows, "chosen", "rejected", instruction="prompt")]
    answers = {"chosen": "chosen", "rejected": "rejected"}
    return _llama_factory(made, answers, source, folder, stage="dpo", pref_loss="sigmoid", pref_beta=0.1)


def llama_factory_unpaired(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = columns(rows, instruction="prompt", output="completion", kto_tag="label")
    answers = {"response": "output", "kto_tag": "kto_tag"}
    return _llama_factory([{**one, "input": ""} for one in made], answers, source, folder, stage="kto")


def llama_factory_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [{**one, "input": ""} for one in columns(rows, instruction="prompt", output="completion")]
    return _llama_factory(made, {"response": "output"}, source, folder, stage="sft")


def openrlhf_pairs(rows: Sequence[Json], source: Source, folder: str) -> Export:
    command = (
        f"deepspeed --module openrlhf.cli.train_dpo --model.model_name_or_path {source.model} "
        f"--data.dataset {folder} --data.prompt_key prompt --data.chosen_key chosen "
        "--data.rejected_key rejected"
    )
    return Export({"train.jsonl": columns(rows, "prompt", "chosen", "rejected")}, command)


def openrlhf_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    command = (
        f"deepspeed --module openrlhf.cli.train_sft --model.model_name_or_path {source.model} "
        f"--data.dataset {folder} --data.input_key input --data.output_key output"
    )
    return Export({"train.jsonl": columns(rows, input="prompt", output="completion")}, command)


def _swift(rows: list[Json], what: str, source: Source, folder: str) -> Export:
    command = f"swift {what} --model {source.model} --template dummy --dataset {folder}/train.jsonl"
    return Export({"train.jsonl": rows}, command)


def swift_pairs(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [
        {"messages": messages(row["prompt"], row["chosen"]), "rejected_response": row["rejected"]}
        for row in rows
    ]
    return _swift(made, "rlhf --rlhf_type dpo", source, folder)


def swift_unpaired(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [{"messages": messages(row["prompt"], row["completion"]), "label": row["label"]} for row in rows]
    return _swift(made, "rlhf --rlhf_type kto", source, folder)


def swift_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [{"messages": messages(row["prompt"], row["completion"])} for row in rows]
    return _swift(made, "sft", source, folder)


RAW_TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
"""A chat template that adds nothing: verl renders every prompt by one."""

REWARD = '''"""The verifier that the pairs were built with, on the given prefix and what follows it."""

from gpo import verifiers
from gpo.types import Problem

VERIFIER = verifiers.load({verifier!r})


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    problem = Problem("", (0,), ground_truth)
    return VERIFIER.score([problem], [extra_info["prefix"] + solution_str])[0]
'''

PLAIN_VERIFIERS = ("exact", "number", "option", "math")
"""Those that need a row's answer and nothing else of it."""


def verl_states(rows: Sequence[Json], source: Source, folder: str) -> Export:
    """verl trains no pairs: the states before the critical steps, one row each, are prompts for its RL."""
    states = {row["prompt"]: row for row in rows}
    made = [
        {
            "data_source": f"gpo/{source.settings.get('task') or source.settings.get('data')}",
            "prompt": [{"role": "user", "content": prompt}],
            "ability": "reasoning",
            "reward_model": {"style": "rule", "ground_truth": row["answer"]},
            "extra_info": {
                "index": index,
                "split": "train",
                "question": row["question"],
                "prefix": row["prefix"],
            },
        }
        for index, (prompt, row) in enumerate(states.items())
    ]
    files: Json = {"train.parquet": made}
    reward, notes = "", [f"{len(rows)} pairs have {len(made)} states"]
    if source.verifier in PLAIN_VERIFIERS:
        files["reward.py"] = REWARD.format(verifier=source.verifier)
        reward = f" reward.custom_reward_function.path={folder}/reward.py"
    else:
        notes.append(
            f"the verifier {source.verifier!r} needs more than an answer: give verl a reward of your own"
        )
    command = (
        f"python -m verl.trainer.main_ppo data.train_files={folder}/train.parquet "
        f"data.val_files={folder}/train.parquet actor_rollout_ref.model.path={source.model} "
        f"'+data.apply_chat_template_kwargs.chat_template=\"{RAW_TEMPLATE}\"'{reward}"
    )
    return Export(files, command, tuple(notes))


def verl_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [{"messages": messages(row["prompt"], row["completion"])} for row in rows]
    command = (
        f"torchrun --nproc_per_node 1 -m verl.trainer.sft_trainer data.train_files={folder}/train.parquet "
        f"data.messages_key=messages model.path={source.model} "
        f"'+data.apply_chat_template_kwargs.chat_template=\"{RAW_TEMPLATE}\"'"
    )
    return Export({"train.parquet": made}, command)


def _axolotl(rows: list[Json], kind: Any, source: Source, folder: str, **options: Any) -> Export:
    dataset = {"path": f"{folder}/train.jsonl", "ds_type": "json", "split": "train", **_typed(kind)}
    config = {
        "base_model": source.model,
        "datasets": [dataset],
        "output_dir": f"{folder}/trained",
        "sequence_len": 4096,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 32,
        "learning_rate": 1e-6,
        **options,
    }
    # JSON is YAML, and quotes whatever needs it.
    files = {"train.jsonl": rows, "train.yaml": json.dumps(config, indent=2) + "\n"}
    return Export(files, f"axolotl train {folder}/train.yaml")


def _typed(kind: Any) -> Json:
    return {"type": kind} if isinstance(kind, str) else {"type": dict(kind)}


def axolotl_pairs(rows: Sequence[Json], source: Source, folder: str) -> Export:
    fields = {f"field_{name}": name for name in ("prompt", "chosen", "rejected")}
    made = columns(rows, "prompt", "chosen", "rejected")
    return _axolotl(made, fields, source, folder, rl="dpo")


def axolotl_unpaired(rows: Sequence[Json], source: Source, folder: str) -> Export:
    fields = {f"field_{name}": name for name in ("prompt", "completion", "label")}
    made = columns(rows, "prompt", "completion", "label")
    return _axolotl(made, fields, source, folder, rl="kto")


def axolotl_steps(rows: Sequence[Json], source: Source, folder: str) -> Export:
    return _axolotl(steps(rows), "stepwise_supervised", source, folder, process_reward_model=True)


def axolotl_sft(rows: Sequence[Json], source: Source, folder: str) -> Export:
    made = [
        {"segments": [{"label": False, "text": row["prompt"]}, {"label": True, "text": row["completion"]}]}
        for row in rows
    ]
    return _axolotl(made, "input_output", source, folder, train_on_inputs=False)


TARGETS: dict[str, dict[str, Format]] = {
    "trl": {"pairs": trl_pairs, "unpaired": trl_unpaired, "steps": trl_steps, "sft": trl_sft},
    "llama-factory": {
        "pairs": llama_factory_pairs,
        "unpaired": llama_factory_unpaired,
        "sft": llama_factory_sft,
    },
    "openrlhf": {"pairs": openrlhf_pairs, "sft": openrlhf_sft},
    "ms-swift": {"pairs": swift_pairs, "unpaired": swift_unpaired, "sft": swift_sft},
    "verl": {"pairs": verl_states, "sft": verl_sft},
    "axolotl": {
        "pairs": axolotl_pairs,
        "unpaired": axolotl_unpaired,
        "steps": axolotl_steps,
        "sft": axolotl_sft,
    },
}
