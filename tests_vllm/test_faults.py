"""A real vLLM server behind our harmful proxy, and killed and begun again in the middle of a run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from conftest import Served
from stub_server import Faulty

LOCATE = ["locate", "--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--limit", "12"]
LOCATE += ["--group-size", "4", "--search", "uniform", "--values", "4", "--engine", "server", "--json"]


def started(folder: Path, url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gpo", *LOCATE, "--server", url, "--output", name]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def located(folder: Path, url: str, name: str) -> dict:
    process = started(folder, url, name)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def trials_and_rollouts(folder: Path) -> tuple[list, list]:
    curves = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    rollouts = [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]
    keys = ("problem", "completion_ids", "bounds", "successes", "trials")
    of_rollout = ("problem", "purpose", "prefix_ids", "action_ids", "reward")
    return (
        sorted([curve[key] for key in keys] for curve in curves),
        sorted([line[key] for key in of_rollout] for line in rollouts),
    )


def test_trials_and_rollouts_are_the_same_when_a_fifth_of_all_calls_goes_wrong(served, tmp_path) -> None:
    located(tmp_path, served.url, "clean")
    with Faulty(served.url) as proxy:
        summary = located(tmp_path, proxy.url, "harmed")
        assert min(proxy.counts[kind] for kind in Faulty.KINDS) >= 1
    clean, harmed = (trials_and_rollouts(tmp_path / name) for name in ("clean", "harmed"))
    assert len(clean[0]) >= 3
    assert clean == harmed
    assert sum(summary["tried_again"].values()) >= 5


def test_a_server_that_is_killed_and_begun_again_loses_nothing_and_counts_nothing_twice(tmp_path) -> None:
    server = Served()
    try:
        located(tmp_path, server.url, "clean")
        with Faulty(server.url, harmed_percent=0) as proxy:
            process = started(tmp_path, proxy.url, "killed")
            while proxy.counts["calls"] < 16:
                assert process.poll() is None
                time.sleep(0.01)
            server.kill()
            server.start()
            out, _ = process.communicate(timeout=600)
        assert process.returncode == 0
        assert trials_and_rollouts(tmp_path / "clean") == trials_and_rollouts(tmp_path / "killed")
        assert json.loads(out.splitlines()[-1])["tried_again"]
    finally:
        server.kill()
