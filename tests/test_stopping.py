"""A wave that somebody does not want any more: the policy is told, and decoding ends at the next token."""

import threading

import pytest

from gpo import DEMO_MODEL
from gpo.explore.engine import Streams, Waves
from gpo.policies.decoding import Ending, Row, StoppedError, decode
from gpo.policies.sampler import Sampling
from gpo.policies.transformers import TransformersPolicy
from gpo.types import Problem, Request, Sample, State


@pytest.fixture(scope="module")
def policy() -> TransformersPolicy:
    return TransformersPolicy.load(DEMO_MODEL, device="cpu", max_tokens=32)


def request_of(policy: TransformersPolicy) -> Request:
    return Request(State(Problem("p", policy.prompt_ids("1 + 1?"), "2")), 2, 7)


def test_decoding_ends_once_the_flag_is_set(policy: TransformersPolicy) -> None:
    stop = threading.Event()
    rows = [Row(policy.prompt_ids("1 + 1?"), 16, 7, 0)]
    ending = Ending((), (), policy.tokenizer)
    (whole,) = decode(policy.model, rows, Sampling(1.0, 1.0, 0), ending, None, stop)
    assert len(whole.action_ids) == 16
    stop.set()
    with pytest.raises(StoppedError):
        decode(policy.model, rows, Sampling(1.0, 1.0, 0), ending, None, stop)


def test_a_policy_that_was_stopped_samples_as_before(policy: TransformersPolicy) -> None:
    before = policy.sample([request_of(policy)])
    handle = policy.model.register_forward_hook(lambda *_: policy.interrupt())
    try:
        with pytest.raises(StoppedError):
            policy.sample([request_of(policy)])
    finally:
        handle.remove()
    policy.interrupt()  # of no call
    assert policy.sample([request_of(policy)]) == before


class Waiting:
    """A policy that samples until it is told to stop."""

    def __init__(self) -> None:
        self.began, self.stopped = threading.Event(), threading.Event()
        self.slots = 4

    def sample(self, requests: list[Request]) -> list[list[Sample]]:
        self.began.set()
        assert self.stopped.wait(60)
        raise StoppedError

    def interrupt(self) -> None:
        self.stopped.set()


def test_the_end_of_a_run_stops_its_wave(policy: TransformersPolicy) -> None:
    waiting = Waiting()
    waves = Waves(waiting, 2)  # type: ignore[arg-type]
    future = waves.submit(request_of(policy))
    assert waiting.began.wait(60)
    waves.close()
    assert waiting.stopped.is_set()
    assert not waves._thread.is_alive()
    with pytest.raises(StoppedError):
        future.result(0)


def test_a_read_that_a_server_does_not_answer_keeps_nobody_from_ending() -> None:
    streams, answered = Streams(Waiting()), threading.Event()  # type: ignore[arg-type]
    future = streams.call(lambda: answered.wait(60))
    streams.close()
    assert not future.done()
    answered.set()
    assert future.result(60)
    failed = streams.call(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(60)
