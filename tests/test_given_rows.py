"""Files of traces: dotted columns, rows that share a question, and what is refused before weights load."""

import json
from pathlib import Path

import pytest

from gpo.command_settings import LocateSettings, SampleSettings
from gpo.commands import locate, quiet, sample
from gpo.console import Ui
from gpo.setup import engine as engines
from gpo.tasks.columns import without
from gpo.types import InputError

LOCATE = {"verifier": "number", "max_tokens": 96, "min_step_tokens": 1, "group_size": 2, "search_traces": 1}


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(settings: object) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(engines, "load_engine", load)


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_dotted_names_reach_the_completion_the_reward_and_the_prompt(tmp_path):
    rows = [
        {"messages": turns("1 + 1 =", "1 + 1 = 2\n2"), "gold": {"value": "2"}, "judged": [{"score": 1.0}]},
        {"messages": turns("1 + 1 =", "1 + 1 = 3\n3"), "gold": {"value": "2"}, "judged": [{"score": 0.25}]},
    ]
    quiet()
    settings = LocateSettings(
        data=write(tmp_path / "own.jsonl", *rows),
        prompt_column="messages.0.content",
        answer_column="gold.value",
        completion_column="messages.1",
        reward_column="judged.0.score",
        output=str(tmp_path / "out"),
        **LOCATE,
    )
    locate.run(settings, Ui(as_json=True))
    curves = [json.loads(line) for line in (tmp_path / "out/curves.jsonl").read_text().splitlines()]
    assert [curve["reward"] for curve in curves] == [1.0, 0.25]
    assert [curve["question"] for curve in curves] == ["1 + 1 ="] * 2
    assert len({curve["place"] for curve in curves}) == 1  # they share what is sampled of the question


ROWS = [
    ({}, {"completion_column": "a.b"}, "line 2: has no column 'a.b', only prompt, answer, a, r"),
    ({"a": {"c": "2"}}, {"completion_column": "a.b"}, "did you mean --completion-column a.c?"),
    ({"a": None}, {"completion_column": "a"}, "line 2: column 'a' is None: "),
    ({"a": ""}, {"completion_column": "a"}, "line 2: column 'a' is '': it is empty"),
    ({"a": "1 " * 300}, {"completion_column": "a"}, "max_tokens is 96; raise that"),
    ({"a": [1, 10**9]}, {"completion_column": "a"}, "place 1 is 1000000000"),
    ({"r": "1"}, {"reward_column": "r"}, "line 2: column 'r' is '1': give a number from 0 to 1"),
    ({"r": 1.5}, {"reward_column": "r"}, "line 2: column 'r' is 1.5: give a number from 0 to 1"),
    ({"r": float("nan")}, {"reward_column": "r"}, "line 2: column 'r' is nan: give a number"),
    ({"r": None}, {"reward_column": "r"}, "line 2: column 'r' is None: give a number from 0 to 1"),
    ({"r": {"x": [1]}}, {"reward_column": "r.x"}, "line 2: column 'r.x' is [1]: give a number"),
    ({"r": {"x": [1]}}, {"reward_column": "r.x.1"}, "line 2: has no column 'r.x.1'"),
    ({"prompt": "1 + " * 9000}, {}, "line 2: the prompt has"),
]


@pytest.mark.parametrize(("second", "settings", "message"), ROWS)
def test_a_row_that_cannot_be_searched_is_named_before_the_weights_are_loaded(
    tmp_path, monkeypatch, second, settings, message
):
    no_weights(monkeypatch)
    good = {"prompt": "1 + 1 =", "answer": "2", "a": "2", "r": 1}
    if settings.get("completion_column") == "a.b":
        good["a"] = {"b": "2"}
    if "." in settings.get("reward_column", ""):
        good["r"] = {"x": 1} if settings["reward_column"] == "r.x" else {"x": [0, 1]}
    data = write(tmp_path / "own.jsonl", good, {**good, "a": "2", **second})
    given = {"completion_column": "a", **settings}
    with pytest.raises(InputError) as told:
        locate.run(
            LocateSettings(data=data, output=str(tmp_path / "out"), **given, **LOCATE), Ui(as_json=True)
        )
    assert message in str(told.value)
    assert "line 2" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_row_that_no_context_holds_is_named_before_the_weights_are_loaded(tmp_path, monkeypatch):
    no_weights(monkeypatch)
    data = write(tmp_path / "own.jsonl", {"prompt": "1 + " * 9000, "answer": "2"})
    settings = SampleSettings(data=data, verifier="number", max_tokens=96, output=str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"own.jsonl line 1: the prompt has \d+ tokens"):
        sample.run(settings, Ui(as_json=True))


WITHOUT = [
    ({"a": 1, "b": 2}, "a", {"b": 2}),
    ({"a": {"b": 1, "c": 2}}, "a.b", {"a": {"c": 2}}),
    ({"a.b": 1, "a": {"b": 1}}, "a.b", {"a": {"b": 1}}),
    ({"a": [1, 2, 3]}, "a.1", {"a": [1, 3]}),
    ({"a": [{"x": 1, "y": 2}]}, "a.0.x", {"a": [{"y": 2}]}),
    ({"a": 1}, "a.b", {"a": 1}),
    ({"a": 1}, "z.b", {"a": 1}),
    ({"a": [1]}, "a.7", {"a": [1]}),
]


@pytest.mark.parametrize(("record", "column", "rest"), WITHOUT)
def test_what_a_dotted_name_reaches_is_left_out_and_nothing_else(record, column, rest):
    assert without(record, column) == rest
