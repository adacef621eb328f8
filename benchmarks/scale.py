"""Many trajectories on one engine: how full it is kept, and how many a second beside one after the other.

    python benchmarks/scale.py                       # the tiny model, waves of 64 rows
    python benchmarks/scale.py --served              # also an engine that streams, simulated: 64 slots
    python benchmarks/scale.py --kill --problems 1150   # kill -9 at random moments until 1,000 are located
    python benchmarks/scale.py --kill --table --kill-s 2 --problems 1100    # the same without a model

Searching one trajectory after the other asks for what that one needs, in batches of its own, of the same
engine. The simulated engine takes .2 to 3 s for a row, whatever else it does, as a server with free slots.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from command import Parser, natural, positive, script, whole

import gpo
from gpo.explore import Event, Explorer, Found, Lessons, Task
from gpo.policies import decoding
from gpo.seeds import derive_seed
from gpo.types import Request, Sample

RECIPE = gpo.Recipe(explored="failed", rule="drop", splitter=gpo.steps.newline(min_tokens=1))


class Served:
    """The policy behind an engine that streams; what it draws is the policy's, when it comes is not."""

    def __init__(self, policy: Any, slots: int) -> None:
        self._policy, self.slots = policy, slots
        self._threads = ThreadPoolExecutor(slots)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def submit(self, request: Request) -> Future[list[Sample]]:
        return self._threads.submit(self._late, request)

    def _late(self, request: Request) -> list[Sample]:
        time.sleep(0.2 + 2.8 * random.Random(request.seed).random())  # noqa: S311
        end = self._policy.end_ids[0]
        wins = random.Random(derive_seed(request.seed, "won")).random() < 0.3  # noqa: S311
        ids = self._policy.tokenizer.encode("1 + 1 = 2\n" * 5 + f"Answer: {7 if wins else 8}")
        left = self._policy.max_tokens - len(request.state.prefix_ids)
        return [Sample((*ids[: max(1, left - 1)], end), (-0.5,) * min(len(ids) + 1, max(2, left)), (), True)]


class Rows:
    """Seconds and rows of every step of decoding."""

    def __init__(self, slots: int) -> None:
        self.slots, self.total_s, self.filled_s, self.full_s = slots, 0.0, 0.0, 0.0
        self._draw, self._since = decoding._Sheet.draw, None
        decoding._Sheet.draw = lambda sheet, *args: self.step(sheet, *args)  # type: ignore[method-assign]

    def step(self, sheet: Any, *args: Any) -> Any:
        now, open_rows = time.perf_counter(), int((sheet._lengths == 0).sum())
        if self._since is not None:
            passed = now - self._since
            self.total_s += passed
            self.filled_s += passed * min(1.0, open_rows / self.slots)
            self.full_s += passed * (open_rows >= 0.8 * self.slots)
        self._since = now
        return self._draw(sheet, *args)


def tasks_of(policy: Any, verifier: Any, num: int) -> list[Task]:
    rows = gpo.tasks.load("chain_sum", "test", size=num, seed=0)
    made = gpo.tasks.problems(rows, policy.prompt_ids, "chain_sum", verifier.check)
    return [Task(place, problem) for place, problem in enumerate(made)]


def found(events: Sequence[Event]) -> dict[int, Any]:
    return {event.task.place: event.located.curve.trials for event in events if isinstance(event, Found)}


def compare(policy: Any, verifier: Any, num: int, slots: int, num_alone: int) -> None:
    tasks = tasks_of(policy, verifier, num)
    rows = Rows(slots)
    start = time.perf_counter()
    together = Explorer(policy, verifier, RECIPE, seed=0, slots=slots)
    fill, drained = together.engine.fill, []

    def queue() -> Iterator[Task]:
        yield from tasks
        drained.append((fill.utilisation, fill.mean))

    events = list(together.run(queue()))
    seconds = time.perf_counter() - start
    print(f"lock-step: {len(found(events))} trajectories in {seconds:.1f} s, {together.tokens:,} tokens")
    print(f"  {len(found(events)) / seconds:.2f} trajectories/s, {together.tokens / seconds:,.0f} tokens/s")
    print(f"  at least 80 % of {fill.slots} slots asked for: {fill.utilisation:.1%} of the time")
    print(f"  mean share of slots: {fill.mean:.1%}; until the queue was empty {drained[0][1]:.1%},")
    print(f"  and at least 80 % of them for {drained[0][0]:.1%} of that time")
    if rows.total_s:
        print(f"  rows open in the decoder: {rows.filled_s / rows.total_s:.1%} of the slots on average,")
        print(f"  at least 80 % of them for {rows.full_s / rows.total_s:.1%} of its time")
    start, alone, lessons, tokens = time.perf_counter(), [], Lessons(), 0
    for task in tasks[:num_alone]:
        one = Explorer(policy, verifier, RECIPE, seed=0, slots=slots, lessons=lessons)
        alone += list(one.run([task]))
        tokens += one.tokens
    single_s = time.perf_counter() - start
    a, b = len(found(events)) / seconds, len(found(alone)) / single_s
    print(f"one after the other: {len(found(alone))} trajectories in {single_s:.1f} s, {b:.2f}/s")
    same = sum(found(events)[place] == trials for place, trials in found(alone).items())
    print(f"lock-step is {a / b:.1f} times as fast; {same} of {len(found(alone))} curves have equal counts")


def kill(num: int, mean_s: float, on_table: bool) -> None:
    """`gpo locate`, killed until it is done; then a whole run to compare with.

    On the tests' table the same run folder is written without a model, which starts in a second.
    """
    args = ["--task", "chain_sum", "--max-tokens", "96", "--min-step-tokens", "1", "--rule", "drop"]
    args += ["--limit", str(num), "--slots", "64", "--json"]
    child_code = Path(__file__).parent.parent / "tests" / "killed.py"

    def command(path: Path) -> list[str]:
        if on_table:
            return [sys.executable, str(child_code), str(path), str(num), "0.02"]
        more = ["--resume", str(path)] if path.exists() else [*args, "--output", str(path)]
        return [sys.executable, "-m", "gpo", "locate", *more]

    with tempfile.TemporaryDirectory() as name:
        path, grown = Path(name) / "killed", []
        while (num_bytes := killed_once(command(path), path, mean_s)) is not None:
            grown.append(num_bytes)
        whole = Path(name) / "whole"
        subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        rollouts, curves = read(path, "rollouts"), read(path, "curves")
        names = {(r["problem"], tuple(r["prefix_ids"]), r["row"]) for r in rollouts}
        print(f"{len(grown)} kills, each after at least {min(grown, default=0):,} new bytes of rollouts")
        print(f"{len(curves)} located; {len(rollouts) - len(names)} of {len(rollouts)} rollouts twice")
        others = {line["problem"]: line for line in read(whole, "curves")}
        same = sum(one == others.get(one["problem"]) for one in curves)
        print(f"{same} of them are, in every field, those of a run that was not killed ({len(others)})")


def killed_once(command: list[str], path: Path, mean_s: float) -> int | None:
    """Kills the run at a random moment after its first new record; None if it was done before."""
    before = size(path)
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    while child.poll() is None and size(path) == before:
        time.sleep(0.005)
    deadline = time.monotonic() + random.expovariate(1 / mean_s)
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    if child.poll() is None:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return size(path) - before
    if child.returncode:
        raise SystemExit("the run failed")
    return None


def read(path: Path, name: str) -> list[Any]:
    with (path / f"{name}.jsonl").open() as file:
        return [json.loads(line) for line in file]


def size(path: Path) -> int:
    file = path / "rollouts.jsonl"
    return file.stat().st_size if file.exists() else 0


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--problems", type=whole, default=400)
    parser.add_argument("--alone", type=natural, default=30, help="problems searched one after the other")
    parser.add_argument("--slots", type=whole, default=64)
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument(
        "--kill-s", type=positive, default=20.0, help="mean seconds from a record to the kill"
    )
    parser.add_argument("--table", action="store_true", help="kill a search on the tests' table instead")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if chosen.kill:
        kill(chosen.problems, chosen.kill_s, chosen.table)
        return
    import torch

    torch.set_num_threads(1)
    policy = gpo.TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=96)
    verifier = gpo.verifiers.load("gym")
    if chosen.served:
        compare(Served(policy, chosen.slots), verifier, chosen.problems, chosen.slots, chosen.alone)
    else:
        compare(policy, verifier, chosen.problems, chosen.slots, chosen.alone)


if __name__ == "__main__":
    script(main)
