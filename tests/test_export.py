"""Exports: each target's columns, text that is tokenised to the sampled ids, refusals, and the hub."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pytest
import yaml

from gpo import DEMO_MODEL
from gpo.cli import main
from gpo.export import TARGETS, Source, export
from gpo.record import read_records
from gpo.types import InputError

PAIR = {
    "question": "1 + 1 =", "answer": "2", "prefix": "so\n",
    "weight": 1.0, "is_ended": True, "is_exact_text": True,
    "prompt_ids": [1, 2], "chosen_ids": [3, 9], "rejected_ids": [4, 9],
    "prompt": "<s>1 + 1 =so\n", "chosen": "2</s>", "rejected": "3</s>",
}  # fmt: skip
ONE = {
    "prompt": "<s>q", "completion": "2</s>", "label": False, "prompt_ids": [1], "completion_ids": [3, 9],
    "is_ended": True, "is_exact_text": True,
}  # fmt: skip
STEPS = {"prompt": "<s>q", "completions": ["a\n", "b"], "labels": [True, False], "values": [0.5, 0.0]}
SOURCE = Source("model", {"task": "t"}, {}, begin_text="<s>", end_text="</s>", verifier="number")


def only(target: str, kind: str, row: dict, name: str = "train.jsonl"):
    """The one row of an export, and the export."""
    made = export(target, kind, [row], SOURCE, "out")
    (found,) = made.files[name]
    return found, made


def test_trl_reads_text_and_the_ids_stand_beside_it() -> None:
    row, made = only("trl", "pairs", PAIR, "train.parquet")
    assert {k: row[k] for k in ("prompt", "chosen", "rejected")} == {
        "prompt": "1 + 1 =so\n",  # without the begin token, which TRL adds itself
        "chosen": "2</s>",
        "rejected": "3</s>",
    }
    assert (row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]) == ([1, 2], [3, 9], [4, 9])
    assert made.command == "trl dpo --model_name_or_path model --dataset_name out"
    assert only("trl", "unpaired", ONE, "train.parquet")[0]["label"] is False
    assert only("trl", "steps", STEPS, "train.parquet")[0] == STEPS | {
        "prompt": "q",
        "completions": ["a", "b"],  # the targets put line ends between steps themselves
    }
    assert only("trl", "sft", ONE, "train.parquet")[0] == {"prompt": "q", "completion": "2</s>"}


def test_llama_factory_has_its_registry_and_a_template_that_adds_nothing() -> None:
    row, made = only("llama-factory", "pairs", PAIR, "train.json")
    assert row == {"instruction": "<s>1 + 1 =so\n", "input": "", "chosen": "2</s>", "rejected": "3</s>"}
    assert made.files["dataset_info.json"] == {
        "gpo": {
            "file_name": "train.json",
            "ranking": True,
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "chosen": "chosen",
                "rejected": "rejected",
            },
        }
    }
    config = yaml.safe_load(made.files["train.yaml"])
    assert (config["template"], config["stage"], config["dataset_dir"]) == ("empty", "dpo", "out")
    row, made = only("llama-factory", "unpaired", ONE, "train.json")
    assert row == {"instruction": "<s>q", "output": "2</s>", "kto_tag": False, "input": ""}
    assert yaml.safe_load(made.files["train.yaml"])["stage"] == "kto"
    assert only("llama-factory", "sft", ONE, "train.json")[0] == {
        "instruction": "<s>q",
        "output": "2</s>",
        "input": "",
    }


def test_openrlhf_is_told_the_keys_and_to_use_no_template() -> None:
    row, made = only("openrlhf", "pairs", PAIR)
    assert row == {"prompt": "<s>1 + 1 =so\n", "chosen": "2</s>", "rejected": "3</s>"}
    assert "--data.prompt_key prompt --data.chosen_key chosen --data.rejected_key rejected" in made.command
    assert "apply_chat_template" not in made.command
    assert only("openrlhf", "sft", ONE)[0] == {"input": "<s>q", "output": "2</s>"}


def test_ms_swift_has_messages_and_the_dummy_template() -> None:
    row, made = only("ms-swift", "pairs", PAIR)
    assert [one["role"] for one in row["messages"]] == ["user", "assistant"]
    assert [one["content"] for one in row["messages"]] == ["1 + 1 =so\n", "2</s>"]
    assert row["rejected_response"] == "3</s>"
    assert "--template dummy" in made.command
    assert only("ms-swift", "unpaired", ONE)[0]["label"] is False
    assert only("ms-swift", "sft", ONE)[0]["messages"][1]["content"] == "2</s>"


def test_verl_has_one_prompt_for_each_state_its_answer_and_a_reward_that_knows_the_prefix(tmp_path) -> None:
    made = export("verl", "pairs", [PAIR, {**PAIR, "chosen": "two</s>"}], SOURCE, "out")
    (row,) = made.files["train.parquet"]
    assert row["prompt"] == [{"role": "user", "content": "<s>1 + 1 =so\n"}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "2"}
    assert row["extra_info"] == {"index": 0, "split": "train", "question": "1 + 1 =", "prefix": "so\n"}
    assert row["data_source"] == "gpo/t"
    assert made.notes == ("2 pairs have 1 states",)
    assert "reward.custom_reward_function.path=out/reward.py" in made.command
    path = tmp_path / "reward.py"
    path.write_text(made.files["reward.py"] + 'print(compute_score("", "is 2", "2", {"prefix": "it "}))\n')
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1.0"
    assert only("verl", "sft", ONE, "train.parquet")[0]["messages"][0] == {"role": "user", "content": "<s>q"}


def test_axolotl_has_its_config_with_fields_and_no_template() -> None:
    row, made = only("axolotl", "pairs", PAIR)
    assert row == {"prompt": "1 + 1 =so\n", "chosen": "2</s>", "rejected": "3</s>"}
    config = yaml.safe_load(made.files["train.yaml"])
    assert config["rl"] == "dpo"
    assert config["datasets"][0]["type"] == {
        "field_prompt": "prompt", "field_chosen": "chosen", "field_rejected": "rejected",
    }  # fmt: skip
    assert only("axolotl", "sft", ONE)[0]["segments"] == [
        {"label": False, "text": "q"}, {"label": True, "text": "2</s>"},
    ]  # fmt: skip
    assert only("axolotl", "steps", STEPS)[0]["completions"] == ["a", "b"]
    assert only("axolotl", "unpaired", ONE)[0] == {"prompt": "q", "completion": "2</s>", "label": False}


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_cannot_honour_is_refused(target) -> None:
    with pytest.raises(InputError, match=f"row 2: weight is 0.3, but {target} ignores weights"):
        export(target, "pairs", [PAIR, {**PAIR, "weight": 0.3}], SOURCE, "out")
    with pytest.raises(InputError, match=f"row 1: the answer has no end token, and {target} would add one"):
        export(target, "pairs", [{**PAIR, "is_ended": False}], SOURCE, "out")
    for kind in {"pairs", "unpaired", "steps", "sft"} - set(TARGETS[target]):
        with pytest.raises(InputError, match=f"--rows {kind}: {target} cannot read these rows; it reads"):
            export(target, kind, [], SOURCE, "out")


def test_text_that_is_not_what_was_sampled_is_counted() -> None:
    rows = [PAIR, {**PAIR, "is_exact_text": False}, {**PAIR, "chosen": "2<|eot|>"}]
    notes = export("openrlhf", "pairs", rows, SOURCE, "out").notes
    assert notes == (
        "1 of 3 rows do not re-tokenise to the sampled ids",
        "1 of 3 rows do not end with '</s>', which is added",
    )


def exported(capsys, *args: str) -> dict:
    main(["export", *args, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refusal(capsys, *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["export", *args])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("gpo: error: ")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_trls_own_tokenisation_of_the_exported_text_gives_the_sampled_ids(
    pairs_run, capsys, tmp_path
) -> None:
    from transformers import PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    made = exported(capsys, str(pairs_run), "--to", "trl", "--output", str(tmp_path / "out"))
    data = datasets.load_dataset(made["output"], split="train", cache_dir=str(tmp_path / "cache"))
    rows = list(read_records(pairs_run / "pairs.jsonl"))
    assert len(data) == len(rows) > 5
    args = DPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None,
        precompute_ref_log_probs=True, dataloader_pin_memory=False,
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast.from_pretrained(DEMO_MODEL)
    text = data.remove_columns(["prompt_ids", "chosen_ids", "rejected_ids"])
    trainer = DPOTrainer(str(DEMO_MODEL), args=args, train_dataset=text, processing_class=tokenizer)
    for made_row, row in zip(trainer.train_dataset, rows, strict=True):
        for name in ("prompt_ids", "chosen_ids", "rejected_ids"):
            assert made_row[name] == row[name]


def test_the_command_writes_files_once_and_says_what_comes_next(pairs_run, capsys, tmp_path) -> None:
    out = str(tmp_path / "out")
    made = exported(capsys, str(pairs_run), "--to", "axolotl", "--output", out)
    assert sorted(path.name for path in Path(out).iterdir()) == sorted(made["files"])
    assert made["command"] == f"axolotl train {out}/train.yaml"
    assert "already exists" in refusal(capsys, str(pairs_run), "--to", "axolotl", "--output", out)
    assert (
        refusal(capsys, str(pairs_run), "--to", "trl", "--push")
        == "--push: has no effect without --to hub; leave it out"
    )
    assert refusal(capsys, str(pairs_run), "--to", "hub").startswith("--repo: give OWNER/NAME")
    assert "must be 'trl', 'llama-factory'" in refusal(capsys, str(pairs_run), "--to", "nobody")
    located = str(pairs_run / "located")
    assert (
        refusal(capsys, located, "--to", "trl")
        == f"{located}: is a run of `gpo locate`, not of `gpo pairs`; give one of those"
    )


def test_the_hubs_folder_loads_as_a_data_set_and_its_card_says_how_it_was_made(
    pairs_run, capsys, tmp_path
) -> None:
    out = tmp_path / "hub"
    exported(
        capsys, str(pairs_run), "--to", "hub", "--repo", "me/pairs", "--license", "mit", "--output", str(out)
    )
    for kind in ("pairs", "unpaired", "steps", "sft"):
        data = datasets.load_dataset(str(out), kind, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(data) == len(list(read_records(pairs_run / f"{kind}.jsonl"))) > 0
    card = (out / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["license"] == "mit"
    summary = json.loads((pairs_run / "summary.json").read_text())
    stated = {"model": "demo_model", "task": "chain_sum", "splitter": "auto", "rule": "drop",
              "search": "adaptive", "search_traces": "8.0", "verifier": "gym",
              "total": f"{sum(summary['tokens'].values()):,}"}  # fmt: skip
    for name, value in stated.items():
        assert f"| {name} | {value} |" in card
    for name, num in summary["left_out"].items():
        assert f"- {num} {name}" in card
    assert str(DEMO_MODEL) not in card


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload needs."""

    committed: dict[str, bytes]

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, content: dict, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(
            {"name": "me", "type": "user"} if "whoami" in self.path else {"id": "me/pairs", "sha": "0" * 40}
        )

    def do_POST(self) -> None:
        import base64

        body = self.rfile.read(int(self.headers["Content-Length"]))
        base = f"http://{self.headers['Host']}/datasets/me/pairs"
        if "Bearer right" not in self.headers.get("Authorization", ""):
            self.answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            assert json.loads(body)["type"] == "dataset"
            self.answer({"url": base})
        elif "/preupload/" in self.path:
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for one in json.loads(body)["files"]]  # fmt: skip
            self.answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.committed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": f"{base}/commit/1", "commitOid": "1", "pullRequestUrl": None})
        else:
            self.answer({})


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    handler = type("Stub", (Hub,), {"committed": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_push_uploads_every_file_to_the_hub_and_a_refusal_is_one_line(pairs_run, hub, tmp_path) -> None:
    def run(token: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        command = [sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def gpo_push(token: str) -> subprocess.CompletedProcess[str]:
        return run(token, "-c", f"import gpo; print(gpo.push({str(pairs_run)!r}, 'me/pairs'))")

    def push(token: str, name: str) -> subprocess.CompletedProcess[str]:
        words = [
            "export",
            str(pairs_run),
            "--to",
            "hub",
            "--repo",
            "me/pairs",
            "--push",
            "--output",
            str(tmp_path / name),
        ]
        return run(token, "-m", "gpo", *words)

    result = push("right", "a")
    assert result.returncode == 0, result.stderr
    assert "uploaded to" in result.stdout
    committed = hub.RequestHandlerClass.committed
    assert sorted(committed) == [
        "README.md",
        *(f"data/{k}.parquet" for k in ("pairs", "sft", "steps", "unpaired")),
    ]
    assert committed["data/pairs.parquet"] == (tmp_path / "a" / "data" / "pairs.parquet").read_bytes()
    committed.clear()
    assert gpo_push("right").stdout.strip().endswith("/datasets/me/pairs")
    assert sorted(committed)[:2] == ["README.md", "data/pairs.parquet"]
    assert "InputError: --repo me/pairs: cannot be uploaded (" in gpo_push("wrong").stderr
    refused = push("wrong", "b")
    assert refused.returncode == 2
    assert (
        refused.stderr.strip()
        .splitlines()[-1]
        .startswith("gpo: error: --repo me/pairs: cannot be uploaded (")
    )


@pytest.mark.parametrize("arguments", [["export"], ["train", "--method", "dpo", "--pairs"]])
def test_settings_of_the_run_that_were_edited_are_refused_by_name(
    pairs_run, capsys, tmp_path, arguments
) -> None:
    shutil.copytree(pairs_run, run := tmp_path / "run")
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"settings": about["settings"] | {"task": 0.5}}))
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, str(run), *(["--to", "trl"] if arguments == ["export"] else [])])
    assert stopped.value.code == 2
    assert f"{run / 'run.json'}: settings.task: must be" in capsys.readouterr().err
