"""The processes of a run that torchrun started: who am I, sum over all, and work shared out among them.

All processes hold the same data and the same weights and do the same things in the same order. What costs
time is shared out, and the results are summed as tensors: each process fills in its own part of zeros. So
no objects are pickled, and a run with two processes does what a run with one does.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gpo.protocols import UNJUDGED, ForwardingPolicy, Policy, Verifier, unjudged
from gpo.types import Ids, InputError, Problem, Request, RunError, Sample, State


class Ranks:
    """The processes of this run; without an accelerator this one alone."""

    def __init__(self, accelerator: Any = None) -> None:
        """With one of accelerate's; InputError if torchrun started processes that it does not see."""
        self.accelerator = accelerator
        self.num: int = accelerator.num_processes if accelerator else 1
        self.index: int = accelerator.process_index if accelerator else 0
        self.device: torch.device = accelerator.device if accelerator else torch.device("cpu")
        kind = accelerator.distributed_type.value if accelerator else "NO"
        if not (kind in ("NO", "FSDP") or kind.startswith("MULTI_")) or (
            kind == "FSDP" and not accelerator.is_fsdp2
        ):
            raise InputError(f"accelerate: {kind} is not supported; use plain processes or fsdp_version 2")
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if started != self.num:
            raise InputError(
                f"torchrun started {started} processes, but accelerate sees {self.num}; "
                "without GPUs set ACCELERATE_USE_CPU=true"
            )

    @property
    def is_first(self) -> bool:
        """The one process that writes and prints."""
        return self.index == 0

    @property
    def is_sharded(self) -> bool:
        """Whether weights are spread over the processes (FSDP), as accelerate was configured."""
        return bool(self.accelerator) and self.accelerator.distributed_type.value == "FSDP"

    def shard(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """The module and its optimizer, spread over the processes."""
        prepared = self.accelerator.prepare(module, optimizer)
        return prepared[0], prepared[1]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors, on the tensor's device."""
        if self.num == 1:
            return tensor
        with _together():
            total: Tensor = self.accelerator.reduce(tensor.to(self.device), reduction="sum")
        return total.to(tensor.device)

    def mine(self, costs: Sequence[float]) -> list[int]:
        """Which of the pieces of work are this process's: the costliest first, each to the least burdened."""
        burdens = [0.0] * self.num
        mine = []
        for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
            least = burdens.index(min(burdens))
            burdens[least] += costs[i]
            if least == self.index:
                mine.append(i)
        return sorted(mine)

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.num > 1:
            with _together():
                self.accelerator.wait_for_everyone()

    def close(self) -> None:
        """Ends the work together."""
        if self.num > 1:
            self.accelerator.end_training()


@contextmanager
def _together() -> Iterator[None]:
    """Turns what a backend raises where another process is gone into a RunError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"another process of this run has ended or cannot be reached ({reason})") from error


class SharedPolicy(ForwardingPolicy):
    """A policy whose requests are shared out; every process gets all samples. `seconds` were spent here."""

    def __init__(self, policy: Policy, ranks: Ranks) -> None:
        super().__init__(policy)
        self.ranks, self.seconds, self._num_others = ranks, 0.0, 0

    @property
    def num_drawn(self) -> int:
        """Of all processes; those of the others once they have sent them."""
        return self.policy.num_drawn + self._num_others

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """Whole requests are shared out; a row draws the same tokens wherever it is sampled."""
        start = time.perf_counter()
        mine = self.ranks.mine([request.num for request in requests])
        drawn = dict(zip(mine, self.policy.sample([requests[i] for i in mine]), strict=True))
        samples = self._exchanged(drawn, [request.num for request in requests])
        others = (one for i, some in enumerate(samples) if i not in drawn for one in some)
        self._num_others += sum(len(one.action_ids) for one in others)
        self.seconds += time.perf_counter() - start
        return samples

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        start = time.perf_counter()
        mine = self.ranks.mine([len(state.ids) + len(ids) for state, ids in given])
        seen = zip(mine, self.policy.read([given[i] for i in mine]), strict=True)
        samples = self._exchanged({i: [one] for i, one in seen}, [1] * len(given))
        self.seconds += time.perf_counter() - start
        return [one for (one,) in samples]

    def _exchanged(self, drawn: dict[int, list[Sample]], nums: Sequence[int]) -> list[list[Sample]]:
        if self.ranks.num == 1:
            return [drawn[i] for i in range(len(nums))]
        firsts = [sum(nums[:i]) for i in range(len(nums))]
        rows = {firsts[i] + k: one for i, samples in drawn.items() for k, one in enumerate(samples)}
        everyone = iter(exchanged(rows, sum(nums), self.ranks))
        return [[next(everyone) for _ in range(num)] for num in nums]


class SharedVerifier:
    """A verifier whose answers are shared out; every process gets all rewards. `seconds` were spent here."""

    def __init__(self, verifier: Verifier, ranks: Ranks) -> None:
        self.verifier, self.ranks, self.seconds = verifier, ranks, 0.0
        self.unjudged: Counter[str] = Counter(dict.fromkeys(UNJUDGED, 0))

    @property
    def num_timeouts(self) -> int:
        return self.unjudged["timeouts"]

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        start, before = time.perf_counter(), unjudged(self.verifier)
        mine = list(range(self.ranks.index, len(texts), self.ranks.num))
        scores = self.verifier.score([problems[i] for i in mine], [texts[i] for i in mine])
        rewards = torch.zeros(len(texts) + len(UNJUDGED), dtype=torch.float64)
        rewards[mine] = torch.tensor(scores, dtype=torch.float64)
        missed = [num - before[kind] for kind, num in unjudged(self.verifier).items()]
        rewards[len(texts) :] = torch.tensor(missed, dtype=torch.float64)
        sums = self.ranks.sum(rewards).tolist()
        self.unjudged.update(dict(zip(UNJUDGED, map(int, sums[len(texts) :]), strict=True)))
        self.seconds += time.perf_counter() - start
        return sums[: len(texts)]

    def check(self, problem: Problem) -> None:
        self.verifier.check(problem)


def exchanged(rows: dict[int, Sample], num: int, ranks: Ranks) -> list[Sample]:
    """All `num` samples, of which this process holds `rows`: padded tensors, each filled in its own part."""
    sizes = torch.zeros(num, 3, dtype=torch.long)  # tokens, entropies, finished
    for i, one in rows.items():
        sizes[i] = torch.tensor([len(one.action_ids), len(one.entropies), int(one.finished)])
    sizes = ranks.sum(sizes)
    width = int(sizes[:, 0].max()) if num else 0
    ids = torch.zeros(num, width, dtype=torch.long)
    floats = torch.zeros(2, num, width, dtype=torch.float64)
    for i, one in rows.items():
        ids[i, : len(one.action_ids)] = torch.tensor(one.action_ids, dtype=torch.long)
        for column, values in enumerate((one.logprobs, one.entropies)):
            floats[column, i, : len(values)] = torch.tensor(values, dtype=torch.float64)
    ids, floats = ranks.sum(ids), ranks.sum(floats)
    samples = []
    for row, (length, num_entropies, is_finished) in enumerate(sizes.tolist()):
        logprobs, entropies = (tuple(column[row].tolist()) for column in floats)
        samples.append(
            Sample(
                tuple(ids[row, :length].tolist()),
                logprobs[:length],
                entropies[:num_entropies],
                bool(is_finished),
            )
        )
    return samples
