"""The front door of offline training: pairs, train --method, and every wrong input with its one line."""

import json
import shutil
from pathlib import Path

import lookalikes
import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gpo.checksums import SUMS
from gpo.cli import main
from gpo.command_settings import PreferenceSettings
from gpo.learn.optimisation import Optimisation
from gpo.record import read_json, read_records, write_json
from gpo.settings import check_stored
from gpo.setup.resume import new_settings
from gpo.types import DataWarning

TRAIN = [
    "--max-tokens",
    "96",
    "--learning-rate",
    "1e-4",
    "--minibatch",
    "4",
    "--microbatch",
    "4",
    "--epochs",
    "1",
]
ROUNDS = [*TRAIN, "--task", "chain_sum", "--min-step-tokens", "1", "--rule", "drop", "--size", "32"]
ROUNDS += ["--problems-per-round", "4", "--group-size", "4", "--search-traces", "4", "--eval-problems", "4"]


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def gpo(capsys, *args: str) -> dict:
    main([*args, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def error_of(capsys, *args: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    lines = [line for line in captured.err.strip().splitlines() if "error" in line]
    assert len(lines) == 1, captured.err
    return lines[0].removeprefix("gpo: error: ")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def edited(pairs_run, tmp_path) -> Path:
    """A copy of the pairs to spoil."""
    return Path(shutil.copytree(pairs_run, tmp_path / "edited"))


def lines_of(run: Path, name: str) -> list[dict]:
    return list(read_records(run / f"{name}.jsonl"))


def test_pairs_from_a_located_run_are_those_of_one_command_and_cost_nothing_more(pairs_run, capsys) -> None:
    located = str(pairs_run / "located")
    summary = gpo(capsys, "pairs", "--run", located, "--output", "again")
    assert lines_of(Path("again"), "pairs") == lines_of(pairs_run, "pairs")
    whole = json.loads((pairs_run / "summary.json").read_text())
    assert summary["tokens"] == whole["tokens"]
    assert summary["rows"] == {name: len(lines_of(pairs_run, name)) for name in summary["rows"]}
    assert all(num > 0 for num in summary["rows"].values())


def test_every_pair_was_sampled_from_its_state(pairs_run) -> None:
    rollouts = [*lines_of(pairs_run / "located", "rollouts")]
    texts = {tuple(r["prompt_ids"] + r["prefix_ids"] + r["action_ids"]): r["reward"] for r in rollouts}
    rows = lines_of(pairs_run, "pairs")
    found = 0
    for row in rows:
        for name, reward in (("chosen_ids", 1.0), ("rejected_ids", 0.0)):
            whole = tuple(row["prompt_ids"] + row[name])
            if whole in texts:  # the others were sampled to fill a side
                assert texts[whole] == reward
                found += 1
        assert row["prompt"] + row["chosen"] != row["prompt"] + row["rejected"]
        assert row["is_exact_text"]
    assert found > len(rows)


def test_a_baseline_pays_for_its_own_rollouts_and_not_for_the_search(pairs_run, capsys) -> None:
    located = pairs_run / "located"
    spent = json.loads((located / "summary.json").read_text())["tokens"]
    summary = gpo(capsys, "pairs", "--run", str(located), "--at", "prompt", "--output", "prompt")
    tokens = summary["tokens"]
    assert "values" not in tokens
    assert tokens["explore"] == spent["explore"]
    assert 0.8 * spent["values"] < tokens["matching the search"] <= spent["values"] + 16 * 64
    assert all(row["prefix_tokens"] == 0 for row in lines_of(Path("prompt"), "pairs"))
    assert summary["rows"]["steps"] == 0
    cheap = gpo(
        capsys, "pairs", "--run", str(located), "--at", "prompt", "--no-match-budget", "--output", "cheap"
    )
    assert "matching the search" not in cheap["tokens"]


def test_problems_can_be_kept_out_by_share_and_by_file(pairs_run, capsys) -> None:
    located = str(pairs_run / "located")
    gpo(capsys, "pairs", "--run", located, "--hold-out", "0.5", "--output", "half")
    held = {row["prompt"] for row in lines_of(Path("half"), "held_out")}
    kept = {
        row["question"]
        for name in ("pairs", "unpaired", "sft", "steps")
        for row in lines_of(Path("half"), name)
    }
    assert held
    assert not held & kept
    summary = gpo(capsys, "pairs", "--run", located, "--exclude", "half/held_out.jsonl", "--output", "rest")
    assert summary["left_out"]["trajectories held out"] == len(held)
    assert lines_of(Path("rest"), "pairs") == lines_of(Path("half"), "pairs")


def test_an_empty_set_of_pairs_says_which_filter_removed_how_many(pairs_run, capsys) -> None:
    located = str(pairs_run / "located")
    num = len(lines_of(pairs_run / "located", "curves"))
    message = error_of(capsys, "pairs", "--run", located, "--min-credibility", "1", "--output", "none")
    assert f"all {num} trajectories were filtered out: {num} trajectories below min_credibility" in message


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ("--explored", "mixed", "--max-tokens", "4"),
            "pairs/located: no trajectory of 2 problems was explored, so there is nothing to pair; start "
            "a new run with more problems or another --explored",
        ),
        (
            ("--min-credibility", "1", "--max-tokens", "64"),
            "trajectories below min_credibility; build from it with others: gpo pairs --run pairs/located",
        ),
    ],
)  # fmt: skip
def test_a_run_that_would_end_alike_is_not_offered_to_be_resumed(
    flags, said, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "pairs",
                "--task",
                "chain_sum",
                "--min-step-tokens",
                "1",
                "--limit",
                "2",
                *flags,
                "--output",
                "pairs",
            ]
        )
    error = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 1
    assert error.endswith(said)
    assert "--resume" not in error


def test_what_a_located_run_fixed_cannot_be_said_otherwise(pairs_run, capsys, tmp_path) -> None:
    located = pairs_run / "located"
    message = error_of(capsys, "pairs", "--run", str(located), "--rule", "signed")
    assert message == f"--rule: is 'signed' here and 'drop' in the run {located}; leave it out"
    other = Path(shutil.copytree(located, tmp_path / "other"))
    run = read_json(other / "run.json")
    write_json(other / "run.json", run | {"fingerprint": run["fingerprint"] | {"vocabulary": "0"}})
    assert "was sampled with another vocabulary (0) than the model named here has" in error_of(
        capsys, "pairs", "--run", str(other)
    )
    write_json(other / "run.json", run | {"fingerprint": run["fingerprint"] | {"weights": "0"}})
    assert (
        "was sampled by another model or with other settings (weights differs), so no more can be"
        in error_of(capsys, "pairs", "--run", str(other), "--at", "prompt")
    )
    assert (
        gpo(capsys, "pairs", "--run", str(other), "--fill", "0", "--output", "unfilled")["rows"]["pairs"] > 0
    )
    assert (
        error_of(capsys, "pairs") == "--run, --task or --data: give one of them, such as --run runs/located"
    )


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_train_reads_the_rows_of_a_pairs_run(method, pairs_run, capsys) -> None:
    name = "unpaired" if method == "kto" else "pairs"
    given = ["--method", method, "--pairs", str(pairs_run), "--task", "chain_sum", "--eval-problems", "8"]
    summary = gpo(capsys, "train", *given, *TRAIN, "--output", "out")
    assert summary["rows"] == [len(lines_of(pairs_run, name))]
    assert summary["method"] == method
    assert set(summary["tokens"]) == {"evaluation"}
    assert 0 <= summary["accuracy_after"] <= 1
    trained = load_file("out/model/model.safetensors")
    again = gpo(
        capsys, "eval", "--model", "out/model", "--task", "chain_sum", "--max-tokens", "96", "--limit", "4"
    )
    assert again["problems"] == 4
    assert not Path("out/trainer").exists()
    assert trained


def test_rounds_sample_pair_and_train_and_a_resumed_run_ends_with_the_same_weights(capsys) -> None:
    whole = gpo(capsys, "train", "--method", "simpo", *ROUNDS, "--rounds", "2", "--output", "whole")
    assert whole["rounds"] == 2
    assert len(whole["rows"]) == 2
    assert all(whole["tokens"][purpose] > 0 for purpose in ("explore", "values", "evaluation"))
    gpo(capsys, "train", "--method", "simpo", *ROUNDS, "--rounds", "1", "--output", "part")
    checkpoint = Path(shutil.copytree("part", "earlier"), "checkpoints", "0001")
    (checkpoint / "memory.json").unlink()
    sums = (checkpoint / SUMS).read_text().splitlines(keepends=True)
    (checkpoint / SUMS).write_text("".join(line for line in sums if "memory.json" not in line))
    said = error_of(capsys, "train", "--resume", "earlier", "--rounds", "2")
    assert (
        said
        == f"{checkpoint}/memory.json: is not there; if an earlier version wrote the run, start a new one"
    )
    resumed = gpo(capsys, "train", "--resume", "part", "--rounds", "2")
    assert resumed | {"run": ""} == whole | {"run": ""}
    one, two = (load_file(f"{run}/model/model.safetensors") for run in ("whole", "part"))
    assert all((one[name] == two[name]).all() for name in one)
    first = lines_of(Path("whole/pairs/0001"), "pairs")
    assert len(first) == whole["rows"][0]
    versions = {line["policy_version"] for line in lines_of(Path("whole"), "rollouts")}
    assert versions == {0, 1}


def test_offline_rounds_keep_to_the_budget_and_are_evaluated_as_often_as_asked(capsys) -> None:
    args = ["--rounds", "9", "--budget-tokens", "6000", "--eval-every", "0"]
    found = gpo(capsys, "train", "--method", "dpo", *ROUNDS, *args, "--output", "out")
    spent = sum(num for purpose, num in found["tokens"].items() if purpose != "evaluation")
    lines = lines_of(Path("out"), "rounds")
    assert 0 < spent <= 6000
    assert found["unspent"] == {"tokens": 6000 - spent}
    assert 0 < found["rounds"] < 9
    assert [line["round"] for line in lines if "evaluation" in line] == [0, found["rounds"]]
    assert found["discarded"] == {"rollouts": 0, "curves": 0}
    assert lines[1]["metrics"]["time/train_s"] > 0


def test_an_adapter_is_trained_over_rounds_and_saved_alone(capsys) -> None:
    lora = ["--lora-rank", "4", "--lora-targets", "q_proj", "--track", "tensorboard"]
    gpo(
        capsys,
        "train",
        "--method",
        "orpo",
        *ROUNDS,
        *lora,
        "--problems-per-round",
        "8",
        "--rounds",
        "1",
        "--output",
        "out",
    )
    assert not Path("out/model/model.safetensors").exists()
    first = load_file("out/model/adapter_model.safetensors")
    assert gpo(capsys, "train", "--resume", "out", "--rounds", "2")["rounds"] == 2
    second = load_file("out/model/adapter_model.safetensors")
    assert all(("q_proj" in name) for name in second)
    events = EventAccumulator("out/trackers/gpo")
    events.Reload()
    updates = sum(int(line["metrics"]["train/updates"]) for line in lines_of(Path("out"), "rounds")[1:])
    assert sorted({event.step for event in events.Scalars("train/loss")}) == list(range(1, updates + 1))
    assert any((first[name] != second[name]).any() for name in first)


def refused(capsys, run: Path, *args: str, method: str = "dpo") -> str:
    return error_of(capsys, "train", "--method", method, "--pairs", str(run), *TRAIN, *args)


def test_pairs_of_another_tokenizer_or_template_are_refused(pairs_run, capsys) -> None:
    message = refused(capsys, pairs_run, "--system-prompt", "Be brief.")
    assert "was sampled with another template" in message
    assert "than the model to be trained has" in message
    assert not Path("runs").exists()


def test_rows_edited_by_hand_are_refused_by_row_and_field(edited, capsys) -> None:
    rows = lines_of(edited, "pairs")
    for change, expected in (
        ({"chosen_ids": rows[1]["rejected_ids"]}, "row 2: chosen_ids and rejected_ids are the same"),
        (
            {"prompt_ids": [5] * 9000},
            "row 2: question and prefix have 9000 tokens and the context of the model is",
        ),
        ({"rejected_ids": []}, "row 2: rejected_ids: value should have at least 1 item after validation"),
        (
            {"prompt_ids": [1, -2]},
            "row 2: prompt_ids.1: input should be greater than or equal to 0, got '-2'",
        ),
        ({"weight": 0}, "row 2: weight: input should be greater than 0, got '0'"),
    ):
        write_rows(edited / "pairs.jsonl", [rows[0], rows[1] | change, *rows[2:]])
        assert expected in refused(capsys, edited)
    write_rows(edited / "pairs.jsonl", [])
    assert "pairs.jsonl: has no rows; build it with gpo pairs" in refused(capsys, edited)
    (edited / "unpaired.jsonl").unlink()
    assert "unpaired.jsonl: is not there" in refused(capsys, edited, method="kto")


def test_what_a_method_or_given_pairs_cannot_honour_is_refused(edited, capsys) -> None:
    run = read_json(edited / "run.json")
    write_json(edited / "run.json", run | {"settings": run["settings"] | {"weight": "lower"}})
    assert "has weights, which kto cannot use" in refused(capsys, edited, method="kto")
    assert "--clip: is for online training, and --method is offline" in refused(
        capsys, edited, "--clip", "0.1"
    )
    assert "rounds: the rows of --pairs are made already" in refused(capsys, edited, "--rounds", "2")
    assert "at: the rows of --pairs are made already" in refused(capsys, edited, "--at", "prompt")
    assert "--nll-weight: orpo has a log-likelihood term" in refused(
        capsys, edited, "--nll-weight", "1", method="orpo"
    )
    assert "rows exceed --max-length 2" in refused(capsys, edited, "--max-length", "2")
    located = str(edited / "located")
    assert "is a run of `gpo locate`, not of `gpo pairs`" in refused(capsys, Path(located))
    message = error_of(capsys, "train", "--method", "kto", "--weight", "lower", *ROUNDS)
    assert message == "--weight: kto cannot weigh a row; use none, or a method that trains pairs"


def test_rows_of_questions_to_be_evaluated_on_are_kept_out(pairs_run, capsys) -> None:
    rows = [{"prompt": row["question"], "answer": row["answer"]} for row in lines_of(pairs_run, "pairs")]
    write_rows(Path("some.jsonl"), rows[:2])
    data = ["--eval-data", "some.jsonl", "--verifier", "number"]
    summary = gpo(
        capsys, "train", "--method", "dpo", "--pairs", str(pairs_run), *TRAIN, *data, "--output", "out"
    )
    assert summary["left_out"]["held out"] == 2
    write_rows(Path("some.jsonl"), rows)
    assert "rows are of questions in the evaluation data" in refused(capsys, pairs_run, *data)


def test_given_pairs_of_a_test_at_hand_are_left_out(edited, capsys, tmp_path) -> None:
    lookalikes.write_all(tmp_path / "data")
    run = read_json(edited / "run.json")
    write_json(edited / "run.json", run | {"settings": run["settings"] | {"task": "gsm8k"}})
    rows = lines_of(edited, "pairs")
    for row in rows[:2]:
        row["question"] = lookalikes.GSM8K[0]["question"].replace(" ", "  ")
    write_rows(edited / "pairs.jsonl", rows)
    given = ["train", "--method", "dpo", "--pairs", str(edited), "--data-dir", "data", *TRAIN]
    assert gpo(capsys, *given, "--output", "out")["left_out"]["held out"] == 2
    assert gpo(capsys, *given, "--no-decontaminate", "--output", "all")["left_out"].get("held out", 0) == 0


def test_names_of_the_version_before_still_work_and_say_so() -> None:
    with pytest.warns(DataWarning, match="--batch: is called minibatch now"):
        settings = new_settings(
            PreferenceSettings, None, {"task": "chain_sum", "method": "dpo", "batch": "16"}
        )
    assert settings.minibatch == 16
    stored = {"task": "chain_sum", "method": "dpo", "bf16": True, "batch": 16}
    assert check_stored(PreferenceSettings, Path("run"), stored).mixed_precision == "bf16"
    with pytest.warns(DataWarning, match="num_rounds: is called rounds now"):
        assert Optimisation(num_rounds=3).rounds == 3
