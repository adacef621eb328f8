"""New tokens a second of every engine on the same work, and what our own code costs beside a server.

    .venv-vllm/bin/python benchmarks/engines.py    # after `make test-vllm`; all engines, on a CPU
    python benchmarks/engines.py                   # without vLLM: transformers alone

The tiny model, float32, 64 problems of chain_sum with 8 samples each, temperature 1; all engines end at the
same tokens, and only these are counted. Engines take turns, after one uncounted round; the figures are
medians, the ratio is to `model.generate` of the same turn, with its range. Beside a server, the share of our
own code is the time outside of `policy.sample` plus this process's CPU time inside of it, over the wall
time: an upper bound, as the CPU time inside mostly passes while the server works.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}

import torch
from command import Parser, script, whole
from sampling import with_generate

from gpo import DEMO_MODEL, recipe, steps, tasks, verifiers
from gpo.gpo import run_round
from gpo.policies.server import ServerPolicy
from gpo.policies.transformers import TransformersPolicy
from gpo.types import Problem, Request, State

MAX_TOKENS, NUM_PROBLEMS, NUM_SAMPLES = 96, 64, 8
ENGINE = {"enforce_eager": True, "block_size": 32, "max_model_len": 1024}


class Work:
    """What `with_generate` reads."""

    num_samples = NUM_SAMPLES


class Clocked:
    """A policy that notes how long `sample` takes, and this process's CPU time in it."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.wall_s, self.cpu_s = policy, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def sample(self, requests: Sequence[Request]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        found = self.policy.sample(requests)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu
        return found


@contextmanager
def server() -> Iterator[str]:
    """The URL of a vLLM server of the tiny model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(DEMO_MODEL),
        "--host",
    ]
    command += [
        "127.0.0.1",
        "--port",
        str(port),
        "--dtype",
        "float32",
        "--enforce-eager",
        "--block-size",
        "32",
    ]
    command += [
        "--max-model-len",
        "1024",
        "--max-num-seqs",
        "256",
        "--no-enable-chunked-prefill",
        "--disable-uvicorn-access-log",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def problems_of(policy: Any) -> list[Problem]:
    return tasks.problems(tasks.load("chain_sum", "test", NUM_PROBLEMS, 0), policy.prompt_ids)


def num_new(policy: Any, problems: Sequence[Problem]) -> int:
    requests = [Request(State(problem), NUM_SAMPLES, k) for k, problem in enumerate(problems)]
    return sum(len(one.action_ids) for group in policy.sample(requests) for one in group)


def timed(sample: Callable[[], int]) -> float:
    start = time.perf_counter()
    num = sample()
    return num / (time.perf_counter() - start)


def throughput(samplers: dict[str, Callable[[], int]], num_repeats: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(num_repeats + 1):
        for name, sample in samplers.items():
            rates[name].append(timed(sample))
    base = rates["transformers generate"][1:]
    print(f"{'engine':<28}{'tok/s':>10}{'ratio':>8}  (range)")
    for name, found in rates.items():
        ratios = [a / b for a, b in zip(found[1:], base, strict=True)]
        print(
            f"{name:<28}{statistics.median(found[1:]):>10,.0f}{statistics.median(ratios):>8.2f}"
            f"  ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def overhead(policy: Any, problems: Sequence[Problem]) -> None:
    """Our share of the wall time: sampling alone, and a search of critical steps."""
    verifier = verifiers.load("gym")
    searched = recipe.Recipe(
        explored="failed", splitter=steps.newline(min_tokens=1), max_located=NUM_PROBLEMS
    )
    plain = recipe.Recipe.named("base", group_size=NUM_SAMPLES)
    heads = f"{'wall s':>10}{'outside':>9}{'CPU inside':>12}{'in all':>8}{'per rollout':>13}"
    print(f"\n{'beside a server':<28}{heads}")
    for name, chosen in (("sampling", plain), ("locating", searched)):
        clocked, start = Clocked(policy), time.perf_counter()
        data = run_round(clocked, verifier, problems, chosen, index=0, seed=0)
        wall = time.perf_counter() - start
        outside, inside = (wall - clocked.wall_s) / wall, clocked.cpu_s / wall
        num = sum(map(len, data.pool.rollouts.values()))
        print(
            f"{name:<28}{wall:>10.1f}{outside:>9.1%}{inside:>12.1%}{outside + inside:>8.1%}"
            f"{(wall - clocked.wall_s + clocked.cpu_s) / num * 1e3:>10.2f} ms"
        )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--repeats", type=whole, default=5, help="measurements that count (default 5)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    local = TransformersPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS)
    problems = problems_of(local)
    prompts = [problem.prompt_ids for problem in problems]
    samplers: dict[str, Callable[[], int]] = {
        "transformers generate": lambda: with_generate(local, Work(), prompts),
        "gpo TransformersPolicy": lambda: num_new(local, problems),
    }
    with ExitStack() as stack:
        try:
            from gpo.policies.vllm import VllmPolicy
        except ImportError as error:
            print(f"without vLLM ({error})")
        else:
            in_process = VllmPolicy.load(DEMO_MODEL, max_tokens=MAX_TOKENS, slots=256, engine=ENGINE)
            stack.callback(in_process.close)
            samplers["gpo vLLM in process"] = lambda: num_new(in_process, problems)
            url = stack.enter_context(server())
            served = ServerPolicy.load([url], DEMO_MODEL, max_tokens=MAX_TOKENS, slots=256)
            stack.callback(served.close)
            samplers["gpo vLLM server"] = lambda: num_new(served, problems)
        throughput(samplers, arguments.repeats)
        if "gpo vLLM server" in samplers:
            overhead(served, problems)


if __name__ == "__main__":
    script(main)
