"""What Python users hold: one trajectory located, and runs read as objects and data frames."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from reported import curve, rollout, write_run
from test_house import loaded
from toy import AllRight, TablePolicy

import gpo
from gpo.cli import main
from gpo.objects import frames
from gpo.types import InputError

QUESTION = "State the final answer to the following arithmetic problem: 9 - 8 + 0 - 1 + 5 - 7 ="
TRACE = "9 - 8 = 1\n1 + 0 = 1\n1 - 1 = 1\n1 + 5 = 6\n6 - 7 = -1\nAnswer: -1"
TOY = {"rule": "drop", "min_step_tokens": 1, "search_traces": 40.0}


class Toy(TablePolicy):
    def prompt_ids(self, question: str) -> tuple[int, ...]:
        return (0,)


@pytest.fixture(scope="module")
def demo():
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=96)
    with gpo.verifiers.load("number") as verifier:
        yield policy, verifier


def test_the_step_that_lost_the_answer_is_found_and_printed_as_the_command_does() -> None:
    seen: list[gpo.objects.Progress] = []
    found = gpo.locate(Toy([0.9] * 6), AllRight(), "which?", "r", progress=seen.append, **TOY)
    first = found.steps.index("w\n")
    assert (found.reward, found.critical.index, found.critical_text) == (0.0, first, "w\n")
    assert found.critical.credibility > 0.9
    assert (found.question, found.answer) == ("which?", "r")
    assert found.curve.num_steps == len(found.steps) == len(found.probabilities)
    assert [one.rollouts for one in seen] == list(range(1, len(seen) + 1))
    assert [one.purpose for one in seen[:9]] == ["explore"] * 8 + ["values"]
    assert str(seen[0]) == "1 rollouts, 104 of at most 624 tokens: completions of the question"
    lines = str(found).splitlines()
    assert lines[0] == "which?  (answer: r)"
    assert [line.split()[:2] for line in lines if line.startswith("▶")] == [["▶", str(first)]]
    assert f"critical step {first} by the rule drop" in repr(found)
    assert f"▶ {first}" in found._repr_html_()


def test_equal_seeds_find_equal_curves_and_others_do_not() -> None:
    curves = [gpo.locate(Toy([0.7] * 6), AllRight(), "which?", "r", seed=s, **TOY).curve for s in (1, 1, 2)]
    assert curves[0] == curves[1] != curves[2]


def test_a_trace_is_searched_as_it_stands(demo) -> None:
    asked = {"rule": "drop", "min_step_tokens": 1, "search_traces": 2.0}
    found = gpo.locate(*demo, QUESTION, "-2", TRACE, **asked)
    assert "".join(found.steps) == TRACE
    assert (found.reward, len(found.steps), found.line.policy_version) == (0.0, 6, 0)
    assert gpo.locate(*demo, QUESTION, "-2", TRACE, rule="random", reward=1).reward == 1.0
    message = {"role": "assistant", "content": TRACE}
    assert gpo.locate(*demo, QUESTION, "-2", message, **asked).curve == found.curve
    frame = found.to_frame()
    assert list(frame["text"]) == list(found.steps)
    assert frame.index[frame["is_critical"]].tolist() == [found.critical.index]
    assert list(frame["trials"]) == list(found.curve.trials[:-1])


def test_a_verifier_may_be_named_and_an_answer_a_number(demo) -> None:
    asked = {"rule": "drop", "min_step_tokens": 1, "search_traces": 1.0}
    found = gpo.locate(demo[0], "number", QUESTION, -2, TRACE, **asked)
    assert found.line == gpo.locate(*demo, QUESTION, "-2", TRACE, **asked).line
    for answer, message in (
        (True, "is true; write the text"),
        (None, "give a string or a number"),
        (" ", "is empty"),
    ):
        with pytest.raises(InputError, match=f"gpo.locate: answer 'answer' .*{message}"):
            gpo.locate(demo[0], "number", QUESTION, answer, TRACE)


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        (" ", {}, "trace: it is empty; give what the model wrote"),
        ([10**6], {}, "trace: place 0 is 1000000, and the vocabulary has ids from 0 to "),
        (TRACE * 5, {}, "tokens and max_tokens is 96; raise that"),
        (TRACE, {"reward": 2}, "reward: is 2; give a number from 0 to 1"),
        (None, {"reward": 1}, "reward: is that of a trace; give the trace, or leave it out"),
        (TRACE, {"rule": "base"}, "rule: 'base' looks for no step; give another one, such as drop"),
        (TRACE, {"min_step_token": 1}, "min_step_token: unknown setting; did you mean 'min_step_tokens'?"),
        (TRACE, {"splitter": "lines"}, "splitter: "),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(demo, given, settings, message) -> None:
    with pytest.raises(InputError) as error:
        gpo.locate(*demo, QUESTION, "-2", given, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_question_that_is_always_answered_has_no_failure_to_search() -> None:
    with pytest.raises(InputError, match="'failed' applies to none of the 8 sampled completions"):
        gpo.locate(Toy([1.0] * 3), AllRight(), "which?", "r", min_step_tokens=1)
    found = gpo.locate(Toy([1.0] * 3), AllRight(), "which?", "r", explored="all", min_step_tokens=1)
    assert found.reward == 1.0


# Runs


def counts(run: gpo.objects.Run) -> tuple[int, ...]:
    return tuple(len(list(getattr(run, name))) for name in ("trajectories", "rollouts", "problems", "rounds"))


def test_a_run_is_read_as_objects_and_as_frames(tmp_path) -> None:
    lines = [curve(i, f"q{i}", "3", ["a\n", "b\n", "c"]) for i in range(3)]
    path = write_run(tmp_path / "run", lines, [rollout(lines[0], 1, "x", 1.0)])
    run = gpo.read_run(str(path))
    assert (run.command, run.settings["rule"], run.summary, counts(run)) == (
        "locate",
        "drop",
        None,
        (3, 1, 2, 0),
    )
    one = next(iter(run.trajectories))
    assert (one.question, one.steps, one.critical.index, one.critical_text) == (
        "q0",
        ("a\n", "b\n", "c"),
        1,
        "b\n",
    )
    assert one.curve.trials == (4, 4, 4, 1)
    assert next(iter(run.rollouts)).rollout().completion_ids == (0, 0, 7, 8, 9)
    frame = run.trajectories.to_frame()
    assert frame["advantage"].tolist() == pytest.approx([-0.85] * 3)
    assert frame["value_before"].tolist() == [0.9] * 3
    assert frame["critical_text"].tolist() == ["b\n"] * 3
    assert run.rollouts.to_frame().loc[0, ["reward", "prefix_tokens", "sampled_tokens"]].tolist() == [
        1.0,
        2,
        3,
    ]
    assert run.problems.to_frame()["tokens/values"].tolist() == [12, 8]
    assert "loop over them, or call to_frame()" in repr(run.rollouts)


def test_a_table_reads_the_file_anew_and_stops_at_damage_by_name(tmp_path) -> None:
    path = write_run(tmp_path / "run", [curve(0, "q", "3", ["a", "b"])], [])
    run = gpo.read_run(path)
    assert counts(run)[0] == 1
    with (path / "curves.jsonl").open("a") as file:
        file.write(json.dumps(curve(1, "q", "3", ["a", "b"])) + "\n" + json.dumps({"round": -1}) + "\n{")
    read = iter(run.trajectories)
    assert [next(read).line.problem for _ in range(2)] == ["hostile/0", "hostile/1"]
    with pytest.raises(InputError, match=r"curves\.jsonl: row 3: round: "):
        next(read)


def test_a_run_says_whether_it_works_has_ended_or_was_cut_short(tmp_path) -> None:
    path = write_run(tmp_path / "run", [], [])
    run = gpo.read_run(path)
    assert run.state == "interrupted"
    with FileLock(path / ".lock"):
        assert run.state == "running"
    (path / "summary.json").write_text('{"problems": 2}')
    assert run.state == "finished"
    assert repr(run) == f"<Run '{path}': gpo locate, finished>"
    (path / "summary.json").write_text('{"problems": 1}')  # it went on since, and was cut short
    assert run.state == "interrupted"


def test_runs_of_pairs_hold_their_rows_and_the_located_run(pairs_run) -> None:
    run, located = gpo.read_run(pairs_run), gpo.read_run(pairs_run / "located")
    assert run.state == located.state == "finished"
    assert counts(run) == counts(located)
    assert [one.prompt_ids for one in run.rows("pairs")][:1] == [next(iter(run.rows())).prompt_ids]
    assert len(run.rows("sft").to_frame()) == run.summary["rows"]["sft"]
    with pytest.raises(
        InputError, match="without rows 'chosen'; a run of `gpo pairs` has pairs, unpaired, steps"
    ):
        run.rows("chosen")
    with pytest.raises(InputError, match="is a run of `gpo locate`, not of `gpo eval`"):
        _ = located.evaluation


def test_evaluations_are_subtracted_in_pairs(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, more in (("a", ()), ("b", ("--temperature", "0.3"))):
        main(["eval", "--task", "chain_sum", "--max-tokens", "96", "--limit", "12", "--output", name, *more])
    capsys.readouterr()
    runs = [gpo.read_run(name) for name in ("a", "b")]
    first, second = (run.evaluation for run in runs)
    assert (first.accuracy, first.tokens) == (
        runs[0].summary["accuracy"],
        runs[0].summary["tokens"]["evaluation"],
    )
    difference = first - second
    assert difference.mean == pytest.approx(first.accuracy - second.accuracy)
    low, high = difference.interval
    assert low < difference.mean < high
    assert str(difference).startswith(f"{100 * difference.mean:+.1f} ± ")
    assert str(first).startswith(f"12 problems, success rate {100 * first.accuracy:.1f} ± ")
    assert next(iter(runs[0].problems)).successes in ((0,), (1,))
    # Trained runs have rounds instead of problems; what was evaluated there stands in them.
    main(["train", "--task", "chain_sum", "--max-tokens", "96", "--rounds", "1", "--limit", "8",
          "--problems-per-round", "2", "--eval-problems", "4", "--output", "c"])  # fmt: skip
    trained = gpo.read_run("c")
    assert (trained.state, trained.summary["rounds"], counts(trained)[3]) == ("finished", 1, 2)
    assert trained.rounds.to_frame()["accuracy"].tolist()[0] == trained.summary["accuracy_before"]
    Path("c/summary.json").unlink()  # as older versions left it
    assert (trained.state, trained.summary) == ("finished", None)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path: is empty; name a file or folder"),
        ("nothing", "nothing: holds no run.json, so it is not a run"),
    ],
)
def test_a_folder_without_a_run_is_refused(path, message) -> None:
    with pytest.raises(InputError, match=message):
        gpo.read_run(path)


def test_a_frame_is_of_the_library_that_is_there(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match="to_frame: needs pandas or polars; pip install pandas"):
        frames.frame([])
    made = SimpleNamespace(DataFrame=lambda rows, **more: (rows, more))
    monkeypatch.setitem(sys.modules, "polars", made)
    assert frames.frame([{"a": 1}]) == ([{"a": 1}], {"infer_schema_length": None})


def test_vllm_is_named_when_it_is_missing_and_reading_runs_loads_no_torch() -> None:
    with pytest.raises(ImportError, match=r"gpo\.VllmPolicy needs vLLM: pip install 'gpo\[vllm\]'"):
        _ = gpo.VllmPolicy
    assert "VllmPolicy" in dir(gpo)
    assert not {"torch", "pandas"} & loaded("import gpo; gpo.read_run; gpo.locate")
