"""The user's own reward functions: how they are named, what they get, what is said of their faults."""

import functools
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpo.cli import main
from gpo.types import InputError, Problem
from gpo.verifiers import function, judges, load

MESSAGES = [{"role": "user", "content": "1 + 1?"}]


def item(text: str = "a", **columns: Any) -> dict[str, Any]:
    return {"question": "q?", "text": text, "answer": "18", "columns": columns}


# --- Several functions as one ---


def test_several_functions_are_one_whose_reward_is_their_mean() -> None:
    def short(completions: list[str]) -> list[float]:
        return [float(len(one) < 3) for one in completions]

    def known(completions: list[str], solution: list[int | None]) -> list[float | None]:
        return [None if one is None else 1.0 for one in solution]

    def silent(completions: list[str], **_: Any) -> list[float | None]:
        return [None] * len(completions)

    items = [item("a", solution=1), item("long", solution=1), item("long", solution=None)]
    assert function.rewards(function.combined([short, known]), items) == [1.0, 0.5, 0.0]
    assert function.rewards(function.combined([short, known], [3, 1]), items) == [1.0, 0.25, 0.0]
    assert function.rewards(function.combined([silent, silent]), items) == [None, None, None]
    assert function.combined([short, known]).__name__ == "short+known"


def test_which_of_several_functions_is_at_fault_is_said() -> None:
    def fine(completions: list[str]) -> list[float]:
        return [1.0] * len(completions)

    def large(completions: list[str]) -> list[float]:
        return [2.0] * len(completions)

    with pytest.raises(ValueError, match=r"\(large\) returned a reward of 2.0, which is not in \[0, 1\]"):
        function.rewards(function.combined([fine, large]), [item()])


# --- What a function is given ---


def test_a_column_comes_under_its_own_name_as_it_is_and_the_answer_as_text() -> None:
    seen = {}

    def reward(completions: list[str], solution: list[int], answer: list[str], **more: Any) -> list[float]:
        seen.update(more, completions=completions, solution=solution, answer=answer)
        return [1.0] * len(completions)

    function.rewards(reward, [item("a", solution=18, prompt="q?"), item("b", solution=None)])
    assert seen.pop("log_extra")("name", [1]) is seen.pop("log_metric")("name", 1.0) is None
    assert seen == {
        "completions": ["a", "b"],
        "solution": [18, None],
        "answer": ["18", "18"],
        "prompts": ["q?", "q?"],
        "trainer_state": None,
    }


def test_a_column_called_answer_is_the_files_own() -> None:
    def reward(answer: list[int]) -> list[bool]:
        return [one == 18 for one in answer]

    assert function.rewards(reward, [item(answer=18)]) == [1.0]


def test_messages_in_the_prompt_make_messages_of_the_completions() -> None:
    def reward(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        assert prompts == [MESSAGES]
        return [float(one[0]["content"] == "2" and one[0]["role"] == "assistant") for one in completions]

    assert function.rewards(reward, [item("2", prompt=MESSAGES)]) == [1.0]


class Judge:
    def __init__(self, right: str = "a") -> None:
        self.right = right

    def __call__(self, completions: list[str], **_: Any) -> list[float]:
        return [float(one == self.right) for one in completions]

    def judged(self, completions: list[str]) -> list[float]:
        return self(completions)

    async def awaited(self, completions: list[str], **_: Any) -> list[float]:
        return self(completions)

    @classmethod
    def of_class(cls, completions: list[str], **_: Any) -> list[float]:
        return cls()(completions)


def decorated(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return wrapper


@decorated
def plain(completions: list[str], level: list[int] | None = None) -> list[float]:
    return [float(one == "a" and level == [3]) for one in completions]


def positional(prompts: list[str], completions: list[str], /, level: list[int], **more: Any) -> list[float]:
    is_so = prompts == ["q?"] and level == [3] and "completions" not in more
    return [float(one == "a" and is_so) for one in completions]


def keywords(*, completions: list[str], level: list[int]) -> list[float]:
    return [float(one == "a" and level == [3]) for one in completions]


def everything(*args: Any, **kwargs: Any) -> list[float]:
    return [float(not args and kwargs["completions"] == ["a"])]


@pytest.mark.parametrize(
    "reward",
    [
        Judge(),
        Judge().judged,
        Judge().awaited,
        Judge.of_class,
        plain,
        positional,
        keywords,
        everything,
        functools.partial(keywords, level=[3]),
        lambda completions: [one == "a" for one in completions],
        lambda completions, **_: np.array([one == "a" for one in completions]),
        lambda completions, **_: torch.tensor([float(one == "a") for one in completions]),
        lambda completions, **_: [torch.tensor(1.0) for _ in completions],
        lambda completions, **_: [np.float16(1) for _ in completions],
        lambda completions, **_: (one == "a" for one in completions),
        lambda **_: {"a": 1.0}.values(),
    ],
)
def test_any_kind_of_callable_will_do(reward: Callable[..., Any]) -> None:
    assert function.rewards(reward, [item("a", level=3)]) == [1.0]


def test_no_opinion_is_kept_apart_from_zero() -> None:
    assert function.rewards(lambda completions: [None, 0], [item(), item()]) == [None, 0.0]


# --- What is said of its faults ---


def misspelt(completions: list[str], soluton: list[str]) -> list[float]:
    return [0.0]


def wants_ids(completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [0.0]


def looks_at_the_trainer(trainer_state: Any, **_: Any) -> list[float]:
    return [trainer_state.global_step / 10]


def breaks_in_a_library(completions: list[str], **_: Any) -> list[float]:
    return json.loads(completions[0])


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (
            misspelt,
            r"^needs 'soluton', and there are only answer, solution, prompts, .*; did you mean 'solution'\?",
        ),
        (
            wants_ids,
            "^needs 'completion_ids', which are not passed: a verifier sees text; take `completions`$",
        ),
        (
            looks_at_the_trainer,
            r"^raised AttributeError: 'NoneType' .*global_step.*test_reward_functions\.py, line",
        ),
        (breaks_in_a_library, r"^raised JSONDecodeError: .*"),
        (
            lambda completions: [[1.0, 2.0]],
            r"^returned \[1.0, 2.0\] \(a list\) as a reward instead of a number",
        ),
        (
            lambda completions: np.zeros((1, 2)),
            r"^returned array.* \(a ndarray\) as a reward instead of a number",
        ),
        (lambda completions: [math.nan], "^returned a reward of nan, which is not in"),
        (lambda completions: [math.inf], "^returned a reward of inf, which is not in"),
        (lambda completions: ["1.0"], r"^returned '1.0' \(a str\) as a reward"),
        (lambda completions: [1j], r"^returned 1j \(a complex\) as a reward"),
        (lambda completions: [], "^returned 0 rewards for 1 completions"),
        (lambda completions: None, "^returned None"),
        (lambda completions: {"reward": 1.0}, "^returned {'reward': 1.0}"),
        (lambda completions: completions[7], r"^raised IndexError: list index out of range"),
        (lambda completions: int("x" * 5000), "^raised ValueError: "),
    ],
)
def test_a_fault_is_told_in_words(reward: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function.rewards(reward, [item("a", solution="18")])


# --- How it is named ---


@pytest.fixture
def rewards_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my rewards"
    folder.mkdir()
    (folder / "neighbour.py").write_text("VALUE = 0.25\n")
    (folder / "json.py").write_text("def reward(completions, **_): return [0.75] * len(completions)\n")
    (folder / "mine.py").write_text(
        "from dataclasses import dataclass\nimport neighbour\n"
        "@dataclass\nclass Judge:\n    value: float = 0.5\n"
        "    def __call__(self, completions, **_): return [self.value] * len(completions)\n"
        "    def quarter(self, completions): return [neighbour.VALUE] * len(completions)\n"
        "judge = Judge()\n"
        "number = 3\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "reward"),
    [
        ("my rewards/mine.py:judge", 0.5),
        ("./my rewards/mine.py:judge.quarter", 0.25),
        ("my rewards/json.py:reward", 0.75),
    ],
)
def test_a_function_of_a_file_is_named_by_its_path(rewards_folder: Path, spec: str, reward: float) -> None:
    for one in (spec, str(rewards_folder / spec)):
        with load(one) as verifier:
            assert verifier.score([Problem("q", (1,), "x")], [""]) == [reward]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my rewards/mine.py:jugde", "has no attribute 'jugde'; did you mean 'judge'?"),
        ("my rewards/mine.py:number", "TypeError: 'number' is a int, not a function"),
        ("my rewards/yours.py:reward", "FileNotFoundError: there is no file "),
        ("./my rewards/mine:judge", "is a path; name the file, as in ./my rewards/mine.py:function"),
        ("no_such:reward", "No module named 'no_such'; it is looked for in the folder you start in"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_what_would(
    rewards_folder: Path, spec: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(spec)


def test_what_a_module_lacks_is_not_taken_for_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacks.py").write_text("import not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'not_there'$"):
        judges.resolve("lacks:reward")


# --- It is tried before the model is loaded ---


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return [float(c == s) for c, s in zip(completions, solutoin)]",
            "raised NameError: name 'solutoin'",
        ),
        ("return [1.0, 1.0, 1.0]", "returned 3 rewards for 1 completions"),
        ("import os; os._exit(3)", "failed: its process died"),
        ("raise SystemExit", "failed: its process died"),
    ],
)
def test_a_function_is_tried_on_a_row_before_the_model_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tried.py").write_text(f"def reward(completions, solution, **columns):\n    {body}\n")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "1 + 1?", "solution": 2, "level": 3}\n' * 3)
    command = ["sample", "--data", "rows.jsonl", "--answer-column", "solution", "--model", "no/such-model"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--verifier", "tried.py:reward", "--output", "x"])
    assert ended.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"gpo: error: rows.jsonl line 1: verifier 'tried.py:reward' {message}")
    assert line.endswith("it was tried on this row, which has the columns prompt, solution, level")
    assert not os.path.exists("x")


def test_a_function_with_the_answers_own_name_works_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "def reward(completions, solution, **kw):\n"
        "    assert all(type(one) is int for one in solution)\n"
        "    return [0.5 for _ in completions]\n"
    )
    rows = [{"prompt": f"{i} + 1?", "solution": i + 1} for i in range(2)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["sample", "--data", "rows.jsonl", "--answer-column", "solution", "--max-tokens", "8"]
    main([*command, "--verifier", "own:reward", "--num", "2", "--output", "x"])
    rewards = [
        json.loads(line)["reward"] for line in (tmp_path / "x/rollouts.jsonl").read_text().splitlines()
    ]
    assert len(rewards) == 4
    assert set(rewards) <= {0.0, 0.5}
