"""Rollouts and curves of a round to the lines of its run folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from gpo.gpo import Located, Round
from gpo.pool import Pool
from gpo.record import RunFolder, curve_record, rollout_record
from gpo.types import Tokenizer


def write_round(folder: RunFolder, data: Round, tokenizer: Tokenizer) -> None:
    """Every rollout with the purpose it was sampled for, and every located trajectory."""
    write_rollouts(folder, data.pool, data.index)
    write_curves(folder, data.located, tokenizer, data.index)


def write_rollouts(folder: RunFolder, pool: Pool, index: int) -> None:
    for rollouts in pool.rollouts.values():
        for purpose, rollout in rollouts:
            folder.write("rollouts", rollout_record(rollout, round=index, purpose=purpose))


def write_curves(folder: RunFolder, located: Iterable[Located], tokenizer: Tokenizer, index: int) -> None:
    for one in located:
        folder.write(
            "curves", curve_record(one.curve, one.critical, asdict(one.estimate), tokenizer, round=index)
        )
