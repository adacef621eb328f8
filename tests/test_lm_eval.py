"""Our score and that of EleutherAI's harness agree on the tiny model, row by row, but where we say why not.

The harness is heavy and pins versions of its own, so it lives apart: `make test-lm-eval` installs it and
sets GPO_LM_EVAL to its command; without that these tests are skipped.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

import lookalikes
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpo import DEMO_MODEL, tasks
from gpo.cli import main
from gpo.objects.runs import read_outcomes

HARNESS = os.environ.get("GPO_LM_EVAL")
pytestmark = pytest.mark.skipif(not HARNESS, reason="set GPO_LM_EVAL, as `make test-lm-eval` does")


def ours(capsys, *args: str) -> tuple[dict, dict[str, int]]:
    main(["eval", *args, "--temperature", "0", "--export", "lm-eval", "--output", "out", "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    return summary, {one.problem: one.successes[0] for one in read_outcomes(Path("out"))}


def theirs(summary: dict, name: str) -> tuple[float, dict[str, int]]:
    """The harness's score and that of every row, from the command that the export gave."""
    command = [str(HARNESS), *shlex.split(summary["exported"]["command"])[1:]]
    command += ["--device", "cpu", "--output_path", "harness", "--log_samples"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""}
    )
    assert result.returncode == 0, result.stderr[-2000:]
    (results,) = Path("harness").rglob("results_*.json")
    (samples,) = Path("harness").rglob("samples_*.jsonl")
    scored = json.loads(results.read_text())["results"][summary["exported"]["task"]]
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return scored[name], {row["doc"]["id"]: int(row["exact_match"]) for row in rows}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_gsm8k_style_rows_get_the_same_score(capsys, tmp_path) -> None:
    sums = tasks.load("chain_sum", "test", 32, seed=5)
    rows = [{"question": row.question, "answer": f"It is so.\n#### {row.answer}"} for row in sums]
    lookalikes.write_jsonl(tmp_path / "data/gsm8k/test.jsonl", rows)
    summary, mine = ours(
        capsys, "--task", "gsm8k", "--data-dir", "data", "--prompt", "plain", "--max-tokens", "96"
    )  # fmt: skip
    score, other = theirs(summary, "exact_match,flexible-extract")
    assert mine == other
    assert score == pytest.approx(summary["accuracy"])
    assert 0.1 < score < 0.9


FORMS = {
    "plain": "The answer is ({letter}).",
    "boxed": "\\boxed{{{letter}}}",
    "text": "The answer is: {text}",
}


def tuned(path: Path, prompts: list[str], replies: list[str]) -> None:
    """The tiny model after it has learned these replies by heart."""
    tokenizer = AutoTokenizer.from_pretrained(DEMO_MODEL)
    model = AutoModelForCausalLM.from_pretrained(DEMO_MODEL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    pairs = []
    for prompt, reply in zip(prompts, replies, strict=True):
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        given = tokenizer.encode(text, add_special_tokens=False)
        pairs.append((given, [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]))
    length = max(len(given) + len(reply) for given, reply in pairs)
    ids = torch.zeros(len(pairs), length, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for i, (given, reply) in enumerate(pairs):
        ids[i, : len(given) + len(reply)] = torch.tensor([*given, *reply])
        labels[i, len(given) : len(given) + len(reply)] = torch.tensor(reply)
        mask[i, : len(given) + len(reply)] = 1
    for _ in range(300):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.003:
            break
    assert loss.item() < 0.05
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def test_mmlu_style_rows_differ_only_where_the_harness_knows_no_such_form(capsys, tmp_path) -> None:
    names = ["tea", "milk", "juice", "water"]
    rows = [
        {
            "question": f"Which drink has number {7 * i % 16}?",
            "subject": "drinks",
            "choices": names,
            "answer": i % 4,
        }
        for i in range(16)
    ]
    lookalikes.write_parquet(tmp_path / "data/mmlu/test-00000-of-00001.parquet", rows)
    loaded, _ = tasks.benchmarks.read("mmlu", "test", "data")
    put = tasks.prompt("zero-shot", "mmlu", "data")
    # Every other row is answered right; of these, three boxed and two by the option's text.
    letters = [row["answer"] if i % 2 == 0 else (row["answer"] + 1) % 4 for i, row in enumerate(rows)]
    forms = ["boxed" if i in (0, 2, 4) else "text" if i in (6, 8) else "plain" for i in range(16)]
    replies = [FORMS[f].format(letter="ABCD"[k], text=names[k]) for f, k in zip(forms, letters, strict=True)]
    tuned(tmp_path / "model", [put(row) for row in loaded], replies)
    summary, mine = ours(
        capsys, "--task", "mmlu", "--data-dir", "data", "--model", "model", "--max-tokens", "24"
    )  # fmt: skip
    assert list(mine.values()) == [1, 0] * 8
    score, other = theirs(summary, "exact_match,custom-extract")
    different = [i for i, (name, right) in enumerate(mine.items()) if other[name] != right]
    assert different == [0, 2, 4, 6, 8]  # the harness looks for "answer is (X)" only
    assert score == pytest.approx(3 / 16)
    assert summary["accuracy"] == 0.5
