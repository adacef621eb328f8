import numpy as np
import pytest

from gpo.paths import PathPrior
from gpo.search import adaptive, bisect, uniform
from gpo.types import InputError


def test_uniform_asks_n_at_every_boundary_and_then_stops() -> None:
    search = uniform(4, num_steps=3, outcome=0.0, step_tokens=[10, 5, 5])
    asked = []
    while asks := search.ask(width=2):
        asked.append(asks)
        for boundary, num in asks:
            search.tell(boundary, num // (boundary + 1), num)
    assert asked == [[(0, 4), (1, 4)], [(2, 4)]]
    assert search.done
    assert search.curve.successes == (4, 2, 1, 0)
    assert search.curve.trials == (4, 4, 4, 1)
    assert search.tokens == 4 * (20 + 10 + 5)
    best = search.best()
    assert best is not None
    assert best.index == 0


def test_evidence_nobody_asked_for_counts() -> None:
    search = uniform(4, num_steps=2, outcome=None)
    search.tell(0, 5, 7)
    assert search.ask(width=5) == [(1, 4)]
    assert search.ask(width=5) == []
    assert not search.done
    assert search.curve.trials == (7, 0, 0)


def test_actual_tokens_replace_the_expected_ones() -> None:
    search = uniform(2, num_steps=2, outcome=1.0, step_tokens=[3, 4])
    assert search.ask(width=1) == [(0, 2)]
    assert search.tokens == 14
    search.tell(0, 1, 2, tokens=9)
    assert search.tokens == 9


@pytest.mark.parametrize("told", [(2, 0, 1), (-1, 0, 1), (0, 2, 1), (0, -1, 1)])
def test_an_impossible_answer_is_refused(told) -> None:
    with pytest.raises(ValueError):
        uniform(2, num_steps=2, outcome=0.0).tell(*told)


@pytest.mark.parametrize("bad", [{"n": 0}, {"num_steps": 0}, {"step_tokens": [1]}, {"step_tokens": [1, 0]}])
def test_impossible_settings_are_refused(bad) -> None:
    settings = {"n": 2, "num_steps": 2, "outcome": 0.0} | bad
    with pytest.raises(ValueError):
        uniform(settings.pop("n"), **settings)


def run(search, values, rng, width=1):
    """Serves a search from Bernoulli draws; returns the boundaries asked for."""
    asked = []
    while asks := search.ask(width):
        for boundary, num in asks:
            asked.append((boundary, num))
            search.tell(boundary, int(rng.binomial(num, values[boundary])), num)
    return asked


CLIFF = [0.7] * 12 + [0.05] * 8


def test_the_adaptive_search_finds_a_cliff_and_ends_without_a_budget() -> None:
    search = adaptive(num_steps=20, outcome=0.0, rule="absolute", seed=0)
    asked = run(search, CLIFF, np.random.default_rng(0))
    step = search.result()
    assert step is not None
    assert step.index == 11
    assert step.credibility >= 0.9
    assert step.interval[0] < -0.65 + 0.25
    assert search.done
    assert search.tokens <= 40 * 20  # the cap without a budget
    assert len(asked) > 5


def test_a_flat_curve_has_no_critical_step_but_a_best_one() -> None:
    search = adaptive(num_steps=15, outcome=0.0, seed=0)
    run(search, [0.0] * 15, np.random.default_rng(1))
    assert search.done
    assert search.result() is None
    assert search.best() is not None


def test_the_same_tells_give_the_same_asks() -> None:
    first, again = (adaptive(num_steps=20, outcome=0.0, seed=3, budget_tokens=200) for _ in range(2))
    assert run(first, CLIFF, np.random.default_rng(7)) == run(again, CLIFF, np.random.default_rng(7))


@pytest.mark.parametrize("make", [adaptive, lambda **s: uniform(4, **s), lambda **s: bisect(4, **s)])
def test_no_search_spends_more_than_its_budget(make) -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 20).tolist()
    search = make(num_steps=20, outcome=1.0, step_tokens=lengths, budget_tokens=5 * sum(lengths))
    asked = run(search, CLIFF, np.random.default_rng(0), width=3)
    assert sum(num * sum(lengths[b:]) for b, num in asked) == search.tokens <= 5 * sum(lengths)


def test_nothing_is_asked_twice_while_answers_are_awaited() -> None:
    search = adaptive(num_steps=10, outcome=0.0, seed=0)
    asked = [boundary for _ in range(8) for boundary, _ in search.ask(width=2)]
    assert len(asked) == len(set(asked)) == 10
    assert search.ask() == []
    assert not search.done
    search.tell(asked[0], 0, 1)
    assert search.ask()


def test_a_lost_rollout_does_not_stop_a_search() -> None:
    search = uniform(4, num_steps=2, outcome=0.0, step_tokens=[5, 5])
    assert search.ask(width=2) == [(0, 4), (1, 4)]
    search.tell(0, 1, 3)
    assert search.tokens == 3 * 10 + 4 * 5
    assert search.ask(width=2) == [(0, 1)]


def test_evidence_for_nothing_saves_tokens() -> None:
    search = adaptive(num_steps=20, outcome=0.0, seed=0, budget_tokens=20 * 20)
    search.tell(0, 21, 30, tokens=0)
    assert search.tokens == 0
    asked = run(search, CLIFF, np.random.default_rng(0))
    assert 0 not in [boundary for boundary, _ in asked[:3]]


@pytest.mark.parametrize("values", [[0.0] * 9, [1.0] * 9, [0.0, 1.0] * 4 + [0.0]])
@pytest.mark.parametrize("outcome", [0.0, 1.0, None])
def test_values_of_exactly_0_and_1_and_recoveries_are_handled(values, outcome) -> None:
    search = adaptive(num_steps=9, outcome=outcome, seed=0, budget_tokens=90)
    run(search, values, np.random.default_rng(0), width=2)
    best = search.best()
    assert best is not None
    assert 0 <= best.index < (9 if outcome is not None else 8)
    assert 0 <= best.probability <= 1


def test_one_step_is_a_search_too() -> None:
    search = adaptive(num_steps=1, outcome=0.0, seed=0)
    run(search, [0.9], np.random.default_rng(0))
    step = search.result()
    assert step is not None
    assert (step.index, step.probability) == (0, 1.0)
    assert step.advantage < -0.5


@pytest.mark.slow
def test_long_traces_of_uneven_steps_are_handled() -> None:
    lengths = np.maximum(1, np.random.default_rng(0).lognormal(3, 1, 400)).astype(int).tolist()
    search = adaptive(num_steps=400, outcome=1.0, step_tokens=lengths, budget_tokens=2 * sum(lengths))
    asked = run(search, [0.2] * 150 + [0.9] * 250, np.random.default_rng(0), width=8)
    assert asked
    assert search.best() is not None


def test_bisection_halves_the_largest_change() -> None:
    search = bisect(4, num_steps=16, outcome=0.0)
    values = [1.0] * 10 + [0.0] * 6
    asked = [boundary for boundary, _ in run(search, values, np.random.default_rng(0))]
    assert asked == [0, 15, 7, 11, 9, 10]
    step = search.best()
    assert step is not None
    assert step.index == 9
    assert search.done


def test_bisection_misses_changes_that_cancel() -> None:
    search = bisect(8, num_steps=16, outcome=1.0)
    run(search, [1.0] * 5 + [0.0] * 5 + [1.0] * 6, np.random.default_rng(0))
    assert search.result() is None


def test_the_pooled_estimator_serves_uniform_too() -> None:
    rng = np.random.default_rng(0)
    hits = {True: 0, False: 0}
    for seed in range(40):
        counts = rng.binomial(4, CLIFF)
        for pooled in (True, False):
            search = uniform(4, num_steps=20, outcome=0.0, pooled=pooled, seed=seed)
            for boundary, wins in enumerate(counts):
                search.tell(boundary, int(wins), 4)
            hits[pooled] += search.best().index == 11
    assert hits[True] > hits[False]


@pytest.mark.parametrize(
    "bad",
    [
        {"num_steps": 0},
        {"outcome": 0.5},
        {"step_tokens": [1]},
        {"proposal": [1.0]},
        {"proposal": [np.nan] * 3},
    ],
)
def test_impossible_searches_are_refused(bad) -> None:
    with pytest.raises(ValueError):
        adaptive(**{"num_steps": 3, "outcome": 0.0, **bad})


def test_rules_that_need_no_search_are_refused() -> None:
    with pytest.raises(InputError, match="'entropy' needs no search"):
        adaptive(num_steps=3, outcome=0.0, rule="entropy")


def test_a_search_says_how_probable_each_step_is_for_any_rule() -> None:
    search = adaptive(num_steps=20, outcome=0.0, rule="absolute", seed=0)
    run(search, CLIFF, np.random.default_rng(0))
    chances = search.probabilities()
    assert sum(chances) == pytest.approx(1)
    assert chances[11] == search.best().probability
    assert search.probabilities("signed")[11] < 0.05 < search.probabilities("drop")[11]


def test_bisection_spreads_a_segments_probability_over_its_steps() -> None:
    search = bisect(4, num_steps=9, outcome=0.0)
    assert search.probabilities() == [0.0] * 9
    search.tell(0, 4, 4)
    search.tell(8, 0, 4)
    chances = search.probabilities()
    assert sum(chances) == pytest.approx(1)
    assert chances[:8] == pytest.approx([chances[0]] * 8)
    best = search.best()
    assert (best.index, best.probability) == (3, chances[3])
    assert best.within_one == pytest.approx(3 * chances[3])


SURE = (0.95,) * 6 + (0.02,) * 6


def test_a_search_may_end_without_a_rollout_only_where_predicted_values_are_trusted() -> None:
    settings = {"num_steps": 12, "outcome": 0.0, "means": SURE, "proposal": [0.0] * 12, "seed": 0}
    trusted = adaptive(**settings, say=30.0)
    assert trusted.done
    assert trusted.ask() == []
    assert trusted.result().index == 5
    prior = PathPrior(says=(0.0, 0.0, 0.0, 0.0, 0.0, 99.0))  # learned to count for eight rollouts
    learned = adaptive(**settings, prior=prior)
    assert learned.best().index == 5
    assert not learned.done
    assert learned.ask()


def test_predicted_values_without_a_say_change_no_search() -> None:
    plain, given = (adaptive(num_steps=12, outcome=0.0, seed=0, **more) for more in ({}, {"means": SURE}))
    run(plain, CLIFF[:12], np.random.default_rng(0))
    run(given, CLIFF[:12], np.random.default_rng(0))
    assert (plain.successes, plain.trials, plain.best()) == (given.successes, given.trials, given.best())
