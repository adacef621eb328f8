"""Runs the command line in a fork of this process, which has imported everything: a case takes milliseconds.

The fork has its own folder, output and limits, and can be killed; what it changed is told by digests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets  # noqa: F401 - imported once, here, for every fork
import peft  # noqa: F401
import reasoning_gym  # noqa: F401
import torch
import trl  # noqa: F401

from gpo import cli
from gpo.commands import (  # noqa: F401
    evaluate,
    export,
    locate,
    pairs,
    quiet,
    report,
    sample,
    show,
    train,
    watch,
)

quiet()
torch.set_num_threads(1)

SEED = int(os.environ.setdefault("GPO_CHAOS_SEED", time.strftime("%Y%m%d")))
"""Of all that is drawn; another one each day, and the same one in every worker of a session."""

LIMIT_S = 120.0
"""A case that takes longer hangs. Far above what the slowest takes on a busy machine."""

SMALL = ("--task", "chain_sum", "--max-tokens", "96", "--min-step-tokens", "1", "--rule", "drop")
SHORT = ("--task", "chain_sum", "--max-tokens", "96", "--limit", "6")
ONLINE = (
    *SMALL,
    "--recipe",
    "search",
    "--size",
    "32",
    "--problems-per-round",
    "4",
    "--max-located",
    "2",
    "--learning-rate",
    "1e-4",
)
RUNS = {
    "sample": ("sample", *SHORT),
    "eval": ("eval", *SHORT, "--num", "2"),
    "locate": ("locate", *SMALL, "--split", "train", "--limit", "6"),
    "train": ("train", *ONLINE, "--rounds", "3", "--eval-problems", "4"),
    "pairs": ("pairs", *SMALL, "--limit", "8"),
    "dpo": (
        "train", "--method", "dpo", "--pairs", "pairs", "--task", "chain_sum", "--max-tokens", "96",
        "--minibatch", "4", "--microbatch", "4", "--epochs", "1", "--learning-rate", "1e-4",
        "--save-every", "1", "--eval-problems", "4",
    ),
}  # fmt: skip
"""A small run of every command that writes a folder; `dpo` needs that of `pairs` beside it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal, if one killed it), and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The line on standard error that says what was wrong; '' without one."""
        lines = [line for line in self.err.splitlines() if line.startswith("gpo: error: ")]
        return lines[-1] if lines else ""

    @property
    def summary(self) -> dict[str, object]:
        """The JSON object that --json prints last."""
        content: dict[str, object] = json.loads(self.out.splitlines()[-1])
        return content

    def is_refusal(self) -> bool:
        """Whether it was refused in one line and with exit code 2."""
        others = [
            line for line in self.err.splitlines() if not line.startswith(("gpo: error: ", "gpo: warning: "))
        ]
        return self.code == 2 and bool(self.error) and not others and "Traceback" not in self.err


class Running:
    """A command in a fork that has only just begun."""

    def __init__(
        self,
        *args: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """`prepare` is called in the fork before the command, to set limits or to put a fault in its way."""
        self._shown = {name: cwd / f".{name}-{os.getpid()}-{time.monotonic_ns()}" for name in ("out", "err")}
        self._begun_s = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _child(args, cwd, env or {}, self._shown, prepare)

    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return info is not None

    def kill(self, number: int) -> None:
        """Sends the signal to the command and, as a terminal does, to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        """Its end; one that hangs is killed, and is an error of the test."""
        while not self.has_ended():
            if time.monotonic() - self._begun_s > limit_s:
                self.kill(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"hangs for {limit_s} s: {self._texts()}")
            time.sleep(0.005)
        _, status = os.waitpid(self.pid, 0)
        self.kill(signal.SIGKILL)  # what a killed command left behind
        return Ended(os.waitstatus_to_exitcode(status), *self._texts())

    def _texts(self) -> list[str]:
        texts = []
        for path in self._shown.values():
            texts.append(path.read_text(errors="replace") if path.exists() else "")
            path.unlink(missing_ok=True)
        return texts


def run(
    *args: str, cwd: Path, env: Mapping[str, str] | None = None, prepare: Callable[[], None] | None = None
) -> Ended:
    """Runs a command to its end."""
    return Running(*args, cwd=cwd, env=env, prepare=prepare).wait()


def _child(
    args: tuple[str, ...],
    cwd: Path,
    env: Mapping[str, str],
    shown: Mapping[str, Path],
    prepare: Callable[[], None] | None,
) -> None:
    """The fork: never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        for descriptor, name in enumerate(("out", "err"), start=1):
            os.dup2(os.open(shown[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        os.environ.update(env)
        if prepare:
            prepare()
        cli.main(list(args))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - it is what the test looks for
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def contents(folder: Path) -> dict[str, str]:
    """Every file below the folder by its path, with a digest of what it holds; locks and output left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith((".lock", ".out-", ".err-")):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def write_data(folder: Path) -> None:
    """A file of problems of one's own."""
    rows = [{"prompt": f"{a} + {b} =", "answer": str(a + b)} for a in range(2, 5) for b in range(2, 5)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
