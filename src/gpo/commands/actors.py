"""Settings to what samples without learning: the policy in this process or in Ray actors, and its slots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gpo.commands import engines
from gpo.config import SweepSettings
from gpo.types import InputError, Policy


@contextmanager
def sampling(settings: SweepSettings) -> Iterator[Policy]:
    """The policy that samples: in this process, or in the actors that were asked for, which end with it."""
    if not settings.actors:
        yield engines.load_engine(settings)
        return
    if settings.engine == "server":
        raise InputError("--actors: a server samples by itself; leave it out")
    from gpo.policies.ray import RayPolicy

    rows = settings.slots or max(1, settings.batch_tokens // (2 * settings.max_tokens))
    make = partial(engines.load_engine, settings.model_copy(update=absolute(settings)))
    policy = RayPolicy(make, settings.actors, slots=rows, num_gpus=settings.actor_gpus)
    try:
        yield policy
    finally:
        policy.close()


def absolute(settings: SweepSettings) -> dict[str, str]:
    """Where the model is, for actors that run in another folder; a hub name stays one."""
    names = {key: getattr(settings, key) for key in ("model", "adapter")}
    return {
        key: str(Path(name).absolute())
        for key, name in names.items()
        if name and name != "demo" and Path(name).exists()
    }


def slots(settings: SweepSettings, policy: Policy, longest: int | None) -> int:
    """Rows of a wave: those asked for, else as many as `batch_tokens` hold where all are of full length.

    `longest` is the longest prompt; as long as a completion where it is not known.
    """
    width = policy.max_tokens + (policy.max_tokens if longest is None else longest)
    return settings.slots or max(1, settings.batch_tokens // width)
