"""What a round found, to lines."""

from __future__ import annotations

from typing import Any

from gpo.gpo import Round
from gpo.located import Located
from gpo.protocols import Policy
from gpo.record.folder import RunFolder
from gpo.record.lines import CurveLine, RolloutLine
from gpo.seeds import json_digest


def write_round(folder: RunFolder, data: Round) -> None:
    """Every rollout with the purpose it was sampled for, and every located trajectory."""
    for some in data.pool.rollouts.values():
        for one in some:
            labels = {"round": data.index, "purpose": one.purpose, "baseline": one.baseline}
            folder.write("rollouts", RolloutLine.of(one.rollout, **labels))
    policy = data.pool.policy
    fingerprint = json_digest(policy.fingerprint) if data.located else ""
    for found in data.located:
        folder.write("curves", curve_line(found, policy, round=data.index, fingerprint=fingerprint))


def curve_line(one: Located, policy: Policy, **labels: Any) -> CurveLine:
    """The line of a trajectory whose values are those of `policy` as it samples now."""
    labels |= {"policy_version": policy.version, "probabilities": one.probabilities, "tokens": one.tokens}
    return CurveLine.of(one.curve, one.critical, one.estimate, policy.tokenizer, **labels)
