"""Evaluations: of a policy whose values are known, and `gpo eval` from the command line."""

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import lookalikes
import pytest
from test_cli import error_of
from toy import AllRight, TablePolicy, problems

from gpo.cli import main
from gpo.command_settings import EvalSettings
from gpo.evaluation import Outcome, compare, evaluate, scores
from gpo.objects.runs import read_outcomes
from gpo.protocols import ForwardingPolicy
from gpo.record import read_records
from gpo.setup.lm_eval import export, target
from gpo.setup.resume import new_settings
from gpo.types import InputError

SMALL = ["--task", "modchain", "--max-tokens", "96"]


def outcome(name: str, successes: list[int], answers: list[str | None] | None = None, **more) -> Outcome:
    values = {"subject": "", "finished": (True,) * len(successes), **more}
    return Outcome(name, successes=tuple(successes), answers=answers and tuple(answers), **values)


def gpo(capsys, *args: str) -> dict:
    main([*args, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def figures(summary: dict) -> dict:
    """The summary, but for where the run is and how busy the engine was."""
    return {key: value for key, value in summary.items() if key not in ("run", "fill")}


def completion(line: dict) -> tuple:
    return line["problem"], line["row"], line["seed"], tuple(line["action_ids"])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPO_DATA", raising=False)


def test_a_known_policy_gets_its_known_rate_and_everything_is_counted() -> None:
    policy = TablePolicy([0.8, 0.5])  # right with 0.4
    result = evaluate(policy, AllRight(), problems(200), num=4, seed=1, read=lambda _, texts: list(texts))
    # The standard error of 800 samples is .017; beyond 4 of them is chance 6e-5.
    assert abs(result.accuracy - 0.4) < 0.07
    assert result.tokens == 800 * 5
    assert len(result.outcomes) == 200
    assert result.outcomes[3].answers == tuple(r.text for r in result.groups[3].rollouts)
    found = scores(result.outcomes, [1, 4])
    assert found.metrics["avg@4"].mean == found.metrics["pass@1"].mean == pytest.approx(result.accuracy)
    assert abs(found.metrics["pass@4"].mean - (1 - 0.6**4)) < 0.1  # s.e. .024
    assert (found.num_problems, found.num_samples, found.unparsed_frac) == (200, 800, 0.0)


def test_the_streams_are_the_evaluations_own_and_the_same_every_time() -> None:
    policy = TablePolicy([0.5])
    first = evaluate(policy, AllRight(), problems(20), num=2, seed=1)
    again = evaluate(policy, AllRight(), problems(20)[::-1], num=2, seed=1)
    assert {o.problem: o.successes for o in first.outcomes} == {
        o.problem: o.successes for o in again.outcomes
    }
    assert first.outcomes != evaluate(policy, AllRight(), problems(20), num=2, seed=2).outcomes


def test_a_cut_sample_fails_has_no_vote_and_is_not_unparsed() -> None:
    cut = outcome("a", [0, 0, 1], ["7", "7", "3"], finished=(False, False, True))
    found = scores([cut], [3])
    assert found.metrics["maj@3"].mean == 1.0
    assert found.truncated_frac == pytest.approx(2 / 3)
    assert found.unparsed_frac == 0.0
    assert scores([outcome("a", [0, 1], [None, "3"])]).unparsed_frac == 0.5


def test_a_verifier_that_reads_no_answers_has_no_majority() -> None:
    found = scores([outcome("a", [0, 1])], [2])
    assert list(found.metrics) == ["avg@2", "pass@2"]
    assert found.unparsed_frac is None


def test_subjects_have_their_own_rates_and_an_unweighted_mean() -> None:
    outcomes = [outcome(f"a{i}", [1], subject="algebra") for i in range(3)]
    outcomes += [outcome("g", [0], subject="geometry"), outcome("h", [1], subject="geometry")]
    found = scores(outcomes)
    assert {name: (num, rate.mean) for name, (num, rate) in found.subjects.items()} == {
        "algebra": (3, 1.0),
        "geometry": (2, 0.5),
    }
    assert found.metrics["avg@1"].mean == 0.8
    assert found.macro is not None
    assert (found.macro.mean, found.macro.stderr) == (0.75, pytest.approx(0.5 / 2))
    assert scores([outcome("a", [1])]).macro is None
    wrong = scores([outcome(f"{name}{i}", [0], subject=name) for name in "ab" for i in range(2)]).macro
    assert wrong is not None
    assert wrong.interval == pytest.approx((0.0, 0.48989), abs=1e-5)  # Wilson's of 0 in 4 flips
    single = scores([outcome(name, [1], subject=name) for name in "ab"]).macro
    assert single is not None
    assert single.interval == pytest.approx((0.34238, 1.0), abs=1e-5)  # of 2 in 2


def test_k_is_at_most_the_samples() -> None:
    with pytest.raises(InputError, match="k: 3 is not between 1 and the 2 samples"):
        scores([outcome("a", [0, 1])], [3])


def test_a_comparison_is_by_problem_whatever_the_order() -> None:
    first = [outcome("a", [1]), outcome("b", [0])]
    second = [outcome("b", [0, 0]), outcome("a", [0, 1])]
    assert compare(first, second).mean == 0.25
    with pytest.raises(InputError, match=r"different problems \(2 and 1; b is in the first only\)"):
        compare(first, second[1:])


# The command


def test_eval_writes_results_with_every_rate(capsys) -> None:
    summary = gpo(
        capsys, "eval", *SMALL, "--limit", "8", "--num", "4", "--k", "1", "--k", "4", "--output", "a"
    )
    assert list(summary["metrics"]) == ["avg@4", "pass@1", "pass@4", "maj@4"]
    assert summary["metrics"]["avg@4"]["mean"] == summary["metrics"]["pass@1"]["mean"] == summary["accuracy"]
    low, high = summary["interval"]
    assert 0 <= low < summary["accuracy"] < high <= 1
    assert json.loads(Path("a/summary.json").read_text()) == summary
    lines = [json.loads(line) for line in Path("a/problems.jsonl").read_text().splitlines()]
    assert [(len(line["successes"]), line["rollouts"], line["tokens"].keys()) for line in lines] == [
        (4, 4, {"evaluation"})
    ] * 8
    rows = [json.loads(line) for line in Path("a/rollouts.jsonl").read_text().splitlines()]
    assert len(rows) == summary["samples"] == 32
    assert {row["purpose"] for row in rows} == {"evaluation"}
    assert summary["tokens"] == {"evaluation": sum(len(row["action_ids"]) for row in rows)}


def test_eval_that_was_killed_goes_on_to_the_same_results(capsys) -> None:
    args = ["eval", *SMALL, "--limit", "40"]
    whole = gpo(capsys, *args, "--output", "whole")
    part = gpo(capsys, *args, "--budget-tokens", "1000", "--output", "part")
    assert 0 < part["problems"] < part["given"] == 40
    with Path("part/problems.jsonl").open("r+") as file:  # the last problem's line was not written whole
        file.truncate(len(file.read()) - 9)
    resumed = gpo(capsys, "eval", "--resume", "part", "--budget-tokens", "1000000")
    assert figures(resumed) == figures(whole)
    assert read_outcomes(Path("part")) == read_outcomes(Path("whole"))
    part, whole = ([*map(completion, read_records(Path(run, "rollouts.jsonl")))] for run in ("part", "whole"))
    assert set(part) == set(whole)
    assert len(part) == len(whole) == 40


@pytest.mark.parametrize("has_lines", [True, False])
def test_an_evaluation_of_an_earlier_version_is_read_and_not_gone_on_with(capsys, has_lines) -> None:
    args = ["eval", *SMALL, "--limit", "4"]
    now = gpo(capsys, *args, "--temperature", "0", "--output", "now")
    Path("before").mkdir()
    about = json.loads(Path("now/run.json").read_text())
    Path("before/run.json").write_text(json.dumps(about | {"has_rounds": has_lines}))
    found = [
        {key: line[key] for key in ("problem", "subject", "successes", "finished", "answers")}
        for line in read_records(Path("now/problems.jsonl"))
    ]
    one = {"round": 0, "tokens": now["tokens"], "outcomes": found, "timeouts": 0, "unjudged": {}}
    line = json.dumps(one | {"sizes": {"rollouts": 0, "curves": 0}}) + "\n"
    Path("before/rounds.jsonl").write_text(line * has_lines)
    assert "was started by an earlier version" in error_of(capsys, "eval", "--resume", "before")
    if has_lines:
        assert read_outcomes(Path("before")) == read_outcomes(Path("now"))
        watched = gpo(capsys, "watch", "before")
        assert (watched["rounds"], watched["tokens"]) == (0, now["tokens"])
        assert gpo(capsys, "show", "before")["rounds"] == 1
        compared = gpo(capsys, *args, "--temperature", "0", "--against", "before", "--output", "again")
        assert compared["comparison"]["p_value"] == 1.0


def test_eval_on_actors_samples_what_one_process_does(capsys, monkeypatch) -> None:
    class Actors(ForwardingPolicy):
        def __init__(self, make, num, *, slots, num_gpus) -> None:
            super().__init__(make())
            self.num = num

        def close(self) -> None:
            closed.append(self.num)

    closed: list[int] = []
    monkeypatch.setitem(sys.modules, "gpo.policies.ray", SimpleNamespace(RayPolicy=Actors))
    args = ["eval", *SMALL, "--limit", "6", "--num", "2"]
    alone = gpo(capsys, *args, "--output", "alone")
    assert figures(gpo(capsys, *args, "--actors", "3", "--output", "on")) == figures(alone)
    assert closed == [3]
    assert read_outcomes(Path("on")) == read_outcomes(Path("alone"))


def test_two_models_are_compared_on_the_same_problems_in_one_command(capsys) -> None:
    hot = gpo(capsys, "eval", *SMALL, "--limit", "32", "--temperature", "3", "--output", "hot")
    args = ["eval", *SMALL, "--limit", "32", "--temperature", "0"]
    summary = gpo(capsys, *args, "--against", "hot", "--output", "greedy")
    comparison = summary["comparison"]
    assert comparison["mean"] == pytest.approx(summary["accuracy"] - hot["accuracy"])
    assert comparison["num_better"] - comparison["num_worse"] == round(32 * comparison["mean"])
    assert comparison["p_value"] < 0.05
    assert comparison["interval"][0] > 0
    main([*args, "--against", "demo", "--output", "again"])
    out = capsys.readouterr().out.replace(" \n", " ")
    assert "demo (this run) minus demo, on the same 32 problems:" in out
    assert "+0.0 ± 0.0 points" in out
    assert "p = 1 (exact sign-flip test); better on 0, worse on 0" in out
    assert Path("again/against/rollouts.jsonl").read_text() == Path("again/rollouts.jsonl").read_text()
    assert gpo(capsys, "eval", "--resume", "again")["comparison"]["p_value"] == 1.0
    assert "--against hot: covers 32 problems that differ from these 8" in error_of(
        capsys, "eval", *SMALL, "--limit", "8", "--temperature", "0", "--against", "hot", "--output", "b"
    )


def test_a_comparison_says_what_else_than_the_model_differs(capsys) -> None:
    args = ["eval", *SMALL, "--limit", "4"]
    gpo(capsys, *args, "--output", "a")
    main([*args, "--temperature", "0", "--against", "a", "--output", "b"])
    different = "was evaluated with different settings (temperature: 1.0 there, 0.0 here)"
    warning = f"gpo: warning: --against a: {different}"
    assert warning in capsys.readouterr().err


def test_a_rival_that_cannot_be_loaded_is_refused_before_anything_is_sampled(capsys) -> None:
    error = error_of(capsys, "eval", *SMALL, "--against", "no/such/model", "--output", "out")
    assert "'no/such/model' does not exist" in error
    assert not Path("out").exists()


def test_a_run_whose_problems_have_changed_is_not_resumed(capsys, tmp_path) -> None:
    lookalikes.write_all(tmp_path / "data")
    args = ["--task", "math", "--data-dir", "data", "--max-tokens", "4"]
    gpo(capsys, "eval", *args, "--output", "out")
    lookalikes.write_jsonl(tmp_path / "data/math/test.jsonl", lookalikes.math_rows("test")[1:])
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "--resume", "out"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "--resume out: the data has changed: row 1 of the sampled rows" in error


def test_a_training_run_and_its_checkpoints_are_models(capsys) -> None:
    train = [
        "train",
        "--task",
        "chain_sum",
        "--max-tokens",
        "48",
        "--rounds",
        "1",
        "--problems-per-round",
        "2",
    ]
    train += ["--group-size", "2", "--recipe", "base", "--eval-every", "0", "--eval-problems", "2"]
    gpo(capsys, *train, "--learning-rate", "1e-3", "--size", "8", "--output", "run")
    args = ["eval", "--task", "chain_sum", "--max-tokens", "48", "--limit", "4", "--temperature", "0"]
    summary = gpo(capsys, *args, "--model", "run/checkpoints/0001", "--against", "run", "--output", "out")
    assert summary["comparison"]["num_better"] == summary["comparison"]["num_worse"] == 0
    assert Path("out/against/rollouts.jsonl").read_text() == Path("out/rollouts.jsonl").read_text()


def test_a_benchmark_is_evaluated_by_subject_from_a_data_folder(capsys, tmp_path) -> None:
    lookalikes.write_all(tmp_path / "data")
    main(["eval", "--task", "mmlu", "--data-dir", "data", "--max-tokens", "8", "--output", "a", "--json"])
    captured = capsys.readouterr()
    assert "gpo: warning: mmlu test from data: 8 rows where upstream has 14042" in captured.err
    summary = json.loads(captured.out.splitlines()[-1])
    assert {name: one["problems"] for name, one in summary["subjects"].items()} == {"botany": 4, "optics": 4}
    assert summary["macro"]["mean"] == summary["accuracy"] == 0.0
    assert summary["truncated_frac"] + summary["unparsed_frac"] > 0.5
    asked = json.loads(Path("a/rollouts.jsonl").read_text().splitlines()[0])
    assert asked["question"].startswith("Which of these is a tree?")
    main(
        [
            "eval",
            "--task",
            "math",
            "--split",
            "train",
            "--data-dir",
            "data",
            "--max-tokens",
            "8",
            "--output",
            "b",
        ]
    )
    assert "mean of subjects" in capsys.readouterr().out


def test_few_shot_without_a_chat_template_is_asked_as_it_stands(capsys, tmp_path) -> None:
    from transformers import AutoTokenizer

    from gpo import DEMO_MODEL

    lookalikes.write_all(tmp_path / "data")
    gpo(
        capsys, "eval", "--task", "gsm8k", "--data-dir", "data", "--prompt", "few-shot", "--shots", "1",
        "--no-chat", "--max-tokens", "8", "--limit", "1", "--output", "a",
    )  # fmt: skip
    row = json.loads(Path("a/rollouts.jsonl").read_text().splitlines()[0])
    text = AutoTokenizer.from_pretrained(DEMO_MODEL).decode(row["prompt_ids"])
    assert text.startswith("Question: ")
    assert text.endswith("Answer:")


def test_the_harness_gets_bare_answers_and_the_templates_arguments(capsys, tmp_path) -> None:
    lookalikes.write_jsonl(tmp_path / "own.jsonl", [{"prompt": "What?", "answer": "It is so.\n#### 1,234"}])
    given = {"data": "own.jsonl", "verifier": "number", "template_args": {"enable_thinking": False}}
    exported = export(new_settings(EvalSettings, None, given), tmp_path / "run")
    (line,) = (tmp_path / "run/lm-eval/gpo_own_jsonl.jsonl").read_text().splitlines()
    assert json.loads(line)["target"] == "1,234"
    words = shlex.split(exported["command"])
    arguments = json.loads(words[words.index("--model_args") + 1])
    assert arguments["chat_template_args"] == {"enable_thinking": False}
    assert [target("1", "option"), target("(C)", "option"), target("(C)", "bbh")] == ["B", "C", "(C)"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--num", "4", "--k", "5"], "--k 5: is not between 1 and the 4 samples of a problem (--num)"),
        (["--num", "4", "--k", "x"], "--k: must be whole numbers"),
        (["--num", "4", "--temperature", "0"], "--num 4: greedy samples of a problem are all alike"),
        (["--export", "lm-eval"], "lm-eval has no equivalent of the verifier 'exact'"),
        (["--export", "helm"], "--export: must be 'lm-eval'"),
        (["--prompt", "few-shot"], "--prompt few-shot: works for benchmarks only"),
        (["--prompt", "no.jinja"], "--prompt no.jinja: no such file"),
        (["--split", "dev"], "modchain: split is 'dev'; it must be 'train' or 'test'"),
        (["--task", "gsm8", "--data-dir", "."], "no task is called 'gsm8'; did you mean gsm8k"),
        (["--task", "gsm8k", "--data-dir", "."], "--data-dir .: has no file for gsm8k; looked for"),
        (["--task", "gsm8k", "--data-dir", "none"], "--data-dir none: no such folder"),
        (
            ["--no-chat", "--system-prompt", "x"],
            "no chat template is used (chat is off); leave system_prompt",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(capsys, args, message) -> None:
    assert message in error_of(capsys, "eval", *SMALL, "--limit", "2", "--output", "out", *args)
    assert not Path("out").exists()


def test_training_is_for_sets_with_a_train_split_and_evaluates_on_another(capsys, tmp_path) -> None:
    lookalikes.write_all(tmp_path / "data")
    train = ["train", "--data-dir", "data", "--max-tokens", "8", "--rounds", "1", "--problems-per-round", "2"]
    train += ["--group-size", "2", "--recipe", "base", "--eval-every", "0", "--eval-problems", "4"]
    assert "--task mmlu: would train on mmlu, which has no split to train on" in error_of(
        capsys, *train, "--task", "mmlu", "--output", "out"
    )
    main(
        [*train, "--task", "gsm8k", "--eval-task", "mmlu", "--no-decontaminate", "--output", "out", "--json"]
    )
    captured = capsys.readouterr()
    summary = json.loads(captured.out.splitlines()[-1])
    assert summary["tokens"]["evaluation"] > 0
    asked = {json.loads(line)["question"] for line in Path("out/rollouts.jsonl").read_text().splitlines()}
    assert all("melons" in question for question in asked)
