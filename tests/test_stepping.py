"""The thread that keeps a step-wise engine going, with an engine of a few lines."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from gpo.policies.stepping import Stepper
from gpo.policies.streaming import Workers, all_of
from gpo.types import EngineError


@dataclass
class Output:
    request_id: str
    finished: bool
    text: str


@dataclass
class Engine:
    """Finishes a request after as many steps as it was given."""

    open: dict[str, int] = field(default_factory=dict)
    most: int = 0
    num_steps: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def add_request(self, name: str, num: int) -> None:
        if num < 0:
            raise ValueError("a negative number")
        self.open[name] = num

    def step(self) -> list[Output]:
        self.gate.wait(10)
        self.num_steps += 1
        self.most = max(self.most, len(self.open))
        if any(num == 13 for num in self.open.values()):
            raise RuntimeError("out of memory")
        self.open = {name: num - 1 for name, num in self.open.items()}
        outputs = [Output(name, num <= 0, f"after {num}") for name, num in self.open.items()]
        self.open = {name: num for name, num in self.open.items() if num > 0}
        return outputs


def submit(stepper: Stepper, num: int):
    return stepper.submit(lambda engine, name: engine.add_request(name, num), lambda output: output.text)


def test_requests_of_all_lengths_share_the_steps() -> None:
    engine = Engine()
    stepper = Stepper(engine)
    futures = [submit(stepper, num) for num in (3, 1, 2, 3)]
    engine.gate.set()
    assert [future.result(10) for future in futures] == ["after 0"] * 4
    assert engine.most >= 3
    assert engine.num_steps <= 4  # the first step may begin before all four are there
    stepper.close()


def test_a_request_that_fails_fails_alone_and_one_that_is_called_off_never_begins() -> None:
    engine = Engine()
    stepper = Stepper(engine)
    first = submit(stepper, 1)
    called_off = submit(stepper, 1)
    assert called_off.cancel() or first.done() or called_off.running()
    wrong = submit(stepper, -1)
    broken = stepper.submit(lambda engine, name: engine.add_request(name, 1), lambda output: 1 / 0)
    engine.gate.set()
    assert first.result(10) == "after 0"
    with pytest.raises(ValueError, match="a negative number"):
        wrong.result(10)
    with pytest.raises(ZeroDivisionError):
        broken.result(10)
    stepper.close()


def test_work_between_steps_waits_for_no_open_request() -> None:
    engine = Engine()
    stepper = Stepper(engine)
    assert stepper.run(lambda it: it is engine)
    future = submit(stepper, 1)
    engine.gate.set()
    future.result(10)
    assert stepper.run(lambda it: len(it.open)) == 0
    engine.gate.clear()
    submit(stepper, 2)
    threading.Timer(0.05, engine.gate.set).start()
    with pytest.raises(ValueError, match="1 requests are open"):
        stepper.run(lambda it: None)
    stepper.close()


def test_an_engine_that_breaks_off_fails_what_is_open_and_the_end_does_too() -> None:
    engine = Engine()
    engine.gate.set()
    stepper = Stepper(engine)
    with pytest.raises(EngineError, match="the engine failed: RuntimeError: out of memory"):
        submit(stepper, 13).result(10)
    engine.open.clear()
    assert submit(stepper, 1).result(10) == "after 0"
    engine.gate.clear()
    unfinished = submit(stepper, 5)
    stepper.close()
    engine.gate.set()
    with pytest.raises(EngineError, match="the engine was closed"):
        unfinished.result(10)


def test_workers_begin_as_they_are_needed_and_at_most_so_many() -> None:
    workers, gate, most, lock = Workers(3), threading.Event(), [0, 0], threading.Lock()

    def work() -> int:
        with lock:
            most[0] += 1
            most[1] = max(most)
        gate.wait(10)
        with lock:
            most[0] -= 1
        return 1

    futures = [workers.submit(work) for _ in range(8)]
    gate.set()
    assert all_of(futures) == [1] * 8
    assert most[1] <= 3
    failing = [workers.submit(lambda: 1 / 0), workers.submit(lambda: 2)]
    with pytest.raises(ZeroDivisionError):
        all_of(failing)
    workers.close()
