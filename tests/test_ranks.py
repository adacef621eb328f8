"""Two processes do what one does: at the learner, and from the front door under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpo import DEMO_MODEL
from gpo.cli import main
from gpo.ranks import Ranks
from gpo.types import InputError, RunError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TRAIN = ["train", "--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--size", "32"]
TRAIN += ["--problems-per-round", "4", "--group-size", "4", "--max-located", "2", "--eval-problems", "4"]
TRAIN += ["--eval-every", "0", "--learning-rate", "1e-4", "--warmup-updates", "1", "--rounds", "2"]
TRAIN += ["--step-reward", "repro", "--ib-coef", "0.01"]


def torchrun(*args: str, cwd: Path) -> str:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": paths}
    found = subprocess.run(
        [*TORCHRUN, *args], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def test_two_processes_learn_what_one_learns_whole_or_sharded(tmp_path) -> None:
    torchrun(str(Path(__file__).parent / "two_processes.py"), str(tmp_path), cwd=tmp_path)
    assert (tmp_path / "done").exists()


def test_training_under_torchrun_gives_the_weights_of_one_process(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    main([*TRAIN, "--output", "one", "--json"])
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    (line,) = torchrun("-m", "gpo", *TRAIN, "--output", "two", "--json", cwd=tmp_path).splitlines()
    assert json.loads(line) | {"run": "one"} == expected
    start = load_file(DEMO_MODEL / "model.safetensors")
    one, two = (load_file(f"{run}/model/model.safetensors") for run in ("one", "two"))
    moved = sum(float(((one[name] - start[name]) ** 2).sum()) for name in one)
    apart = sum(float(((one[name] - two[name]) ** 2).sum()) for name in one)
    # Rounding differs, and Adam makes full steps of gradients that are nothing but rounding.
    assert apart < 1e-4 * moved
    for run in ("one", "two"):
        assert len(Path(run, "rounds.jsonl").read_text().splitlines()) == 3
    rollouts = [Path(run, "rollouts.jsonl").read_text().splitlines() for run in ("one", "two")]
    assert [json.loads(x)["action_ids"] for x in rollouts[0]] == [
        json.loads(x)["action_ids"] for x in rollouts[1]
    ]


def test_processes_that_accelerate_does_not_see_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="set ACCELERATE_USE_CPU=true"):
        Ranks()


def test_a_process_that_is_gone_is_told_in_one_line() -> None:
    class Broken:
        def reduce(self, *_: object, **__: object) -> None:
            raise RuntimeError("[tcp/pair.cc:547]\n Connection closed by peer")

    ranks = Ranks()
    ranks.num, ranks.accelerator = 2, Broken()
    with pytest.raises(
        RunError, match=r"^another process .* \(\[tcp/pair.cc:547\] Connection closed by peer\)$"
    ):
        ranks.sum(torch.zeros(1))


def test_work_is_shared_out_by_its_cost() -> None:
    class Second(Ranks):
        def __init__(self, index: int) -> None:
            self.num, self.index = 2, index

    costs = [5, 1, 1, 1, 1, 1]
    shares = [Second(index).mine(costs) for index in (0, 1)]
    assert shares == [[0], [1, 2, 3, 4, 5]]
