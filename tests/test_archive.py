"""States that are kept: which, where they are sampled, and how they are let go."""

from dataclasses import asdict

import numpy as np
import pytest

from gpo.archive import Archive, Trace
from gpo.types import Group, InputError, Problem, Rollout


def trace(problem: str = "p", ids=(1, 2, 3, 4, 5, 6), wins=(0, 0, 0), trials=(0, 0, 0)) -> Trace:
    return Trace(problem, tuple(ids), (0, 2, 4, 6), 1.0, tuple(wins), tuple(trials))


def chosen(archive: Archive, at: str, num: int = 9, seed: int = 0) -> list[tuple[int, int]]:
    return archive.choose(num, at, np.random.default_rng(seed))


def test_the_reset_moves_backward_as_states_are_mastered() -> None:
    assert chosen(Archive((trace(wins=(0, 0, 0), trials=(0, 0, 4)),)), "backward") == [(0, 2)]
    assert chosen(Archive((trace(wins=(0, 0, 19), trials=(7, 7, 20)),)), "backward") == [(0, 1)]
    mastered = trace(wins=(0, 19, 19), trials=(7, 20, 20))
    assert chosen(Archive((mastered,)), "backward") == [(0, 0)]
    assert chosen(Archive((trace(wins=(20, 20, 20), trials=(20, 20, 20)),)), "backward") == []


def test_the_state_of_most_signal_is_where_success_is_even() -> None:
    one = trace(wins=(0, 10, 20), trials=(20, 20, 20))
    assert chosen(Archive((one,)), "signal") == [(0, 1)]
    assert chosen(Archive((trace(wins=(40,) * 3, trials=(40,) * 3),)), "signal") == []


def test_problems_are_drawn_once_and_in_proportion_to_their_signal() -> None:
    even, rare = (
        trace("even", wins=(10, 10, 10), trials=(20, 20, 20)),
        trace("rare", trials=(40, 40, 40)),
    )
    twice = Archive((even, trace("even", ids=(9,) * 6), rare))
    picks = [chosen(twice, "signal", num=1, seed=seed)[0][0] for seed in range(400)]
    assert 0 < picks.count(2) < 60  # its signal is less than a tenth of the others'
    for seed in range(50):
        assert len({twice.traces[i].problem for i, _ in chosen(twice, "signal", seed=seed)}) == 2


def test_counts_decay_and_new_ones_are_added_where_they_were_sampled() -> None:
    archive = Archive((trace(wins=(1, 2, 4), trials=(4, 4, 8)),)).decayed(0.5)
    assert archive.traces[0].trials == (2, 2, 4)
    state = archive.state(0, 1, {"p": Problem("p", (7,), "")})
    assert state.ids == (7, 1, 2)
    rollouts = tuple(Rollout(state, (3,), (0.0,), (), "", True, float(i < 3), 0) for i in range(8))
    learned = archive.learn({(0, 1): Group(state, rollouts)}, success_at=1.0)
    assert learned.traces[0].successes == (0.5, 4.0, 2.0)
    assert learned.traces[0].trials == (2, 10, 4)


def test_the_latest_of_a_problem_are_kept_and_solved_problems_are_dropped() -> None:
    traces = [trace("p", ids=(i,) * 6) for i in range(4)]
    archive = Archive().add([*traces, traces[3], trace("q")], per_problem=2)
    assert [(t.problem, t.ids[0]) for t in archive.traces] == [("p", 2), ("p", 3), ("q", 1)]
    assert [t.problem for t in archive.without({"p"}).traces] == ["q"]


def test_an_archive_goes_through_json_and_nothing_else_does() -> None:
    archive = Archive((trace(wins=(1, 0, 0.5), trials=(2, 0, 1)),))
    assert Archive.from_json(asdict(archive)) == archive
    with pytest.raises(InputError, match="is not what a run writes"):
        Archive.from_json({"traces": [{"problem": "p"}]})
