"""Scores of predicted values against numbers worked out by hand, and what `gpo eval --value` refuses."""

import json
import math

import numpy as np
import pytest

from gpo.types import InputError
from gpo.values.judging import labelled_rows
from gpo.values.scores import States, auc, bootstrapped, first_errors, named, scores


def states(predicted, wins, trials, problems=None) -> States:
    numbers = range(len(predicted)) if problems is None else problems
    return States(*(np.array(one, float) for one in (predicted, wins, trials)), np.array([*numbers]))


def test_losses_are_those_of_a_trial_beside_one_rate_for_all() -> None:
    found = scores(states([0.8, 0.2], [3, 1], [4, 4]))
    # half of all trials succeed; each state has three trials as predicted and one otherwise
    assert found["log_loss"].value == pytest.approx(-(3 * math.log(0.8) + math.log(0.2)) / 4)
    assert found["log_loss_of_rate"].value == pytest.approx(math.log(2))
    assert found["brier"].value == pytest.approx((3 * 0.04 + 0.64) / 4)
    assert found["brier_of_rate"].value == pytest.approx(0.25)
    assert found["calibration_error"].value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("predicted", "wins", "losses", "expected"),
    [
        ([0.9, 0.1], [1, 0], [0, 1], 1.0),
        ([0.1, 0.9], [1, 0], [0, 1], 0.0),
        ([0.5, 0.5], [3, 0], [0, 7], 0.5),
        ([0.9, 0.5, 0.1], [2, 1, 0], [0, 1, 1], (2 * 2 + 1.5) / 6),
    ],
)
def test_auc_counts_pairs_of_a_success_and_a_failure(predicted, wins, losses, expected) -> None:
    found = auc(*(np.array(one, float) for one in (predicted, wins, losses)))
    assert found == pytest.approx(expected)
    assert math.isnan(auc(np.array([0.5]), np.array([1.0]), np.array([0.0])))


def test_intervals_are_over_problems_not_states() -> None:
    """Twenty states of two problems that differ: the interval is that of two numbers."""
    values = np.array([0.0] * 10 + [1.0] * 10)
    problems = np.repeat([0, 1], 10)
    found = bootstrapped(
        lambda w: {"mean": float((w[problems] * values).sum() / w[problems].sum())}, problems, 0
    )
    assert found["mean"].value == 0.5
    assert found["mean"].interval == (0.0, 1.0)


def test_the_first_step_below_the_threshold_is_named() -> None:
    assert named([0.6, 0.4, 0.1], 0.5) == 1
    assert named([0.6, 0.5], 0.5) == -1


def test_first_errors_are_found_by_the_other_halfs_threshold() -> None:
    values = [[0.9, 0.2, 0.1], [0.8, 0.9, 0.7], [0.9, 0.9, 0.3], [0.8, 0.7, 0.9]] * 2
    labels = [1, -1, 2, -1] * 2
    found = first_errors(values, labels, [0, 2, 4, 6, 1, 3, 5, 7])
    assert (found["f1"].value, found["wrong"].value, found["right"].value) == (1.0, 1.0, 1.0)
    flat = first_errors([[0.5, 0.5]] * 4, [0, -1, 1, -1], [0, 1, 2, 3])
    assert flat["f1"].value == 0.0


GOOD = {"problem": "1 + 1", "steps": ["a", "b"], "label": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "row 2: is not an object"),
        ("{", "row 2: is not valid JSON"),
        (json.dumps(GOOD | {"problem": " "}), "row 2: problem: is not text"),
        (json.dumps(GOOD | {"steps": []}), "row 2: steps: is not a list of texts"),
        (json.dumps(GOOD | {"steps": ["a", 2]}), "row 2: steps: is not a list of texts"),
        (json.dumps(GOOD | {"label": 2}), "row 2: label: is 2; give the first wrong step"),
        (json.dumps(GOOD | {"label": True}), "row 2: label: is True"),
        (json.dumps(GOOD), "needs rows of at least two problems"),
    ],
)
def test_a_row_that_is_no_labelled_solution_is_named(tmp_path, row, message) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + row)
    with pytest.raises(InputError, match=message):
        labelled_rows(path)
