"""A policy that records its samples at once and does not sample them again after a run was killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpo.protocols import ForwardingPolicy, Policy
from gpo.record import RunFolder, read_lines
from gpo.record.lines import Continuation, SampledLine
from gpo.types import Request, Sample

SLICE = 256
"""Rows of one call: what a killed run loses at most."""

Name = tuple[str, int, int, int]
"""State, seed, number of rows and policy version of a request."""


class Remembered(ForwardingPolicy):
    """The policy, with what the run has sampled already."""

    def __init__(self, policy: Policy, folder: RunFolder, known: Mapping[Name, list[Sample]]) -> None:
        super().__init__(policy)
        self.folder, self._known = folder, dict(known)

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its samples, in order; those that are known cost nothing."""
        missing = [request for request in requests if self._name(request) not in self._known]
        while missing:
            some, num = [missing.pop(0)], 0
            while missing and (num := num + some[-1].num) + missing[0].num <= SLICE:
                some.append(missing.pop(0))
            for request, samples in zip(some, self.policy.sample(some), strict=True):
                self._known[self._name(request)] = samples
                self.folder.write("samples", self._line(request, samples))
        return [self._known[self._name(request)] for request in requests]

    def _name(self, request: Request) -> Name:
        return request.state.key, request.seed, request.num, self.version

    def _line(self, request: Request, samples: Sequence[Sample]) -> SampledLine:
        drawn = tuple(Continuation.of(sample) for sample in samples)
        return SampledLine(
            state=request.state.key, seed=request.seed, policy_version=self.version, samples=drawn
        )


def read_samples(run: Path, num_ids: int) -> dict[Name, list[Sample]]:
    """What the run's samples.jsonl holds."""
    return {
        (line.state, line.seed, len(line.samples), line.policy_version): [one.sample for one in line.samples]
        for line in read_lines(run / "samples.jsonl", SampledLine, num_ids)
    }
