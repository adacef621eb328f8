# ruff: noqa: E501 - a case is a line
"""Whatever can be wrong without weights is told before they load: every command, with every kind of input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gpo import DEMO_MODEL
from gpo.cli import main
from gpo.policies.server import ServerPolicy

TASK = ("--task", "chain_sum", "--max-tokens", "64")
SMALL = (*TASK, "--min-step-tokens", "1", "--group-size", "2")
TRAIN = (
    *SMALL,
    "--size",
    "32",
    "--problems-per-round",
    "2",
    "--rounds",
    "1",
    "--values",
    "2",
    "--eval-every",
    "0",
)
COMMANDS = {
    "sample": ("sample", *TASK, "--limit", "2"),
    "eval": ("eval", *TASK, "--limit", "2"),
    "solve": ("solve", *TASK, "--limit", "2"),
    "locate": ("locate", *SMALL, "--limit", "2"),
    "pairs": ("pairs", *SMALL, "--limit", "2"),
    "pairs --run": ("pairs", "--run", "located", "--fill", "2", "--at", "random"),
    "train": ("train", *TRAIN, "--eval-problems", "2"),
    "dpo": ("train", "--method", "dpo", *TRAIN[:-2], "--eval-problems", "2"),
    "dpo --pairs": ("train", "--method", "dpo", "--pairs", "pairs"),
}  # fmt: skip
DATA = {
    **{name: (name, "--max-tokens", "64", "--limit", "9") for name in ("sample", "eval", "locate", "pairs")},
    "train": ("train", "--max-tokens", "64", "--rounds", "1"),
    "dpo": ("train", "--method", "dpo", "--max-tokens", "64"),
}
"""Those that read problems of the user's own."""
TRAINING, STEPS = ("train", "dpo", "dpo --pairs"), ("locate", "pairs", "train", "dpo")
GOOD = {"prompt": "1 + 1 =", "answer": "2", "mine": "1 + 1 = 2\n2"}
ROWS: dict[str, Any] = {
    "no-answer": {"prompt": "1 + 2 ="},
    "bad-gold": {"prompt": "1 + 2 =", "answer": "many"},
    "long": {"prompt": "1 + " * 9000, "answer": "3", "mine": "3"},
    "no-mine": {"prompt": "1 + 2 =", "answer": "3"},
}
"""The second of the rows of a file, which cannot be used."""
FUNCTIONS = """
def raises(completions, **columns): raise RuntimeError("out of order")
"""

ANY: dict[str, tuple[tuple[str, ...], str]] = {
    "no model": (("--model", "./nowhere"), "model path './nowhere' does not exist"),
    "torn weights": (("--model", "torn"), "model.safetensors: is not a whole safetensors file"),
    "torn tokenizer": (("--model", "no-tokenizer"), "tokenizer of 'no-tokenizer' (local folder) cannot be loaded"),
    "torn config": (("--model", "no-config"), "config.json: is not valid JSON"),
    "small vocabulary": (("--model", "small"), "tokens beyond the 300 that the model knows"),
    "no end token": (("--model", "endless"), "neither the tokenizer nor generation_config names an end token"),
    "broken template": (("--model", "template"), "template"),
    "template arguments": (("--no-chat", "--template-args", "x=1"), "no chat template is used (chat is off)"),
    "no device": (("--device", "cuda:63"), "device 'cuda:63' cannot be used"),
    "unknown device": (("--device", "abacus"), "device 'abacus' cannot be used"),
    "no adapter": (("--adapter", "./nowhere"), "adapter path './nowhere' does not exist"),
    "torn adapter": (("--adapter", "torn-adapter"), "is not a whole safetensors file"),
    "another's adapter": (("--adapter", "other-adapter"), "lacks weights that its adapter_config.json asks for"),
    "prompt tuning": (("--adapter", "prompt-adapter"), "PROMPT_TUNING is prompt learning"),
    "nan adapter": (("--adapter", "nan-adapter"), "adapter 'nan-adapter': base_model.model.model.layers.0."),
    "taken output": (("--output", "taken"), "--output taken: exists and is not a gpo run"),
    "output in a run": (("--output", "located/out"), "lies in the run folder"),
    "output in a model": (("--output", "torn/out"), "lies in the folder of a model or adapter"),
}  # fmt: skip
OF_DATA = {
    "no file": (("--data", "none.jsonl", "--verifier", "number"), "none.jsonl: no such file"),
    "no answer": (("--data", "no-answer.jsonl", "--verifier", "number"), "no-answer.jsonl line 2: has no column 'answer'"),
    "useless gold answer": (("--data", "bad-gold.jsonl", "--verifier", "number"), "bad-gold.jsonl line 2"),
    "too long": (("--data", "long.jsonl", "--verifier", "number"), "long.jsonl line 2: the prompt has"),
    "no verifier": (("--data", "good.jsonl"), "--verifier: needed with --data"),
    "a verifier that raises": (("--data", "good.jsonl", "--verifier", "functions.py:raises"), "out of order"),
    "a verifier that is not there": (("--data", "good.jsonl", "--verifier", "functions.py:none"), "functions.py"),
    "a prompt that is none": (("--data", "good.jsonl", "--verifier", "number", "--prompt", "broken.jinja"), "broken.jinja"),
}  # fmt: skip
GIVEN = ("locate", "--max-tokens", "64", "--verifier", "number", "--completion-column", "mine")
RIVAL = (*COMMANDS["eval"], "--against")
MORE: list[tuple[tuple[str, ...], str]] = [
    ((*GIVEN, "--data", "no-mine.jsonl"), "no-mine.jsonl line 2: has no column 'mine'"),
    ((*GIVEN, "--data", "good.jsonl", "--max-tokens", "2"), "max_tokens is 2; raise that"),
    ((*COMMANDS["sample"], "--engine", "server", "--server", "http://127.0.0.1:9", "--model", "no-tokenizer"), "tokenizer of"),
    ((*COMMANDS["sample"], "--engine", "server", "--server", "http://127.0.0.1:9", "--actors", "2"), "--actors: a server samples by itself"),
    ((*RIVAL, "./nowhere"), "model path './nowhere' does not exist"),
    ((*RIVAL, "torn"), "is not a whole safetensors file"),
    ((*RIVAL, "small"), "tokens beyond the 300"),
    ((*RIVAL, "demo", "--against-adapter", "other-adapter"), "lacks weights that its adapter_config"),
    ((*RIVAL, "evaluated", "--limit", "3"), "covers 2 problems that differ from these 3"),
    ((*COMMANDS["eval"], "--k", "2"), "--k 2: is not between 1 and the 1 samples"),
    *(((*COMMANDS[name], "--proposal", "functions.py:none"), "functions.py") for name in STEPS),
    *(((*COMMANDS[name], "--splitter", "functions.py:raises"), "--splitter: functions.py:raises raised RuntimeError: out of order") for name in STEPS),
    *(((*COMMANDS[name], "--splitter", "functions.py:none"), "has no attribute 'none'") for name in STEPS[:1]),
    *(((*COMMANDS[name], "--lora-rank", "2", "--lora-targets", "nothing"), "lora_targets: Target modules {'nothing'}") for name in TRAINING),
    *(((*COMMANDS[name], "--dtype", "bfloat16"), "weights in bfloat16 round small updates away") for name in TRAINING),
    *(((*COMMANDS[name], "--track", "trackio"), "--track trackio: is not installed") for name in TRAINING),
    *(((*COMMANDS[name], "--eval-data", "none.jsonl", "--verifier", "number"), "none.jsonl: no such file") for name in TRAINING),
    *(((*COMMANDS[name], "--eval-data", "long.jsonl", "--verifier", "number"), "long.jsonl line 2: the prompt has") for name in TRAINING),
    ((*COMMANDS["train"], "--temperature", "0"), "temperature: training needs one above 0"),
    ((*COMMANDS["train"], "--gae-lambda", "0.5"), "--gae-lambda: only ppo has a critic"),
    ((*COMMANDS["train"], "--engine", "vllm"), "rule: 'entropy', of the recipe default, needs token entropies"),
    ((*COMMANDS["train"], "--engine", "vllm", "--recipe", "search"), "--engine vllm: cannot be imported"),
    ((*COMMANDS["dpo"], "--nll-weight", "1", "--method", "kto"), "--nll-weight: kto has none"),
    (("train", "--method", "dpo", "--pairs", "located"), "is a run of `gpo locate`, not of `gpo pairs`"),
    ((*COMMANDS["dpo --pairs"], "--no-chat"), "was sampled with another template"),
    ((*COMMANDS["dpo --pairs"], "--max-length", "3"), "rows exceed --max-length 3; raise it"),
    (("train", "--method", "dpo", "--pairs", "alien-pairs"), "pairs.jsonl: row 1: chosen_ids has 99999"),
    (("train", "--method", "kto", "--pairs", "one-row"), "from other rows; give at least 2"),
    ((*COMMANDS["pairs"], "--exclude", "none.jsonl"), "none.jsonl: no such file"),
    ((*COMMANDS["pairs"], "--exclude", "no-answer.jsonl"), "no-answer.jsonl line 2: has no column 'answer'"),
    ((*COMMANDS["pairs --run"], "--exclude", "none.jsonl"), "none.jsonl: no such file"),
    ((*COMMANDS["pairs --run"], "--template-args", "x=1"), "--template-args: is {'x': 1} here and {} in the run located"),
    (("pairs", "--run", "evaluated"), "is a run of `gpo eval`, not of `gpo locate`"),
    (("pairs", "--run", "nowhere"), "nowhere"),
    (("pairs", "--run", "torn-run"), "curves.jsonl: row 1"),
    (("pairs", "--run", "other-rows", "--fill", "2", "--at", "random"), "the data has changed: row 1"),
    (("pairs", "--run", "other-model", "--fill", "2", "--at", "random"), "(temperature differs)"),
    (("demo", "--output", "taken"), "--output taken: exists and is not a gpo run"),
    (("sample", "--resume", "sampled-other"), "the data has changed: row 1"),
    (("eval", "--resume", "evaluated-other"), "the data has changed: row 1"),
    (("train", "--resume", "trained-other"), "the data has changed: row 1"),
    (("train", "--resume", "trained-memory"), "memory.json: is not what was saved"),
    (("train", "--resume", "trained-torn"), "optimizer.safetensors: is not what was saved"),
    (("train", "--resume", "trained", "--rounds", "2", "--device", "cpu"), "belongs to a run with other settings"),
]  # fmt: skip
CASES = {
    **{f"{name}: {case}": ((*args, *added), said) for name, args in COMMANDS.items() for case, (added, said) in ANY.items() if (name, case) != ("pairs --run", "template arguments")},
    **{f"{name}: {case}": ((*args, *added), said) for name, args in DATA.items() for case, (added, said) in OF_DATA.items()},
    **{" ".join(args): (args, said) for args, said in MORE},
}  # fmt: skip


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    """The first line of a file of JSON lines, or the whole of a JSON file, changed."""
    first, *others = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    path.write_text("\n".join([json.dumps(change(json.loads(first))), *others, ""]))


def adapters(folder: Path) -> None:
    """A LoRA adapter of the demo model in several states."""
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(DEMO_MODEL), config).save_pretrained(
        folder / "adapter"
    )
    for name in ("torn", "other", "prompt", "nan"):
        shutil.copytree(folder / "adapter", folder / f"{name}-adapter")
    weights = load_file(folder / "adapter/adapter_model.safetensors")
    renamed = {key.replace("layers", "blocks"): value for key, value in weights.items()}
    save_file(renamed, folder / "other-adapter/adapter_model.safetensors")
    broken = {key: torch.full_like(value, float("nan")) for key, value in weights.items()}
    save_file(broken, folder / "nan-adapter/adapter_model.safetensors")
    (folder / "torn-adapter/adapter_model.safetensors").write_bytes(b"\x90" * 64)
    prompt = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 2}
    (folder / "prompt-adapter/adapter_config.json").write_text(json.dumps(prompt))


def models(folder: Path) -> None:
    """The demo model, damaged in several ways."""
    for name in ("torn", "no-tokenizer", "no-config", "small", "template", "endless"):
        shutil.copytree(DEMO_MODEL, folder / name)
    (folder / "torn/model.safetensors").write_bytes(b"\x90" * 64)
    (folder / "no-tokenizer/tokenizer.json").write_text("{")
    (folder / "no-config/config.json").write_text("{")
    edited(folder / "small/config.json", lambda found: found | {"vocab_size": 300})
    (folder / "template/chat_template.jinja").write_text("{% for %}")
    (folder / "endless/generation_config.json").unlink()
    for name in ("config", "tokenizer_config"):
        path = folder / f"endless/{name}.json"
        edited(
            path, lambda found: {key: one for key, one in found.items() if not key.startswith("eos_token")}
        )


def runs(folder: Path, pairs_run: Path) -> None:
    """Finished runs, and copies of them that were damaged or whose data changed."""
    shutil.copytree(pairs_run, folder / "pairs")
    shutil.move(folder / "pairs/located", folder / "located")
    main([*COMMANDS["sample"], "--output", "sampled"])
    main([*COMMANDS["eval"], "--output", "evaluated"])
    main([*COMMANDS["train"], "--output", "trained"])
    for name in ("trained-other", "trained-memory", "trained-torn", "sampled-other", "evaluated-other"):
        shutil.copytree(name.partition("-")[0], name)
    for name in ("trained-other", "sampled-other", "evaluated-other"):
        edited(Path(name, "run.json"), lambda run: run | {"settings": run["settings"] | {"seed": 7}})
    checkpoint = next(Path("trained-torn/checkpoints").iterdir())
    (checkpoint / "optimizer.safetensors").write_bytes(b"\x90" * 64)
    next(Path("trained-memory/checkpoints").glob("*/memory.json")).write_text("{}")
    for name in ("torn-run", "other-rows", "other-model"):
        shutil.copytree("located", name)
    edited(Path("torn-run/curves.jsonl"), lambda line: line | {"reward": 7})
    edited(Path("other-rows/run.json"), lambda run: run | {"settings": run["settings"] | {"seed": 7}})
    edited(
        Path("other-model/run.json"),
        lambda run: run | {"fingerprint": run["fingerprint"] | {"temperature": 2.0}},
    )
    for name in ("alien-pairs", "one-row"):
        shutil.copytree("pairs", name)
    edited(Path("alien-pairs/pairs.jsonl"), lambda row: row | {"chosen_ids": [99999]})
    path = Path("one-row/unpaired.jsonl")
    path.write_text(path.read_text().splitlines()[0] + "\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory, pairs_run) -> Path:
    folder: Path = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        adapters(folder)
        models(folder)
        runs(folder, pairs_run)
    for name, row in ROWS.items():
        (folder / f"{name}.jsonl").write_text(f"{json.dumps(GOOD)}\n{json.dumps(row)}\n")
    (folder / "good.jsonl").write_text(f"{json.dumps(GOOD)}\n" * 20)
    (folder / "functions.py").write_text(FUNCTIONS)
    (folder / "broken.jinja").write_text("{{ question")
    (folder / "taken").mkdir()
    (folder / "taken/file").write_text("mine")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_told_before_the_weights_load(case, world, monkeypatch, capsys) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    monkeypatch.setattr(ServerPolicy, "load", load)
    monkeypatch.chdir(world)
    before = sorted(world.iterdir())
    args, said = CASES[case]
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2, error
    assert said in error
    assert sorted(world.iterdir()) == before
