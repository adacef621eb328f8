"""Verifiers in their processes: limits, crashes, the user's own functions, and nothing left behind."""

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpo.types import DataWarning, InputError, Problem
from gpo.verifiers import IsolatedVerifier, judges, load
from gpo.verifiers.process import start_callable


def problem(answer: str, name: str = "q1", **columns: object) -> Problem:
    return Problem(name, (1,), answer, question=f"{name}?", columns=columns)


def problems(num: int) -> list[Problem]:
    return [problem("x", f"q{index}") for index in range(num)]


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return state.strip()[:1] not in ("", "Z")  # ps adds letters: a niced zombie is "ZN"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen within 60 s"
        time.sleep(0.02)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module on the path and returns 'name:reward'."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        (tmp_path / "my_rewards.py").write_text(source)
        return "my_rewards:reward"

    return write


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Callable[..., set[int]]]:
    """A function that notes the pids it is given, in whatever process, and returns all so far."""
    folder = tmp_path / "pids"
    folder.mkdir()

    def note(*numbers: int) -> set[int]:
        for number in numbers:
            (folder / str(number)).touch()
        return {int(path.name) for path in folder.iterdir()}

    return note


# --- The user's own function ---


def test_a_named_function_is_called_as_trl_calls_it(module: Callable[[str], str]) -> None:
    spec = module(
        "def reward(prompts, completions, answer, level, **columns):\n"
        "    assert prompts == ['q1?', 'q2?'] and completions == ['one', 'two'], (prompts, completions)\n"
        "    assert level == [3, None], level\n"
        "    assert columns.keys() == {'trainer_state', 'log_extra', 'log_metric'}, columns\n"
        "    return [float(c == a) for c, a in zip(completions, answer)]\n"
    )
    rows = [problem("one", level=3, completion="TRL keeps this one back"), problem("one", "q2")]
    with load(spec, num_workers=1) as verifier:
        assert verifier.score(rows, ["one", "two"]) == [1.0, 0.0]


def test_a_function_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_me.py").write_text("class Judge:\n    reward = staticmethod(lambda **_: [0.5])\n")
    monkeypatch.chdir(tmp_path)
    with load("beside_me:Judge.reward") as verifier:
        assert verifier.score(problems(1), [""]) == [0.5]


def test_lambdas_closures_and_async_functions_work() -> None:
    magic = "sesame"

    def closure(completions: list[str], **_: object) -> list[bool]:
        return [text == magic for text in completions]

    async def awaited(completions: list[str], **_: object) -> tuple[float, ...]:
        await asyncio.sleep(0)
        return tuple(len(text) / 8 for text in completions)

    def rewards(function: Callable[..., Any]) -> list[float]:
        with load(function) as verifier:
            return verifier.score(problems(2), ["sesame", "open"])

    assert rewards(lambda completions, **_: np.full(len(completions), 0.25)) == [0.25, 0.25]
    assert rewards(closure) == [1.0, 0.0]
    assert rewards(awaited) == [0.75, 0.5]


def test_none_is_no_reward_and_is_counted() -> None:
    with load(lambda completions, **_: [None if text == "?" else 1 for text in completions]) as verifier:
        assert verifier.score(problems(3), ["?", "yes", "?"]) == [0.0, 1.0, 0.0]
        assert dict(+verifier.unjudged) == {"unscored": 2}


def raising(**_: object) -> list[float]:
    return [1 / 0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda **_: [0.5], "'<lambda>' returned 1 rewards for 3 completions (problem q0 to q2)"),
        (lambda **_: 0.5, "returned 0.5 (a float) instead of a list of 3 rewards"),
        (lambda **_: None, "returned None (a NoneType) instead of a list of 3 rewards"),
        (lambda **_: "yes", "returned 'yes' (a str) instead of a list of 3 rewards"),
        (lambda **_: [0.5, "1", 0.5], "returned '1' (a str) as a reward instead of a number"),
        (lambda **_: [0.5, 1.5, 0.5], "returned a reward of 1.5, which is not in [0, 1]; scale it"),
        (lambda **_: [-1, 0, 0], "returned a reward of -1.0"),
        (lambda **_: [float("nan"), 0, 0], "returned a reward of nan"),
        (raising, "'raising' raised ZeroDivisionError: division by zero (" + __file__ + ", line "),
        (lambda promts: [0, 0, 0], "needs 'promts', and there are only answer, prompts, completions, "),
    ],
)
def test_a_broken_function_is_named_with_what_it_did(function: Callable[..., Any], message: str) -> None:
    with load(function, num_workers=1) as verifier, pytest.raises(InputError, match=re.escape(message)):
        verifier.score(problems(3), ["a", "b", "c"])


def test_a_verifier_goes_on_after_a_broken_batch() -> None:
    with load(lambda completions, **_: [float(text) for text in completions]) as verifier:
        with pytest.raises(InputError, match="could not convert string to float: 'one'"):
            verifier.score(problems(4), ["1", "1", "one", "1"])
        assert verifier.score(problems(4), ["1", "0", "0", "1"]) == [1.0, 0.0, 0.0, 1.0]


def test_any_text_and_any_plain_column_arrive_unharmed() -> None:
    text = "\x00\ud800\udfff\U0001f600\r\n" + "{" * 3_000_000
    columns = {"nested": {"a": [1, None, 2.5]}, "vector": np.arange(3), "number": np.float64(0.5)}
    received = {"nested": {"a": [1, None, 2.5]}, "vector": [0, 1, 2], "number": 0.5}

    def same(completions: list[str], answer: list[str], prompts: list[str], **rest: list[Any]) -> list[bool]:
        found = {name: rest[name][0] for name in received}
        return [completions == answer == [text] and found == received]

    with load(same) as verifier:
        assert verifier.score([problem(text, **columns)], [text]) == [1.0]


def test_a_column_that_cannot_travel_is_named_unless_nobody_needs_it() -> None:
    row = problem("18", "row 7", good=1, bad={1, 2})
    message = "problem row 7, column 'bad': a set cannot be written as JSON"
    with load(lambda **_: [1.0]) as verifier, pytest.raises(InputError, match=message):
        verifier.score([row], [""])
    with load("number") as verifier:
        assert verifier.score([row], ["18"]) == [1.0]


# --- Loading ---


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "maths",
            "unknown verifier 'maths': did you mean 'math'? There are algebra, bbh, exact, gym,",
        ),
        ("", "unknown verifier ''"),
        ("mine:", "unknown verifier 'mine:'"),
        (3, "a verifier is a name or a function, not 3"),
        ("no_such_module:reward", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("math:reward", "'math:reward' cannot be loaded: AttributeError: module 'math' has no attribute"),
        ("math:pi", "cannot be loaded: TypeError: 'pi' is a float, not a function"),
    ],
)
def test_what_cannot_be_a_verifier_is_refused_on_loading(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(spec)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise KeyError('broken')", "cannot be loaded: KeyError: 'broken'"),
        ("import sys; sys.exit(3)", "cannot be loaded: SystemExit: 3"),
        ("import os; os._exit(3)", "cannot be loaded: its process ended while importing it"),
    ],
)
def test_a_module_that_fails_on_import_is_refused_on_loading(
    module: Callable[[str], str], source: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(module(source))


@pytest.mark.parametrize(
    "settings", [{"limit_s": 0}, {"limit_s": float("nan")}, {"memory_gib": -1}, {"num_workers": 0}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        load("number", **settings)


def test_slow_imports_do_not_count_against_the_limit(module: Callable[[str], str]) -> None:
    spec = module("import time\ntime.sleep(0.7)\ndef reward(**_): return [1.0]\n")
    with load(spec, limit_s=0.3) as verifier:
        assert verifier.score(problems(1), [""]) == [1.0]
        assert verifier.num_timeouts == 0


# --- Limits ---


class Hanging:
    """As a built-in verifier that some texts and gold answers hang."""

    def check(self, answer: str, columns: object) -> None:
        while answer == "hang":
            pass

    def score(self, text: str, answer: str, columns: object) -> float:
        while text == "hang":
            pass
        return float(text == answer)

    def read(self, text: str, columns: object) -> str | None:
        self.check(text, columns)
        return text


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedVerifier]:
    monkeypatch.setattr(judges, "of_function", judges.of_built_in)
    zygote = start_callable(Hanging(), "hanging", None)  # type: ignore[arg-type]
    with IsolatedVerifier("hanging", zygote, columns=(), max_batch=1, num_workers=2, limit_s=0.5) as verifier:
        yield verifier


def test_a_hanging_answer_scores_zero_and_the_others_keep_their_score(hanging: IsolatedVerifier) -> None:
    texts = ["5", "hang", "5", "hang", "6", "5"]
    assert hanging.score([problem("5")] * 6, texts) == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    assert (hanging.num_timeouts, hanging.unjudged["crashes"]) == (2, 0)
    assert hanging.read([problem("5")] * 3, ["a", "hang", "b"]) == ["a", None, "b"]
    assert hanging.score([problem("5")], ["5"]) == [1.0]


def test_only_the_offenders_of_a_batch_lose() -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        for text in completions:
            while text == "loop":
                pass
            if text == "regex":  # holds the interpreter's lock for ages
                re.match("(a+)+$", "a" * 60 + "b")
        return [1.0 for _ in completions]

    with load(reward, limit_s=0.7, num_workers=2) as verifier:
        texts = ["a", "loop", "b", "c", "d", "regex", "e", "f"]
        assert verifier.score(problems(8), texts) == [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
        assert (verifier.num_timeouts, verifier.unjudged["crashes"]) == (2, 0)


def test_a_dying_worker_costs_its_own_answer() -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        for text in completions:
            if text == "exit":
                os._exit(0)
            if text == "quit":
                raise SystemExit
            if text == "kill":  # as the kernel does when memory runs out
                os.kill(os.getpid(), signal.SIGKILL)
            if text == "eat":
                bytearray(2**30)
        return [1.0 for _ in completions]

    with load(reward, memory_gib=0.5) as verifier:
        texts = ["exit", "a", "quit", "b", "kill", "c", "eat", "d"]
        with pytest.warns(DataWarning, match="without a verdict"):
            rewards = verifier.score(problems(8), texts)
        assert rewards == [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
        assert verifier.unjudged == {"timeouts": 0, "crashes": 3, "memory": 1, "unscored": 0}


def test_memory_is_not_limited_if_so_asked() -> None:
    ours = resource.getrlimit(resource.RLIMIT_AS)

    def is_ours(**_: object) -> list[bool]:
        return [resource.getrlimit(resource.RLIMIT_AS) == ours]

    for memory_gib, reward in ((None, 1.0), (1.0, 0.0)):
        with load(is_ours, memory_gib=memory_gib) as verifier:
            assert verifier.score(problems(1), [""]) == [reward]


def test_an_idle_worker_that_was_killed_is_replaced_unnoticed(pids: Callable[..., set[int]]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        pids(os.getpid())
        return [1.0 for _ in completions]

    with load(reward, num_workers=1) as verifier:
        verifier.score(problems(1), [""])
        (first,) = pids()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not is_running(first))
        assert verifier.score(problems(1), [""]) == [1.0]
        assert verifier.unjudged["crashes"] == 0
        assert len(pids()) == 2


def test_answers_are_spread_over_the_workers(pids: Callable[..., set[int]]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        pids(os.getpid())
        return [1.0 for _ in completions]

    with load(reward, num_workers=3) as verifier:
        assert verifier.score(problems(7), [""] * 7) == [1.0] * 7
    assert len(pids()) == 3


def test_two_threads_may_score_at_once() -> None:
    with load("number") as verifier:
        results: dict[int, list[float]] = {}

        def score(number: int) -> None:
            results[number] = verifier.score([problem(str(number))] * 50, ["1", "2"] * 25)

        threads = [threading.Thread(target=score, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {1: [1.0, 0.0] * 25, 2: [0.0, 1.0] * 25}


# --- Gold answers ---


def test_check_says_why_a_gold_answer_is_of_no_use() -> None:
    with load("number") as verifier:
        verifier.check(problem("#### 1,234"))
        with pytest.raises(ValueError, match="no number: 'many'"):
            verifier.check(problem("many"))
        message = r"'number' cannot use the gold answer: no number: 'many' \(problem q1\)"
        with pytest.raises(InputError, match=message):
            verifier.score([problem("many")], ["18"])


def test_an_echo_of_the_question_answers_nothing() -> None:
    asked = Problem("q", (1,), "12", question="A cart holds 3 crates. How many melons are 12?")
    with load("number") as verifier:
        texts = [asked.question, f"{asked.question}\nThere are 11.", f"{asked.question}\n12"]
        assert verifier.score([asked] * 3, texts) == [0.0, 0.0, 1.0]
        assert verifier.read([asked] * 2, texts[:2]) == [None, "11"]


def test_check_of_a_hostile_gold_answer_ends_at_the_limit(hanging: IsolatedVerifier) -> None:
    with pytest.raises(ValueError, match=r"within 0\.5 s"):
        hanging.check(problem("hang"))


def test_a_function_of_the_user_may_use_any_gold_answer() -> None:
    with load(lambda **_: [1.0]) as verifier:
        verifier.check(problem(""))


def test_gym_gets_the_columns_it_needs() -> None:
    entry = {"question": "5 + 7 = ?", "answer": "12", "metadata": {}}
    with load("gym") as verifier:
        row = problem("12", gym="chain_sum", entry=entry, other=object())
        verifier.check(row)
        assert verifier.score([row, row], ["Answer: 12", "it may be 12"]) == [1.0, 0.0]


# --- Nothing left behind ---


def test_no_process_is_left_after_close(pids: Callable[..., set[int]]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        pids(os.getpid(), os.getppid())
        return [1.0 for _ in completions]

    verifier = load(reward, num_workers=2)
    verifier.score(problems(4), [""] * 4)
    assert len(pids()) == 3
    assert all(is_running(pid) for pid in pids())
    verifier.close()
    assert not any(is_running(pid) for pid in pids())
    verifier.close()
    with pytest.raises(RuntimeError, match="was closed"):
        verifier.score(problems(1), [""])


def test_a_forgotten_verifier_closes_itself(pids: Callable[..., set[int]]) -> None:
    def use(verifier: IsolatedVerifier) -> None:
        verifier.score(problems(1), [""])

    use(load(lambda **_: [float(bool(pids(os.getpid(), os.getppid())))]))
    assert len(pids()) == 2
    assert not any(is_running(pid) for pid in pids())


def test_what_a_hanging_function_has_started_is_killed_with_it(pids: Callable[..., set[int]]) -> None:
    def reward(**_: object) -> list[float]:
        pids(subprocess.Popen(["sleep", "60"]).pid)
        time.sleep(60)
        return [1.0]

    with load(reward, limit_s=0.3) as verifier:
        assert verifier.score(problems(1), [""]) == [0.0]
        (sleeper,) = pids()
        wait_until(lambda: not is_running(sleeper))


SCRIPT = """
import os, re, sys
print("main runs")
from gpo.types import Problem
from gpo.verifiers import load

def reward(completions, **_):
    print("the function prints")
    if completions[0] == "hang":
        open(sys.argv[1], "w").write(f"{os.getpid()} {os.getppid()}")
        re.match("(a+)+$", "a" * 60 + "b")
    return [1.0]

verifier = load(reward, limit_s=60)
print("scored", verifier.score([Problem("q", (1,), "a")], [sys.argv[2]]))
print("heavy", sorted({"torch", "sympy", "reasoning_gym", "numpy"} & set(sys.modules)))
"""


def script(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = [sys.executable, str(path), str(tmp_path / "pids.txt"), text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_function_of_main_works_prints_to_stderr_and_main_runs_once(tmp_path: Path) -> None:
    with script(tmp_path, "fine") as process:
        out, err = process.communicate(timeout=30)
    assert out == "main runs\nscored [1.0]\nheavy []\n"
    assert err == "the function prints\n"
    assert process.returncode == 0


def test_hanging_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with script(tmp_path, "hang") as process:
        noted = tmp_path / "pids.txt"
        wait_until(lambda: noted.exists() and len(noted.read_text().split()) == 2)
        workers = [int(pid) for pid in noted.read_text().split()]
        assert all(is_running(pid) for pid in workers)
        process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in workers))


def test_nothing_of_a_named_function_reaches_stdout(
    module: Callable[[str], str], capfd: pytest.CaptureFixture[str]
) -> None:
    spec = module(
        "import os, subprocess\nprint('on import')\n"
        "def reward(**_):\n"
        "    print('on call'); os.write(1, b'by number'); subprocess.run(['echo', 'by echo'])\n"
        "    return [1.0]\n"
    )
    with load(spec) as verifier:
        verifier.score(problems(1), [""])
    out, err = capfd.readouterr()
    assert out == ""
    assert all(text in err for text in ("on import", "on call", "by number", "by echo"))


def test_no_answers_are_no_rewards() -> None:
    with load("number") as verifier:
        assert verifier.score([], []) == []
        with pytest.raises(ValueError, match="shorter"):
            verifier.score(problems(2), ["one text"])
