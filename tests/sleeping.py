"""What tests/test_ending.py ends from outside: a command of which one part sleeps for ten minutes.

python sleeping.py PART NOTED ARGUMENTS...: touches the file NOTED when it begins to sleep.
"""

import sys
import time
from concurrent.futures import Future
from pathlib import Path

from gpo import ending
from gpo.cli import main
from gpo.explore import engine
from gpo.setup import engine as engines

engine.PATIENCE_S = 0.5
PART, NOTED = sys.argv[1], Path(sys.argv[2])


def sleep(*_, **__):
    NOTED.touch()
    time.sleep(600)


def swallow(*_, **__):
    """As a library does that takes every exception for its own."""
    ending.GRACE_S = 1.0
    NOTED.touch()
    while True:
        try:
            time.sleep(600)
        except BaseException:  # noqa: BLE001, S112 - this is the fault
            continue


def prepared(load):
    def loaded(*args, **kwargs):
        if PART == "load":
            sleep()
        policy = load(*args, **kwargs)
        sample, waves = policy.sample, []

        def sampled(requests):
            waves.append(requests)
            return sleep() if PART == "wave" and len(waves) > 1 else sample(requests)

        policy.sample = {"swallow": swallow, "now": sleep}.get(PART, sampled)
        if PART == "save":
            policy.save = sleep
        if PART == "stream":
            policy.slots = 8
            policy.submit = lambda _: NOTED.touch() or Future()
        return policy

    return loaded


if PART == "trainer":
    from gpo.learn.preference import Progress

    Progress.on_step_end = sleep
engines.load_policy = prepared(engines.load_policy)
sys.argv = ["gpo", *sys.argv[3:]]
main()
