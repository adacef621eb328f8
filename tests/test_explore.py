"""Many searches on one engine: what is found depends on the rollouts alone, and none is sampled twice."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import killed
import numpy as np
import pytest
from toy import NEWLINE, RIGHT, WRONG, AllRight, TablePolicy, problems

from gpo import steps
from gpo.explore import Drawn, Explorer, Finished, Found, Lessons, Task
from gpo.explore.engine import Fill, Waves, engine_of
from gpo.explore.lessons import num_taught
from gpo.explore.waves import locate
from gpo.located import bounds_of, choose, start_search, unsampled
from gpo.paths import PathPosterior, PathPrior
from gpo.pool import Pool
from gpo.recipe import Recipe
from gpo.record import read_records
from gpo.seeds import derive_seed
from gpo.types import OFF_POLICY, Group, InputError, Request, Rollout, State

CHANCES = [0.95, 0.95, 0.5, 0.95]


def recipe(**changes) -> Recipe:
    fixed = {"group_size": 6, "explored": "failed", "splitter": steps.newline(min_tokens=1), "rule": "drop"}
    return Recipe(**{**fixed, "search_traces": 6.0, **changes})


def tasks(num: int) -> list[Task]:
    return [Task(place, problem) for place, problem in enumerate(problems(num))]


def run(policy=None, num=12, settings=None, **changes):
    policy = policy or TablePolicy(CHANCES)
    explorer = Explorer(policy, AllRight(), settings or recipe(), seed=1, **changes)
    events = list(explorer.run(tasks(num) if isinstance(num, int) else num))
    return explorer, events


def curves(events) -> dict:
    """Everything that was found of each trajectory."""
    return {
        (event.task.place, event.located.curve.rollout.completion_ids): (event.located, event.scores)
        for event in events
        if isinstance(event, Found)
    }


class Streaming(TablePolicy):
    """Answers each request after a time of its own, so in an order of its own."""

    slots = 16

    def __init__(self, seed: int) -> None:
        super().__init__(CHANCES)
        self._rng, self._threads = np.random.default_rng(seed), ThreadPoolExecutor(self.slots)
        self.most_open = self._num_open = 0
        self._lock = threading.Lock()

    def submit(self, request):
        return self._threads.submit(self._late, request, float(self._rng.exponential(0.002)))

    def _late(self, request, late_s):
        with self._lock:
            self._num_open += 1
            self.most_open = max(self.most_open, self._num_open)
        time.sleep(late_s)
        (samples,) = self.sample([request])
        with self._lock:
            self._num_open -= 1
        return samples


def test_what_is_found_does_not_depend_on_the_size_of_the_waves_nor_on_the_order_of_arrival() -> None:
    _, one_by_one = run(slots=1)
    expected = curves(one_by_one)
    assert len(expected) == 12
    assert all(sum(located.curve.trials) > 6 for located, _ in expected.values())
    for changes in ({"slots": 7}, {"slots": 500}, {"policy": Streaming(1)}, {"policy": Streaming(2)}):
        explorer, events = run(**changes)
        assert curves(events) == expected
        drawn = [(event.ask.state, event.ask.row) for event in events if isinstance(event, Drawn)]
        assert len(drawn) == len(set(drawn)) == len(explorer.policy.requests)
        assert explorer.tokens == sum(sum(e.tokens.values()) for e in events if isinstance(e, Finished))


def test_a_search_in_lock_step_is_the_search_alone() -> None:
    explorer, events = run(num=40, settings=recipe(proposal=lambda policy, traces: [None] * len(traces)))
    policy = TablePolicy(CHANCES)
    for event in events:
        if not isinstance(event, Found):
            continue
        rollout = event.located.curve.rollout
        group = next(e.groups[0] for e in events if isinstance(e, Finished) and e.task == event.task)
        bounds = bounds_of(rollout, explorer.recipe.step_splitter(), policy)
        alone = start_search(unsampled(rollout, bounds), None, explorer.recipe, PathPrior())
        after = group.rollouts[group.rollouts.index(rollout) + 1 :]
        alone.tell(0, sum(r.reward == 1 for r in after), len(after), 0)
        rows = {0: len(group.rollouts)}
        asked = alone.ask(width=2)
        while asked:
            boundary, num = asked.pop(0)
            state, first = rollout.state_at(bounds[boundary]), rows.get(boundary, 0)
            rows[boundary] = first + num
            requests = [Request(state, 1, derive_seed(1, state.key, first + i)) for i in range(num)]
            ends = [samples[0].action_ids for samples in policy.sample(requests)]
            alone.tell(boundary, sum(WRONG not in state.prefix_ids + ids for ids in ends), num)
            asked += alone.ask(width=2 - len(asked))
        assert alone.curve.trials == event.located.curve.trials
        assert alone.curve.successes == event.located.curve.successes
        assert alone.best() == event.located.critical


@pytest.mark.slow
def test_an_engine_with_a_hundred_searches_is_kept_full() -> None:
    explorer, events = run(policy=Streaming(3), num=60)
    assert explorer.policy.most_open == 16
    assert sum(isinstance(event, Finished) for event in events) == 60
    waves = TablePolicy(CHANCES)
    sizes = []
    waves.sample = lambda requests, sample=waves.sample: sizes.append(len(requests)) or sample(requests)
    run(policy=waves, num=300, slots=20, settings=recipe(search="uniform"))
    assert max(sizes) == 20
    full = [size >= 16 for size in sizes]
    assert sum(full) > 0.9 * len(full)  # but for the last searches, when no problem is left to begin


def test_searches_of_one_question_share_its_states_and_find_what_each_finds_alone() -> None:
    (problem,) = problems(1)
    lines = [[WRONG, RIGHT, RIGHT, RIGHT], [RIGHT, WRONG, RIGHT, RIGHT], [RIGHT, RIGHT, WRONG, RIGHT]]
    given = tuple(
        Rollout(State(problem), tuple(i for line in some for i in (line, NEWLINE)), (), (), "", True, 0.0, -1)
        for some in lines
    )
    settings = recipe(search="uniform", values=4)
    together = TablePolicy(CHANCES)
    _, events = run(policy=together, num=[Task(0, problem, given)], settings=settings)
    asked = [request.state.prefix_ids for request in together.requests]
    states = {one.state_at(2 * i).prefix_ids for one in given for i in range(4)}
    assert sorted(asked) == sorted(4 * list(states))
    assert len(states) == 9  # of twelve: the prompt is that of all three, and one line of two
    alone = {}
    for one in given:
        _, found = run(num=[Task(0, problem, (one,))], settings=settings)
        alone |= curves(found)
    assert curves(events) == alone
    assert {event.task.given for event in events if isinstance(event, Finished)} == {given}
    assert all(event.rollout.policy_version == 0 for event in events if isinstance(event, Drawn))
    assert OFF_POLICY == -1


@pytest.mark.slow
def test_rollouts_that_are_recorded_are_not_sampled_again() -> None:
    _, events = run(num=20)
    drawn = [event for event in events if isinstance(event, Drawn)]
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        kept = [event for event in drawn if rng.random() < share]
        recorded = {(event.ask.state, event.ask.row): event.rollout for event in kept}
        again, found = run(num=20, recorded=lambda task, kept=recorded: kept)
        assert curves(found) == curves(events)
        assert len(again.policy.requests) == len(drawn) - len(kept)


@pytest.mark.parametrize(
    ("place", "num"),
    [(0, 0), (63, 0), (64, 32), (127, 32), (128, 64), (255, 64), (4096, 2048), (10**6, 2048)],
)
def test_what_teaches_a_search_is_fixed_by_its_place(place, num) -> None:
    assert num_taught(place) == num


def test_lessons_are_learned_in_the_order_of_the_queue() -> None:
    paths = {}
    for place in range(70):
        path = PathPosterior(4, 0.0, None, [float((place + i) % 4) for i in range(4)])
        path.fit([3, 3, 0, 0], [3, 3, 3, place % 5])
        paths[place] = path
    expected = PathPrior()
    for place in range(32):
        expected = expected.learn(paths[place])
    lessons = Lessons()
    assert lessons.prior(63) == PathPrior()
    for place in reversed(range(70)):
        assert lessons.prior(64) is None
        lessons.finish(place, [paths[place]])
    assert lessons.prior(64) == lessons.prior(127) == expected


@pytest.mark.slow
def test_a_search_waits_for_those_that_teach_it_and_starts_from_what_they_taught() -> None:
    _, first = run(num=80, slots=400)
    _, again = run(num=80, slots=9)
    assert curves(first) == curves(again)
    _, some = run(num=64, slots=400)
    shared = [key for key in curves(first) if key[0] < 64]
    assert len(shared) == len(curves(some))
    assert all(curves(some)[key] == curves(first)[key] for key in shared)


def test_an_engine_that_fails_ends_the_run_and_what_was_found_stands() -> None:
    class Failing(TablePolicy):
        def sample(self, requests):
            if len(self.requests) > 100:
                raise InputError("the engine is gone")
            return super().sample(requests)

    explorer = Explorer(Failing(CHANCES), AllRight(), recipe(), seed=1, slots=10)
    events, before = [], threading.active_count()
    with pytest.raises(InputError, match="the engine is gone"):
        events.extend(iter_into(events, explorer.run(tasks(50))))
    assert sum(isinstance(event, Drawn) for event in events) >= 90
    assert threading.active_count() <= before + 30


def iter_into(events, source):
    for event in source:
        events.append(event)
    return []


def test_waves_are_full_or_asked_for() -> None:
    policy = TablePolicy(CHANCES)
    sizes = []
    policy.sample = lambda requests, sample=policy.sample: sizes.append(len(requests)) or sample(requests)
    engine = engine_of(policy, 4)
    assert isinstance(engine, Waves)
    state = State(problems(1)[0])
    first = [engine.submit(Request(state, 1, seed)) for seed in range(6)]
    assert [len(future.result(10)) for future in first[:4]] == [1] * 4
    assert not first[4].done()
    engine.flush()
    first[5].result(10)
    assert sizes == [4, 2]
    assert engine.call(lambda: "read").result(10) == "read"
    engine.close()


def test_the_share_of_time_with_full_slots() -> None:
    now = itertools.chain([0.0, 1.0, 3.0, 7.0, 7.0, 10.0])
    fill = Fill(10, clock=lambda: next(now))
    fill.add(4)  # .4 for 1 s
    fill.add(4)  # .8 for 2 s
    fill.add(12)  # 1 for 4 s
    fill.add(-20)
    fill.add(10)  # 1 for 3 s
    fill.add(-10)
    assert fill.utilisation == (2 + 4 + 3) / 10
    assert fill.mean == pytest.approx((0.4 + 1.6 + 4 + 3) / 10)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_finds_what_a_whole_run_finds(tmp_path) -> None:
    killed.locate(tmp_path / "whole", 90, 0.0)
    path, rng, sizes = tmp_path / "killed", np.random.default_rng(0), []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, killed.__file__, str(path), "90", "0.02"]
    for _ in range(3):
        child = subprocess.Popen(command, env=environment)
        before = size_of(path)
        while size_of(path) == before:
            assert child.poll() is None
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.4)))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        sizes.append(size_of(path))
    assert sizes == sorted(set(sizes))
    for name in ("rollouts", "curves", "problems"):  # a line torn in the middle, as a full disk leaves it
        with (path / f"{name}.jsonl").open("a") as file:
            file.write('{"problem": "p')
    killed.locate(path, 90, 0.0)
    assert lines(path, "curves") == lines(tmp_path / "whole", "curves")
    assert lines(path, "problems") == lines(tmp_path / "whole", "problems")
    assert lines(path, "rollouts") == lines(tmp_path / "whole", "rollouts")
    again = killed.locate(path, 90, 0.0)
    assert again.requests == []


def size_of(path: Path) -> int:
    file = path / "rollouts.jsonl"
    return file.stat().st_size if file.exists() else 0


def lines(path: Path, name: str) -> list[str]:
    """In an order that does not depend on when they came; so no line is there twice unless in both."""
    return sorted(json.dumps(line, sort_keys=True) for line in read_records(path / f"{name}.jsonl"))


@pytest.mark.parametrize("search", ["adaptive", "uniform", "bisect"])
def test_waves_on_a_pool_and_a_stream_on_an_engine_find_the_same(monkeypatch, search) -> None:
    """One boundary at a time, as with more the stream asks again before a whole wave is answered."""
    monkeypatch.setattr("gpo.explore.work.WIDTH", 1)
    settings = recipe(search=search, values=3, proposal="none", explored="all")

    class Counted(TablePolicy):
        """The k-th continuation of a state is the same whoever asks for it, and with which seed."""

        def sample(self, requests):
            rows = [self._row(request.state) for request in requests for _ in range(request.num)]
            samples = iter(super().sample([replace(one, num=1, seed=seed) for one, seed in rows]))
            return [[next(samples)[0] for _ in range(request.num)] for request in requests]

        def _row(self, state):
            self.rows = Counter(getattr(self, "rows", ()))
            self.rows[state] += 1
            return Request(state, 1, 0), derive_seed("row", state.key, self.rows[state])

    _, events = run(policy=Counted(CHANCES), num=10, settings=settings)
    pool = Pool(Counted(CHANCES), AllRight(), seed=1)
    prompts = [State(problem) for problem in problems(10)]
    pool.fill(dict.fromkeys(prompts, settings.group_size), "explore")
    groups = [Group(state, tuple(pool.at(state))) for state in prompts]
    located, _ = locate(pool, [choose([g], settings, 0, 1)[0] for g in groups], settings)
    assert len(located) == 10
    streamed = {one.located.curve.rollout.state: one.located for one in events if isinstance(one, Found)}
    for one in located:
        other = streamed[one.curve.rollout.state]
        assert (one.curve.successes, one.curve.trials) == (other.curve.successes, other.curve.trials)
        assert (one.critical, one.tokens) == (other.critical, other.tokens)
