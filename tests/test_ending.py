"""How commands end that cannot go on: signals, a machine in want, nobody who reads."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpo import cli, ending
from gpo.record import folder
from gpo.types import EngineError, InputError

THOROUGH = pytest.mark.thorough
SLEEPING = str(Path(__file__).parent / "sleeping.py")
LOCATE = ("locate", "--task", "chain_sum", "--max-tokens", "16", "--limit", "4", "--slots", "8")
LOCATE += ("--group-size", "2", "--output", "runs/x")
TRAIN = ("train", "--task", "chain_sum", "--max-tokens", "16", "--size", "64", "--rounds", "1", "--output")
TRAIN += (
    "runs/x",
    "--eval-problems",
    "4",
    "--problems-per-round",
    "2",
    "--group-size",
    "2",
)
OFFLINE = (*TRAIN[:7], "--method", "dpo", "--max-tokens", "64", "--min-step-tokens", "1", *TRAIN[9:15])
OFFLINE += ("--problems-per-round", "32", "--group-size", "4")


def heed() -> None:
    for one in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(one, signal.SIG_DFL)


class Command:
    """A command in a process of its own, and whatever it starts.

    It heeds signals even where these tests are run by something that ignores them, as nohup does.
    """

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        settings.setdefault("preexec_fn", heed)
        self.mark = uuid.uuid4().hex
        environment = os.environ | {"TEST_MARK": self.mark, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,  # type: ignore[call-overload]
        )

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote on standard error, once nothing of it runs any more."""
        err = self.process.communicate(timeout=120)[1]
        wait_until(lambda: not self.left())
        return self.process.returncode, err

    def left(self) -> list[int]:
        """The processes with its mark in their environment, zombies aside."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
        return found


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen within 120 s"
        time.sleep(0.02)


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts a command of which a part sleeps, and returns when it does."""
    started = []

    def start(part: str, *arguments: str, **settings: object) -> Command:
        noted = tmp_path / "noted"
        command = Command(tmp_path, SLEEPING, part, str(noted), *arguments, **settings)
        started.append(command)
        wait_until(lambda: noted.exists() or command.process.poll() is not None)
        if command.process.poll() is not None:
            raise AssertionError(command.process.communicate()[1])
        return command

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.kill()


def lines_of(err: str) -> list[str]:
    """What was written, without the progress bar and empty lines."""
    return [line for line in err.splitlines() if line.strip() and "left" not in line]


@pytest.mark.parametrize(
    ("part", "arguments", "signals", "code"),
    [
        ("wave", LOCATE, (signal.SIGINT,), 130),
        pytest.param("wave", LOCATE, (signal.SIGINT, signal.SIGINT), 130, marks=THOROUGH),
        pytest.param("wave", LOCATE, (signal.SIGTERM,), 143, marks=THOROUGH),
        pytest.param("stream", LOCATE, (signal.SIGHUP,), 129, marks=THOROUGH),
        pytest.param("swallow", TRAIN, (signal.SIGINT,), 130, marks=THOROUGH),
        pytest.param("trainer", OFFLINE, (signal.SIGINT,), 130, marks=THOROUGH),
        pytest.param("trainer", OFFLINE, (signal.SIGTERM,), 143, marks=THOROUGH),
    ],
)
def test_a_signal_ends_a_command_in_one_line_that_names_the_run(
    sleeping: Callable[..., Command],
    part: str,
    arguments: tuple[str, ...],
    signals: tuple[signal.Signals, ...],
    code: int,
) -> None:
    command = sleeping(part, *arguments)
    for number in signals:
        command.process.send_signal(number)
    found, err = command.ended()
    lines = [line for line in lines_of(err) if " costs at most " not in f" {line}"]
    kept = "0 of 1 rounds" if arguments[0] == "train" else "0 of 4 problems"
    line = f"gpo: error: interrupted: {kept} saved; continue with gpo {arguments[0]} --resume runs/x"
    assert (found, lines) == (code, [line])


@THOROUGH
def test_of_several_processes_the_first_says_that_they_were_interrupted(
    sleeping: Callable[..., Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    command = sleeping("now", *TRAIN)
    command.process.send_signal(signal.SIGTERM)
    assert command.ended() == (143, "")


@pytest.mark.parametrize("command", ["sample", "locate", "eval", "pairs", "train --method dpo"])
def test_torchrun_is_for_online_training(command, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--task", "chain_sum"])
    said = command.removesuffix(" dpo")
    assert (
        capsys.readouterr().err == f"gpo: error: gpo {said}: runs in one process; start it without torchrun\n"
    )


@THOROUGH
def test_before_there_is_a_run_the_line_names_none(sleeping: Callable[..., Command], tmp_path: Path) -> None:
    command = sleeping("load", *LOCATE)
    command.process.send_signal(signal.SIGINT)
    code, err = command.ended()
    assert (code, lines_of(err)) == (130, ["gpo: error: interrupted"])
    assert not (tmp_path / "runs").exists()


@THOROUGH
def test_a_verifier_that_is_still_imported_ends_too(tmp_path: Path, sleeping: Callable[..., Command]) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\npathlib.Path('noted').touch()\ntime.sleep(600)\n"
    )
    command = sleeping("nothing", *LOCATE, "--verifier", "slow:reward")
    command.process.send_signal(signal.SIGINT)
    code, err = command.ended()
    assert (code, lines_of(err)) == (130, ["gpo: error: interrupted"])


@THOROUGH
def test_a_checkpoint_that_was_being_written_is_not_taken_for_one(
    sleeping: Callable[..., Command], tmp_path: Path
) -> None:
    command = sleeping("save", *TRAIN)
    command.process.send_signal(signal.SIGINT)
    assert command.ended()[0] == 130
    code, err = Command(tmp_path, "-m", "gpo", "train", "--resume", "runs/x").ended()
    assert code == 0, err
    assert [
        json.loads(line)["round"] for line in (tmp_path / "runs/x/rounds.jsonl").read_text().splitlines()
    ] == [0, 1]


@THOROUGH
def test_a_signal_that_is_ignored_stays_ignored(sleeping: Callable[..., Command]) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    command = sleeping("now", *TRAIN, preexec_fn=ignore)
    command.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert command.process.poll() is None
    command.process.send_signal(signal.SIGTERM)
    assert command.ended()[0] == 143


@THOROUGH
def test_an_error_of_the_verifier_ends_the_command_though_a_wave_goes_on(
    sleeping: Callable[..., Command], tmp_path: Path
) -> None:
    (tmp_path / "late.py").write_text(
        "import pathlib, time\n"
        "def reward(completions, answer, **columns):\n"
        "    if completions != answer:\n"
        "        while not pathlib.Path('noted').exists():\n"
        "            time.sleep(0.01)\n"
        "        raise KeyError('late')\n"
        "    return [1.0] * len(answer)\n"
    )
    command = sleeping("wave", *LOCATE, "--limit", "12", "--verifier", "late:reward")
    code, err = command.ended()
    assert code == 2
    assert lines_of(err)[-1].startswith("gpo: error: verifier 'late:reward' raised KeyError: 'late' (")
    assert "terminate" not in err


def test_a_full_disk_is_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    sample = ("-m", "gpo", "sample", "--task", "chain_sum", "--max-tokens", "32", "--limit", "8")
    code, err = Command(tmp_path, *sample, "--output", "runs/x", preexec_fn=full).ended()
    (line,) = [line for line in lines_of(err) if line.startswith("gpo:")]
    assert code == 1
    assert "Traceback" not in err
    assert "File too large: free some space, or raise the quota; " in line
    assert line.endswith(" of 8 problems saved; continue with gpo sample --resume runs/x")
    code, err = Command(
        tmp_path, "-m", "gpo", "sample", "--resume", "runs/x", "--batch-tokens", "999"
    ).ended()
    assert code == 0, err
    problems = [
        json.loads(one)["problem"] for one in (tmp_path / "runs/x/problems.jsonl").read_text().splitlines()
    ]
    assert len(problems) == len(set(problems)) == 8


def test_a_pipe_that_nobody_reads_ends_a_command_in_silence(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "gpo", "doctor"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


# --- The lines ---


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


MEMORY = "free some, or lower --batch-tokens"


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (InputError("data.jsonl: row 3:\n is bad"), "data.jsonl: row 3: is bad", 2),
        (FloatingPointError("the loss is nan"), "the loss is nan", 1),
        (EngineError("no answer from http://a"), "no answer from http://a", 1),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "", 141),
        (KeyboardInterrupt(), "interrupted", 130),
        (ending.Interrupted(signal.SIGTERM), "interrupted", 143),
        (MemoryError(), f"out of memory (MemoryError): {MEMORY}", 1),
        (OutOfMemoryError("CUDA out of memory."), f"out of memory (CUDA out of memory.): {MEMORY}", 1),
        (
            RuntimeError("CUDA error: out of memory"),
            f"out of memory (CUDA error: out of memory): {MEMORY}",
            1,
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            "out of memory ([enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory): "
            + MEMORY,
            1,
        ),
        (
            OSError(errno.ENOMEM, "none"),
            f"out of memory ([Errno 12] none): {MEMORY}",
            1,
        ),
        (
            OSError(errno.ENOSPC, "x", "runs/x/rollouts.jsonl"),
            "No space left on device: runs/x/rollouts.jsonl: free some space, or raise the quota",
            1,
        ),
        (OSError(errno.EDQUOT, "x"), "Disk quota exceeded: free some space, or raise the quota", 1),
        (OSError(errno.EFBIG, "x"), "File too large: free some space, or raise the quota", 1),
        (OSError(errno.EROFS, "x", "runs"), "Read-only file system: runs: give this user access to it", 1),
        (PermissionError(errno.EACCES, "x", "a"), "Permission denied: a: give this user access to it", 1),
        (OSError(errno.EMFILE, "x"), "Too many open files: raise the limit of open files (ulimit -n)", 1),
        (OSError(errno.EIO, "x", "a"), "Input/output error: a", 1),
        (OSError(errno.ESTALE, "x"), "Stale file handle", 1),
        (
            Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
            "No space left on device: free some space, or raise the quota",
            1,
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
            "a file could not be written (PytorchStreamWriter failed writing file data/0: file write failed)"
            ": is the disk full?",
            1,
        ),
    ],
)
def test_what_ends_a_command_is_said_in_one_line(error: BaseException, line: str, code: int) -> None:
    ending.STAGE.clear()
    assert ending.explained(error) == (line, code)


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), RuntimeError("shapes differ"), KeyError("x"), OSError()]
)
def test_a_fault_of_ours_keeps_its_traceback(error: BaseException) -> None:
    assert ending.explained(error) is None


def test_training_names_its_own_settings_of_memory(monkeypatch) -> None:
    monkeypatch.setattr(folder, "opened", [])
    ending.STAGE.clear()
    ending.STAGE.command = "train"
    line = (
        "out of memory (MemoryError): free some, or lower --batch-tokens for sampling, --microbatch-tokens "
    )
    assert ending.explained(MemoryError()) == (line + "or --microbatch for learning", 1)
    ending.STAGE.clear()


def test_an_interrupt_before_the_folder_is_opened_names_the_run_to_resume(tmp_path, monkeypatch) -> None:
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr(folder, "opened", [])
    monkeypatch.setattr(ending.STAGE, "command", "sample")
    monkeypatch.setattr(ending.STAGE, "resumed", tmp_path)
    expected = f"interrupted: continue with gpo sample --resume {tmp_path}"
    assert ending.explained(KeyboardInterrupt()) == (expected, 130)
