"""What befalls verifier processes from outside: kills, pauses, a busy machine, a machine in want."""

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpo.protocols import unjudged
from gpo.types import DataWarning, EngineError, InputError, Problem
from gpo.verifiers import IsolatedVerifier, load, pool, process, wire, zygote
from gpo.verifiers.pool import Awake, cpu_seconds

NONE = {"timeouts": 0, "crashes": 0, "memory": 0, "unscored": 0}


def problems(num: int) -> list[Problem]:
    return [Problem(f"q{index}", (1,), "x", question=f"q{index}?") for index in range(num)]


def score(verifier: IsolatedVerifier, *texts: str) -> list[float]:
    return verifier.score(problems(len(texts)), list(texts))


@pytest.fixture
def once(tmp_path: Path) -> Callable[[str], bool]:
    """A function that is true the first time that it is asked for a name, in whatever process."""

    def first(name: str) -> bool:
        try:
            (tmp_path / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    return first


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield


# --- Killed from outside: asked once more ---


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def close_all() -> None:
    os.closerange(3, 256)


def write_garbage() -> None:
    for fd in range(3, 64):
        try:
            if os.fstat(fd).st_mode & 0o170000 == 0o140000:  # a socket
                os.write(fd, b"x" * 64)
        except OSError:
            pass
    time.sleep(30)


def reply_rubbish(content: Any) -> Callable[[], None]:
    """Replies with a whole frame that no worker writes, then waits to be believed."""

    def reply() -> None:
        frame = wire.encode({}) if content is None else wire._LENGTH.pack(len(content)) + content
        for fd in range(3, 64):
            try:
                if os.fstat(fd).st_mode & 0o170000 == 0o140000:
                    os.write(fd, frame)
            except OSError:
                pass
        time.sleep(30)

    return reply


ACCIDENTS = {
    "killed": kill_itself,
    "aborted": os.abort,
    "ended": lambda: os._exit(0),
    "closed its files": close_all,
    "wrote garbage": write_garbage,
    "replied with nothing": reply_rubbish(None),
    "replied with a list": reply_rubbish(b"[1]"),
    "replied with what is not JSON": reply_rubbish(b"{rewards"),
    "replied with bytes that are not text": reply_rubbish(b"\xff\xfe"),
    "replied with too many brackets": reply_rubbish(b"[" * 100_000),
    "replied with another number of rewards": reply_rubbish(json.dumps({"rewards": [1] * 7}).encode()),
    "replied with a reward of 7": reply_rubbish(json.dumps({"rewards": [7]}).encode()),
    "replied with a reward of NaN": reply_rubbish(b'{"rewards": [NaN]}'),
    "replied with a text": reply_rubbish(json.dumps({"rewards": ["1"]}).encode()),
}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_that_happens_once_costs_no_answer(name: str, once: Callable[[str], bool]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        if "b" in completions and once("accident"):
            ACCIDENTS[name]()
        return [1.0 for _ in completions]

    with load(reward, num_workers=1) as verifier:
        assert score(verifier, "b") == [1.0]
        assert verifier.unjudged == NONE


@pytest.mark.parametrize("num_kills", [1, 2])
def test_reading_and_checking_outlive_one_kill_of_their_process(
    num_kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with load("number", num_workers=1) as verifier:
        receive, kills = verifier._pool._receive, iter(range(num_kills))

        def killed(worker: process.Worker, fits: Any) -> Any:
            if next(kills, None) is not None:
                return verifier._pool._give_up(worker, pool.Failure.CRASH)
            return receive(worker, fits)

        monkeypatch.setattr(verifier._pool, "_receive", killed)
        texts = ["The answer is 18.", "The answer is 5."]
        if num_kills == 1:
            assert verifier.read(problems(2), texts) == ["18", "5"]
            kills = iter(range(1))
            verifier.check(Problem("q", (1,), "18"))
        else:
            with pytest.raises(ValueError, match="its process died"):
                verifier.check(Problem("q", (1,), "18"))


@pytest.mark.parametrize(
    ("passed_s", "used_s", "is_over"),
    [
        (0.5, 8.0, False),  # eight threads on eight cores, for half a second
        (1.5, 24.0, True),
        (1.5, 0.9, False),  # it waited
        (9.9, 0.0, False),
        (10.1, 0.0, True),
        (0.5, None, False),
        (1.5, None, True),
    ],
)
def test_the_limit_is_of_processor_time_and_never_shorter_than_itself_on_the_clock(
    passed_s: float, used_s: float | None, is_over: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, load("exact", num_workers=1) as verifier:
        asked = pool.Asked(0, 0.0, cpu_s=0.0)
        limited = pool.Pool(verifier._zygote, 1, 1.0, cpu=lambda _: used_s)
        assert limited._is_over(process.Worker(1, ours), asked, passed_s) is is_over


@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_that_happens_always_costs_its_own_answer_and_is_counted(name: str) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        if "b" in completions:
            ACCIDENTS[name]()
        return [1.0 for _ in completions]

    with load(reward, num_workers=1) as verifier:
        assert score(verifier, "a", "b", "c") == [1.0, 0.0, 1.0]
        assert verifier.unjudged == NONE | {"crashes": 1}


def test_a_crash_is_warned_of_when_it_happens_and_again_when_there_are_ten_times_as_many() -> None:
    told = []

    def ends(**_: object) -> None:
        os._exit(1)

    ends.__qualname__ = "ends"
    with load(ends, num_workers=1) as verifier:
        for _ in range(12):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                score(verifier, "a")
            told.append([str(one.message) for one in caught if one.category is DataWarning])
    assert [bool(one) for one in told] == [True, *[False] * 8, True, False, False]
    assert told[0] == [
        "verifier 'ends': 1 answers so far got the reward 0 without a verdict: the process died twice "
        "(killed for lack of memory? ended by a function?)"
    ]


def test_every_answer_of_a_batch_survives_a_kill_of_all_workers(once: Callable[[str], bool]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        if once(f"batch-{completions[0]}"):
            kill_itself()
        return [1.0 for _ in completions]

    with load(reward, num_workers=2) as verifier:
        assert score(verifier, *map(str, range(6))) == [1.0] * 6
        assert verifier.unjudged == NONE


def test_an_answer_that_takes_too_much_memory_is_counted_and_not_asked_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def reward(completions: list[str], **_: object) -> list[float]:
        if "eat" in completions:
            with calls.open("a") as file:
                file.write("x")
            bytearray(2**31)
        return [1.0 for _ in completions]

    with load(reward, memory_gib=0.5, num_workers=1) as verifier:
        assert score(verifier, "eat") == [0.0]
        assert score(verifier, "a") == [1.0]
        assert verifier.unjudged == NONE | {"memory": 1}
    assert calls.read_text() == "x"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_ordinary_exception_ends_the_worker_and_is_counted(error: type[BaseException]) -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        if "b" in completions:
            raise error
        return [1.0 for _ in completions]

    with load(reward, num_workers=1) as verifier:
        assert score(verifier, "a", "b") == [1.0, 0.0]
        assert verifier.unjudged == NONE | {"crashes": 1}


# --- The zygote ---


def zygote_of(verifier: IsolatedVerifier) -> int:
    child: Any = verifier._zygote._processes.child
    return int(child.pid if hasattr(child, "pid") else child._pid)


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_named_verifiers_zygote_that_was_killed_is_started_again() -> None:
    with load("number", num_workers=2) as verifier:
        asked = [Problem("q", (1,), "7")] * 4
        assert verifier.score(asked, ["7", "8", "7", "7"]) == [1.0, 0.0, 1.0, 1.0]
        os.kill(zygote_of(verifier), signal.SIGKILL)
        for worker in list(verifier._zygote._processes.workers):
            os.kill(worker, signal.SIGKILL)
        with pytest.warns(DataWarning, match="was killed from outside.*no answer is lost"):
            assert verifier.score(asked, ["7", "8", "7", "7"]) == [1.0, 0.0, 1.0, 1.0]
        assert verifier.unjudged == NONE
        workers = list(verifier._zygote._processes.workers)
    for worker in workers:
        wait_for_end(worker)


def test_a_zygote_that_is_killed_again_and_again_ends_the_run_in_one_line() -> None:
    with load("number", num_workers=1) as verifier:
        verifier._zygote.wait_ready()
        verifier._zygote._num_starts = 0
        os.kill(zygote_of(verifier), signal.SIGKILL)
        with pytest.raises(EngineError, match="'number': its process was killed from outside"):
            verifier.score([Problem("q", (1,), "7")], ["7"])


def test_a_callables_zygote_that_was_killed_ends_the_run_and_its_hanging_workers(tmp_path: Path) -> None:
    noted = tmp_path / "pid"

    def reward(**_: object) -> list[float]:
        noted.write_text(str(os.getpid()))
        while True:
            pass

    verifier = load(reward, limit_s=2.0, num_workers=1)
    failure: list[Exception] = []

    def ask() -> None:
        try:
            score(verifier, "a")
        except EngineError as error:
            failure.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    end = time.monotonic() + 60
    while not noted.exists() or not noted.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    worker = int(noted.read_text())
    os.kill(zygote_of(verifier), signal.SIGKILL)
    thread.join(60)
    with pytest.raises(EngineError, match="killed from outside"):
        score(verifier, "a")
    verifier.close()
    wait_for_end(worker)


def test_an_import_that_hangs_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    script = "from gpo.verifiers import load\nload('hangs:reward')\n"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) as run:
        end = time.monotonic() + 60
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < end
            time.sleep(0.02)
        run.kill()
    wait_for_end(int((tmp_path / "pid").read_text()))


# --- A machine in want ---


def test_a_fork_that_fails_is_told_to_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise OSError(errno.EAGAIN, "no more processes")

    ours, theirs = socket.socketpair()
    with ours:
        monkeypatch.setattr(os, "fork", no_fork)
        assert zygote._fork_worker(theirs, theirs, lambda _: {}, None) == -errno.EAGAIN


def test_the_run_goes_on_with_the_workers_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    order, num = process.Zygote._order, [0]

    def one_alone(self: process.Zygote, pid: int, descriptors: list[int]) -> int:
        num[0] += pid == 0
        return -errno.EAGAIN if pid == 0 and num[0] > 1 else order(self, pid, descriptors)

    monkeypatch.setattr(process.Zygote, "_order", one_alone)
    with load("number", num_workers=3) as verifier:
        assert verifier.score([Problem("q", (1,), "7")] * 4, ["7", "8", "7", "7"]) == [1.0, 0.0, 1.0, 1.0]
        assert num[0] > 1


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EAGAIN, r"Resource temporarily unavailable\); free some memory or processes \(ulimit -u\)"),
        (errno.ENOMEM, r"Cannot allocate memory\); free some memory or processes"),
        (errno.EMFILE, r"Too many open files\); free some files \(ulimit -n\)"),
    ],
)
def test_no_process_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    monkeypatch.setattr(process.Zygote, "_order", lambda *_: -number)
    monkeypatch.setattr(pool, "_PAUSES_S", (0.0, 0.0))
    with load("number") as verifier, pytest.raises(EngineError, match=message):
        verifier.score([Problem("q", (1,), "7")], ["7"])


def test_no_process_for_the_zygote_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    with pytest.raises(EngineError, match="no process can be started for it"):
        load("number")


def test_no_file_left_is_one_line() -> None:
    with load("number", num_workers=1) as verifier:
        verifier.check(Problem("q", (1,), "7"))
        verifier._zygote.kill(verifier._pool._idle.pop())
        limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 512), hard))
            while True:
                try:
                    taken.append(os.dup(0))
                except OSError:
                    break
            with pytest.raises(process.NoWorkerError, match=r"Too many open files.*ulimit -n"):
                verifier._zygote.fork()
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        assert verifier.score([Problem("q", (1,), "7")], ["7"]) == [1.0]


# --- Limits of processor time ---


def test_waiting_is_no_work_and_burning_is() -> None:
    def reward(completions: list[str], **_: object) -> list[float]:
        if "sleep" in completions:
            time.sleep(1.2)
        while "burn" in completions:
            pass
        return [1.0 for _ in completions]

    with load(reward, limit_s=0.4, num_workers=1) as verifier:
        assert score(verifier, "sleep") == [1.0]
        assert score(verifier, "burn") == [0.0]
        assert verifier.unjudged == NONE | {"timeouts": 1}


def test_a_busy_machine_fails_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker takes three times its limit on the wall clock, and is told to have had a tenth of it."""
    with load(lambda **_: [time.sleep(0.9) or 1.0], limit_s=0.3, num_workers=1) as verifier:
        start = time.monotonic()
        verifier._pool._cpu = lambda _: (time.monotonic() - start) / 10
        assert score(verifier, "a") == [1.0]


def test_where_the_system_tells_no_processor_time_the_limit_is_of_the_clock() -> None:
    with load(lambda **_: [time.sleep(60) or 1.0], limit_s=0.3, num_workers=1) as verifier:
        verifier._pool._cpu = lambda _: None
        assert score(verifier, "a") == [0.0]
        assert verifier.num_timeouts == 1


def test_what_a_function_has_started_counts_as_its_work() -> None:
    def reward(**_: object) -> list[float]:
        subprocess.run([sys.executable, "-c", "while True: pass"], check=False)
        return [1.0]

    with load(reward, limit_s=0.5, num_workers=1) as verifier:
        verifier._pool._limit_s = 0.5
        before = pool.WALL
        assert before == 10
        assert score(verifier, "a") == [0.0]


def test_a_stopped_worker_is_given_up_at_the_limit_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WALL", 2.0)

    def reward(completions: list[str], **_: object) -> list[float]:
        if "stop" in completions:
            os.kill(os.getpid(), signal.SIGSTOP)
        return [1.0 for _ in completions]

    with load(reward, limit_s=0.4, num_workers=1) as verifier:
        assert score(verifier, "stop") == [0.0]
        assert score(verifier, "a") == [1.0]
        assert verifier.unjudged == NONE | {"timeouts": 1}


def test_a_pause_of_the_whole_run_counts_as_a_second() -> None:
    times = iter([0.0, 0.4, 0.8, 3600.8, 3601.0])
    awake = Awake(lambda: next(times))
    assert [round(awake.now(), 6) for _ in range(4)] == [0.4, 0.8, 1.8, 2.0]


def test_processor_time_is_that_of_the_process_group() -> None:
    assert cpu_seconds(2**22 + 1) is None
    used = cpu_seconds(os.getpgrp())
    assert used


# --- Counts ---


def test_a_verifier_that_counts_timeouts_alone_will_do() -> None:
    class Own:
        num_timeouts = 3

    assert unjudged(Own()) == NONE | {"timeouts": 3}  # type: ignore[arg-type]


def test_a_column_of_thousands_of_brackets_is_refused() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    row = Problem("q", (1,), "x", columns={"deep": deep})
    with load(lambda **_: [1.0]) as verifier, pytest.raises(InputError, match="column 'deep'"):
        verifier.score([row], [""])
