"""Runs that are killed, interrupted or out of disk, and resumed: to the same digits, with nothing lost."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import driver
import pytest

KILLS = {"sample": 6, "eval": 6, "locate": 10, "train": 12, "pairs": 8, "dpo": 6}
RESULTS = ("rollouts.jsonl", "curves.jsonl", "pairs.jsonl", "outcomes.jsonl")


def results(run: Path) -> dict[str, object]:
    """What a run found: its lines in no order, and the digests of its weights.

    Log-probabilities and entropies are left out: their last digit depends on who shared the batch.
    """
    found: dict[str, object] = {}
    for name in RESULTS:
        if (run / name).exists():
            found[name] = sorted(map(exact, (run / name).read_text().splitlines()))
    for path in sorted(run.glob("model/*.safetensors")):
        found[path.name] = driver.contents(path.parent)[path.name]
    return found


def exact(line: str) -> str:
    """A line's fields that are the same to the digit however the rollouts were batched."""
    return json.dumps({k: v for k, v in json.loads(line).items() if k not in ("logprobs", "entropies")})


def started(folder: Path, finished: Path, name: str) -> tuple[str, ...]:
    """The arguments of a run like a finished one, in a new folder that has what it needs."""
    driver.write_data(folder)
    if name == "dpo":
        (folder / "pairs").symlink_to(finished / "pairs")
    return (*driver.RUNS[name], "--output", "run")


def duration_s(args: tuple[str, ...], folder: Path) -> float:
    begun = time.monotonic()
    assert driver.run(*args, cwd=folder).code == 0
    return time.monotonic() - begun


@pytest.mark.parametrize("name", KILLS)
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name
)
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path, figures, finished, name, number
) -> None:
    args = started(tmp_path, finished, name)
    (tmp_path / "twin").mkdir()
    whole_s = duration_s(started(tmp_path / "twin", finished, name), tmp_path / "twin")
    drawn = random.Random(f"{driver.SEED} {name} {number}")
    kills = KILLS[name] if number == signal.SIGKILL else KILLS[name] // 2
    for _ in range(kills):
        running = driver.Running(*args, cwd=tmp_path)
        time.sleep(drawn.uniform(0.02, 0.9) * whole_s)
        running.kill(number)
        ended = running.wait()
        figures[f"{number.name} in the middle of a run"] += ended.code != 0
        check_end(ended, number, tmp_path / "run")
        if (tmp_path / "run" / "run.json").exists():
            args = (driver.RUNS[name][0], "--resume", "run")
    ended = driver.run(*args, cwd=tmp_path)
    assert ended.code == 0, ended
    assert results(tmp_path / "run") == results(tmp_path / "twin" / "run")


def check_end(ended: driver.Ended, number: signal.Signals, run: Path) -> None:
    """A kill leaves nothing to say; an interrupt ends in one line, which names the folder to resume."""
    assert "Traceback" not in ended.err, ended
    if number == signal.SIGKILL or ended.code == 0:
        assert ended.code in (-signal.SIGKILL, 0), ended
        return
    assert ended.code == 128 + number, ended
    assert ended.error.startswith("gpo: error: interrupted"), ended
    if (run / "run.json").exists():
        assert run.name in ended.error, ended


def limit_files(size: int) -> None:
    """No file may grow beyond `size` bytes: a quota, which any user can set."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [0, 100, 5_000, 40_000, 400_000])
@pytest.mark.parametrize("name", KILLS)
def test_a_run_that_may_write_no_more_says_so_in_one_line_and_goes_on_later(
    tmp_path, figures, finished, name, size
) -> None:
    args = started(tmp_path, finished, name)
    ended = driver.run(*args, cwd=tmp_path, prepare=lambda: limit_files(size))
    out_of_room(ended)
    figures["files that may grow no further"] += ended.code != 0
    go_on(tmp_path / "run", args, finished / name)


def out_of_room(ended: driver.Ended) -> None:
    assert ended.code in (0, 1), ended
    assert "Traceback" not in ended.err, ended
    if ended.code and ended.err:  # the file of its messages is full as well where it may hold nothing
        assert ended.error, ended


def go_on(run: Path, args: tuple[str, ...], whole: Path) -> None:
    """Resumes the run, or starts it where nothing was begun, and compares it with a whole one."""
    if (run / "run.json").exists():
        args = (args[0], "--resume", run.name)
    ended = driver.run(*args, cwd=run.parent)
    assert ended.code == 0, ended
    assert results(run) == results(whole)


def is_mounted(folder: Path, size: int) -> bool:
    """Whether a file system of so many bytes could be mounted there, which takes root."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("size", [16_384, 120_000, 1_000_000, 2_500_000, 4_500_000])
@pytest.mark.parametrize("name", ["sample", "locate", "train", "dpo"])
def test_a_run_on_a_full_disk_goes_on_once_there_is_room(tmp_path, figures, finished, name, size) -> None:
    args = started(tmp_path, finished, name)
    (tmp_path / "disk").mkdir()
    if not is_mounted(tmp_path / "disk", size):
        pytest.skip("no file system can be mounted here; root can")
    try:
        args = (*args[:-1], "disk/run")
        ended = driver.run(*args, cwd=tmp_path)
        out_of_room(ended)
        figures["disks that were full"] += ended.code != 0
        subprocess.run(["mount", "-o", "remount,size=200M", str(tmp_path / "disk")], check=True)
        if (tmp_path / "disk" / "run" / "run.json").exists():
            args = (args[0], "--resume", "disk/run")
        ended = driver.run(*args, cwd=tmp_path)
        assert ended.code == 0, ended
        assert results(tmp_path / "disk" / "run") == results(finished / name)
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def descendants(pid: int) -> list[int]:
    """All processes that it started, and that those started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise
            continue
        found += children + [below for child in children for below in descendants(child)]
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the processes of others are seen on Linux")
@pytest.mark.parametrize("name", ["sample", "locate", "train", "eval"])
def test_verifiers_that_are_killed_from_outside_give_no_wrong_reward_in_silence(
    tmp_path, figures, finished, name
) -> None:
    args = started(tmp_path, finished, name)
    drawn = random.Random(f"{driver.SEED} {name}")
    running = driver.Running(*args, "--json", cwd=tmp_path)
    kills = 0
    while not running.has_ended():
        time.sleep(drawn.uniform(0.05, 0.3))
        workers = [pid for child in descendants(running.pid) for pid in descendants(child)]
        for pid in workers[:1]:
            kills += kill(pid)
    ended = running.wait()
    figures["verifier workers killed"] += kills
    assert "Traceback" not in ended.err, ended
    assert ended.code in (0, 1), ended
    if ended.code == 0 and results(tmp_path / "run") != results(finished / name):
        assert "crash" in json_words(ended), ended


def kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def json_words(ended: driver.Ended) -> str:
    """The counts of the summary that are not 0."""
    return " ".join(key for key, value in ended.summary.items() if value)
