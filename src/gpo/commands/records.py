"""Rollouts and curves of a round to the lines of its run folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gpo.gpo import Round
from gpo.locate import Located
from gpo.pool import Pool
from gpo.protocols import Policy
from gpo.record import Json, RunFolder, curve_record, rollout_record
from gpo.seeds import json_digest
from gpo.types import Group


def write_round(folder: RunFolder, data: Round) -> None:
    """Every rollout with the purpose it was sampled for, and every located trajectory."""
    write_rollouts(folder, data.pool, data.index)
    if data.located:
        write_curves(folder, data.located, data.pool.policy, data.index)


def write_rollouts(folder: RunFolder, pool: Pool, index: int) -> None:
    for some in pool.rollouts.values():
        for one in some:
            labels = {"round": index, "purpose": one.purpose, "baseline": one.baseline}
            folder.write("rollouts", rollout_record(one.rollout, **labels))


def write_curves(folder: RunFolder, located: Iterable[Located], policy: Policy, index: int) -> None:
    """Their values are those of `policy` as it samples now: each line holds its fingerprint."""
    fingerprint = json_digest(policy.fingerprint)
    for one in located:
        folder.write("curves", curve_line(one, policy, round=index, fingerprint=fingerprint))


def curve_line(one: Located, policy: Policy, **labels: Any) -> Json:
    estimate = {**asdict(one.estimate), "probabilities": one.probabilities, "tokens": one.tokens}
    labels = {**labels, "policy_version": policy.version}
    return curve_record(one.curve, one.critical, estimate, policy.tokenizer, **labels)


def write_evaluated(folder: RunFolder, groups: Iterable[Group], index: int) -> None:
    """Every completion of an evaluation."""
    for group in groups:
        for rollout in group.rollouts:
            folder.write("rollouts", rollout_record(rollout, round=index, purpose="evaluation"))
