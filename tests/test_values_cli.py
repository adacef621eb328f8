# ruff: noqa: E501 - a case is a line
"""A value model on the command line: learned from runs, refused in one line where it cannot be."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import gpo
from gpo.cli import main
from gpo.record import stored_run

SMALL = ("--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--group-size", "3", "--search-traces", "3")  # fmt: skip
LEARN = ("train", "--method", "value", "--max-epochs", "2")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Located runs and rows of them, in a folder."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in ("0", "1"):
        main(["locate", *SMALL, "--split", "train", "--limit", "6", "--seed", seed, "--explored", "all", "--output", str(folder / f"located{seed}")])  # fmt: skip
    main(["locate", *SMALL, "--limit", "4", "--output", str(folder / "tests")])
    main(
        [
            "locate",
            *SMALL,
            "--split",
            "train",
            "--limit",
            "4",
            "--temperature",
            "0.5",
            "--output",
            str(folder / "cold"),
        ]
    )
    main(["pairs", "--run", str(folder / "located0"), "--fill", "0", "--output", str(folder / "pairs")])
    main(
        [
            "sample",
            "--task",
            "chain_sum",
            "--limit",
            "2",
            "--num",
            "1",
            "--max-tokens",
            "64",
            "--output",
            str(folder / "sampled"),
        ]
    )
    return folder


@pytest.fixture(scope="module")
def value(runs) -> Path:
    main(
        [
            *LEARN,
            "--run",
            str(runs / "located0"),
            "--run",
            str(runs / "located1"),
            "--output",
            str(runs / "value"),
        ]
    )
    return runs / "value"


def test_runs_are_learned_from_and_the_model_reads_the_policys_states(value) -> None:
    summary = json.loads((value / "summary.json").read_text())
    assert summary["method"] == "value"
    assert summary["fitted"]["problems"] == 12
    assert stored_run(value).settings["max_tokens"] == 64  # as the runs were sampled
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=64)
    [curve] = gpo.values.load(value, policy).read(
        [(gpo.State(gpo.Problem("a", policy.prompt_ids("1 + 1 ="), "2")), (27,))]
    )
    assert len(curve) == 2
    assert all(0 <= one <= 1 for one in curve)
    assert gpo.read_run(value).state == "finished"


def test_a_run_that_goes_on_learns_the_same_again(value, capsys) -> None:
    before = json.loads((value / "summary.json").read_text())["fitted"]
    (value / "summary.json").unlink()
    main(["train", "--resume", str(value)])
    after = json.loads((value / "summary.json").read_text())["fitted"]
    assert after == pytest.approx(before, rel=1e-4)  # the last digit is the kernels'
    main(["show", str(value)])
    assert "gpo train" in capsys.readouterr().out


def test_a_finished_run_is_not_learned_again_unless_its_model_is_damaged(value, capsys, tmp_path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(value, path)
    for is_learned in (False, True):
        if is_learned:
            (path / "value" / "head.safetensors").write_bytes(b"torn")
        main(["train", "--resume", str(path)])
        said = " ".join(capsys.readouterr().out.split())
        assert ("is finished, and nothing is learned again" in said) == (not is_learned)
        assert "held-out log loss" in said


def test_rows_of_steps_are_learned_from_by_a_linear_head_and_an_adapter(runs, tmp_path, capsys) -> None:
    main([*LEARN, "--run", str(runs / "pairs"), "--head", "linear", "--lora-rank", "2", "--output", str(tmp_path / "value"), "--json"])  # fmt: skip
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["fitted"]["completions"] == 6
    own = gpo.values.load(tmp_path / "value")
    assert own.head.kind == "linear"
    assert hasattr(own.backbone.model, "peft_config")


def test_a_dry_run_says_what_would_be_read_and_writes_nothing(runs, tmp_path, capsys) -> None:
    main(
        [
            *LEARN,
            "--run",
            str(runs / "located0"),
            "--states",
            "0",
            "--dry-run",
            "--json",
            "--output",
            str(tmp_path / "new"),
        ]
    )
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["completions"] == 6
    assert not (tmp_path / "new").exists()


def without_trials(runs: Path, path: Path) -> Path:
    """Rows as the version before wrote them."""
    shutil.copytree(runs / "pairs", path)
    lines = [json.loads(line) for line in (path / "steps.jsonl").read_text().splitlines()]
    for line in lines:
        del line["trials"], line["successes"]
    (path / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def of_another(name: str) -> Callable[[Path, Path], Path]:
    """A run whose fingerprint differs in this."""

    def make(runs: Path, path: Path) -> Path:
        shutil.copytree(runs / "located0", path)
        about = json.loads((path / "run.json").read_text())
        about["fingerprint"][name] = "0" * 16
        (path / "run.json").write_text(json.dumps(about))
        return path

    return make


def empty(runs: Path, path: Path) -> Path:
    shutil.copytree(runs / "located0", path)
    (path / "curves.jsonl").write_text("")
    (path / "rollouts.jsonl").write_text("")
    return path


@pytest.mark.parametrize(
    ("run", "given", "message", "is_early"),
    [
        ("", (), "--run: needed with --method value: a finished gpo locate or gpo pairs", True),
        ("nowhere", (), "holds no run.json, so it is not a run", True),
        ("sampled", (), "is a run of `gpo sample`, whose counts are not of one model's values", True),
        ("tests", (), "would train on chain_sum's split 'test'", True),
        ("cold", ("--run", "RUNS/located0"), r"was sampled with other temperature \(1.0\) than", True),
        ("located0", ("--temperature", "0.5"), "--temperature: is 0.5 here and 1.0 in the run", True),
        ("located0", ("--max-tokens", "9"), "--max-tokens: is 9 here and 64 in the run", True),
        ("located0", ("--lora-rank", "2"), "lora-rank: an adapter is trained with the head `linear`", True),
        ("located0", ("--lora-rank", "2", "--head", "linear", "--lora-targets", "abacus"), "lora_targets: ", True),
        ("located0", ("--pairs", "pairs"), "--pairs: is for training a policy, and --method value learns values", True),
        ("located0", ("--task", "chain_sum"), "--task: is for training a policy", True),
        ("located0", ("--model", "./nowhere"), "model path './nowhere' does not exist", True),
        ("located0", ("--run", "RUNS/tests/../located0"), "--run: .* is given more than once", True),
        ("located0", ("--value-hold-out", "1"), "--value-hold-out: must be below 1", True),
        (without_trials, (), "steps.jsonl: row 1: trials: holds none, so its values have no weight", True),
        (of_another("vocabulary"), (), "was sampled with another vocabulary", True),
        (empty, (), "holds no located trajectory, so no value was counted in it", True),
        (of_another("weights"), (), "counted the values of a model with other weights .'0000000000000000' there", False),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_one_line_before_weights_load(
    runs, tmp_path, monkeypatch, capsys, run, given, message, is_early
) -> None:
    if is_early:
        monkeypatch.setattr("gpo.setup.engine.load_policy", lambda *_: pytest.fail("weights were loaded"))
    path = run(runs, tmp_path / "run") if callable(run) else runs / run
    given = [one.replace("RUNS", str(runs)) for one in given]
    with pytest.raises(SystemExit) as error:
        main([*LEARN, *(["--run", str(path)] if run else []), *given, "--output", str(tmp_path / "new")])
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2, told
    assert re.search(message, told), told
    assert not (tmp_path / "new").exists()


FIND = ("locate", *SMALL, "--split", "train", "--limit", "4", "--seed", "5", "--explored", "all")


def lines(run: Path) -> list[dict]:
    found = map(json.loads, (run / "curves.jsonl").read_text().splitlines())
    return sorted(found, key=lambda one: one["place"])


def test_a_search_records_what_a_value_model_predicted_and_whether_it_was_trusted(
    runs, value, tmp_path, capsys
) -> None:
    main([*FIND, "--output", str(tmp_path / "plain"), "--proposal", "none"])
    main([*FIND, "--output", str(tmp_path / "found"), "--proposal", f"value:{value}"])
    plain, found = lines(tmp_path / "plain"), lines(tmp_path / "found")
    assert all(len(one["predicted"]) == len(one["steps"]) and one["trusted"] is None for one in found)
    assert all(one.get("predicted") is None for one in plain)
    capsys.readouterr()
    sure = folder_with(value, tmp_path / "sure", say=8.0)
    main(
        [
            *FIND,
            "--output",
            str(tmp_path / "trusted"),
            "--proposal",
            f"value:{sure}",
            "--trust-value",
            "--json",
        ]
    )
    told = capsys.readouterr()
    trusted = lines(tmp_path / "trusted")
    assert {one["trusted"] for one in trusted} == {8.0}
    num = sum(one["tokens"] == 0 for one in trusted)
    assert json.loads(told.out.splitlines()[-1])["without_rollouts"] == num


def folder_with(value: Path, path: Path, **fitted) -> Path:
    """The value model with another opinion of itself."""
    shutil.copytree(value / "value", path)
    about = json.loads((path / "value.json").read_text())
    about["fitted"] |= fitted
    (path / "value.json").write_text(json.dumps(about))
    (path / "SHA256SUMS").unlink()
    return path


def test_a_search_with_a_value_model_goes_on_where_it_was(runs, value, tmp_path) -> None:
    command = [*FIND, "--output", str(tmp_path / "found"), "--proposal", f"value:{value}"]
    main(command)
    before = lines(tmp_path / "found")
    for name in ("curves", "problems", "rollouts"):
        path = tmp_path / "found" / f"{name}.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    main(["locate", "--resume", str(tmp_path / "found")])
    assert [one["trials"] for one in lines(tmp_path / "found")] == [one["trials"] for one in before]


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [
        (FIND, {}, "value model 'nowhere': has no value.json"),
        (FIND, {"vocabulary": "0" * 16}, "learned the values of another policy .vocabulary: "),
        (("train", *SMALL), {}, "proposal: 'value:.*' reads the weights that are trained"),
        (("train", "--method", "dpo", *SMALL), {}, "proposal: 'value:.*' reads the weights that are trained"),
        ((*FIND, "--trust-value"), None, "--trust-value: is of a value model, and the proposal is 'entropy'"),
    ],
)
def test_a_value_model_that_cannot_propose_is_one_line_before_weights_load(
    value, tmp_path, monkeypatch, capsys, command, change, message
) -> None:
    monkeypatch.setattr("gpo.setup.engine.load_policy", lambda *_: pytest.fail("weights were loaded"))
    path = "./nowhere"
    if change:
        about = json.loads((value / "value" / "value.json").read_text())
        path = str(folder_with(value, tmp_path / "value"))
        Path(path, "value.json").write_text(
            json.dumps({**about, "fingerprint": about["fingerprint"] | change})
        )
    with pytest.raises(SystemExit) as error:
        main(
            [
                *command,
                *([] if change is None else ["--proposal", f"value:{path}"]),
                "--output",
                str(tmp_path / "new"),
            ]
        )
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.value.code == 2
    assert re.search(message, told), told


def test_a_value_model_is_judged_by_problems_that_it_did_not_learn_from(
    runs, value, tmp_path, capsys
) -> None:
    rows = [
        {"problem": f"{i} + 1 =", "steps": [f"{i} + 1 = {i}", f"Answer: {i}"], "label": i % 2 - 1}
        for i in range(4)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    main(["eval", "--value", str(value), "--run", str(runs / "tests"), "--data", str(tmp_path / "rows.jsonl"), "--json"])  # fmt: skip
    told = capsys.readouterr()
    found = json.loads(told.out.splitlines()[-1])
    assert found["counts"]["problems"] == 4
    assert 0 <= found["counts"]["auc"]["value"] <= 1
    assert set(found["steps"]) == {"value", "entropy"}
    assert found["first_errors"]["rows"] == 4
    for given, message in (
        (("--run", str(runs / "located0")), "all of its problems were learned from"),
        (
            ("--run", str(runs / "sampled")),
            "is a run of `gpo sample`, whose counts are not of one model's values",
        ),
        ((), "give what the value model is judged by"),
        (("--run", str(runs / "tests"), "--num", "2"), "--num: is for a model's success rate"),
        (
            ("--run", str(runs / "tests"), "--temperature", "0.5"),
            "--temperature: is 0.5 here and 1.0 in the run",
        ),
    ):
        with pytest.raises(SystemExit) as error:
            main(["eval", "--value", str(value), *given])
        assert error.value.code == 2
        assert message in capsys.readouterr().err


def test_labelled_solutions_alone_are_read_as_the_values_were_learned(value, tmp_path, capsys) -> None:
    rows = [{"problem": f"{i} + 1 =", "steps": [f"{i} + 1 = {i}"], "label": -(i % 2)} for i in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    main(["eval", "--value", str(value), "--data", str(tmp_path / "rows.jsonl")])
    assert "other sampling" not in capsys.readouterr().err
    main(["eval", "--value", str(value), "--data", str(tmp_path / "rows.jsonl"), "--temperature", "0.5"])
    said = capsys.readouterr().err
    assert "other sampling (temperature: 1.0 there, 0.5 here)" in said
    assert said.count("other sampling") == 1
