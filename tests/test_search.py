import pytest

from gpo.search import uniform


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
