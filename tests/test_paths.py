"""The pooled estimator against brute force over all paths, and its calibration on its own prior."""

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest

from gpo import paths, pooled
from gpo.levels import CHANGES, LEVELS, diffusion
from gpo.paths import COMPONENTS, PathPosterior, PathPrior
from gpo.pooled import named_step


def brute_force(num_steps: int, outcome: float, successes, trials, outcome_trials: float):
    """Posterior means of V [S] and of |A| [S], and the likelihood, by summing over every path there is."""
    value, effect, total = np.zeros(num_steps), np.zeros(num_steps), 0.0
    for drift, jumps in COMPONENTS:
        jump = min(paths.MAX_JUMP_FRAC, jumps / num_steps)
        move = (1 - jump) * diffusion(drift * math.sqrt(30 / num_steps)) + jump / len(LEVELS)
        for path in itertools.product(range(len(LEVELS)), repeat=num_steps):
            v = LEVELS[list(path)]
            p = np.prod([move[a, b] for a, b in itertools.pairwise(path)])
            p *= np.prod(v ** np.array(successes) * (1 - v) ** (np.array(trials) - np.array(successes)))
            p *= (v[-1] if outcome else 1 - v[-1]) ** outcome_trials
            value, total = value + p * v, total + p
            effect += p * np.abs(np.diff(np.append(v, outcome)))
    return value / total, effect / total, total / len(LEVELS)


@pytest.mark.parametrize(
    ("outcome", "successes", "trials"), [(0.0, (3, 0), (4, 2)), (1.0, (0, 5), (0, 6)), (0.0, (0, 1), (5, 1))]
)
def test_forward_backward_is_the_sum_over_all_paths(outcome, successes, trials) -> None:
    worth = PathPrior().outcome_trials
    value, effect, likelihood = brute_force(2, outcome, successes, trials, worth)
    path = PathPosterior(2, outcome)
    path.fit(successes, trials)
    assert path.marginals @ LEVELS == pytest.approx(value, abs=1e-6)
    assert pooled.rule_scores(path, "absolute") == pytest.approx(effect, abs=1e-6)
    # An outcome worth n rollouts stands for the density (n + 1) v ** n before the last step, which sums to 1.
    assert path.evidence() == pytest.approx(math.log(likelihood * (worth + 1)), abs=1e-6)
    *_, likelihood = brute_force(2, outcome, successes, trials, 8.0)
    assert path.evidence(outcome_trials=8.0) == pytest.approx(math.log(likelihood * 9), abs=1e-6)


def test_the_outcome_counts_for_more_where_values_were_decided_before_the_last_step() -> None:
    rng = np.random.default_rng(0)
    decided = open_ended = PathPrior()
    for _ in range(30):
        values = rng.random(6)
        for last in (0.0, values[-1]):
            path = PathPosterior(6, outcome := float(rng.random() < last))
            path.fit(rng.binomial(12, [*values[:-1], last]), [12] * 6)
            if last == outcome == 0:
                decided = decided.learn(path)
            else:
                open_ended = open_ended.learn(path)
    assert decided.outcome_trials > 8
    assert open_ended.outcome_trials < 1.5
    assert decided.lifts == pytest.approx(PathPrior().lifts)  # there was no proposal


def test_drawn_paths_agree_with_the_exact_posterior() -> None:
    path = PathPosterior(12, 0.0)
    path.fit([3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1, 0], [4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 5, 0])
    drawn = path.draw(20_000, np.random.default_rng(0))
    # s.e. of a mean of 20,000 values in [0, 1] is at most .0036: .016 is 4.5 of them.
    assert drawn.mean(1) == pytest.approx(path.marginals @ LEVELS, abs=0.016)
    assert np.abs(np.diff(drawn, axis=0)).mean(1) == pytest.approx(
        pooled.rule_scores(path, "absolute")[:-1], abs=0.016
    )


def test_the_diffusion_has_the_variance_it_is_named_for() -> None:
    matrix = diffusion(0.05)
    assert matrix.sum(1) == pytest.approx(1)
    middle = len(LEVELS) // 2
    assert matrix[middle] @ CHANGES[middle] == pytest.approx(0, abs=1e-9)
    assert matrix[middle] @ CHANGES[middle] ** 2 == pytest.approx(0.05**2, rel=0.02)


def test_fit_leaves_the_counts_alone_and_more_evidence_is_surer() -> None:
    wins, trials = np.array([5.0, 5.0, 0.0, 0.0]), np.array([5.0, 5.0, 5.0, 5.0])
    path = PathPosterior(4, 0.0)
    path.fit(wins, trials)
    few = named_step(path, "drop")
    assert wins.tolist() == [5, 5, 0, 0]
    path.fit(8 * wins, 8 * trials)
    many = named_step(path, "drop")
    assert few.index == many.index == 1
    assert few.probability <= many.probability
    assert many.credibility > 0.99
    assert few.interval[0] <= few.advantage <= few.interval[1] < 0


def test_every_rule_names_its_own_step() -> None:
    path = PathPosterior(6, 0.0)
    path.fit([8, 8, 20, 20, 0, 0], [20] * 6)  # V: .4 .4 1 1 0 0
    named = {rule: named_step(path, rule).index for rule in ("signed", "absolute", "drop", "as-released")}
    assert named["signed"] == 1
    assert named["absolute"] == named["drop"] == 3
    assert named["as-released"] in (2, 3)


def test_an_unknown_outcome_leaves_the_last_step_out() -> None:
    path = PathPosterior(3, None)
    path.fit([5, 5, 0], [5, 5, 5])
    assert named_step(path, "absolute").index == 1
    assert np.isnan(pooled.rule_scores(path, "absolute")[-1])
    with pytest.raises(ValueError, match="not known without the outcome"):
        path.effect(2)


def worlds(num: int, num_steps: int, rng):
    """Paths drawn from the prior itself, with outcome."""
    for _ in range(num):
        values = PathPosterior(num_steps, None).draw(1, rng)[:, 0]
        yield values, float(rng.random() < values[-1])


@pytest.mark.slow
def test_probability_and_credibility_are_calibrated_on_the_prior() -> None:
    rng = np.random.default_rng(5)
    claims, truths = [], []
    for values, outcome in worlds(300, 10, rng):
        trials = np.full(10, 6)
        path = PathPosterior(10, outcome)
        path.fit(rng.binomial(trials, values), trials)
        step = named_step(path, "absolute", seed=1)
        effects = np.abs(np.diff(np.append(values, outcome)))
        claims.append((step.probability, step.credibility))
        truths.append((effects[step.index] >= effects.max() - 1e-9, effects[step.index] >= 0.2))
    # The mean of 300 honest claims is off by more than .13 (4.5 s.e. at most) with probability 7e-6.
    assert np.mean(claims, 0) == pytest.approx(np.mean(truths, 0), abs=0.13)


def test_a_proposal_that_knows_gains_say_and_a_useless_one_stays_without() -> None:
    rng = np.random.default_rng(0)
    informed = useless = PathPrior()
    for _ in range(40):
        at = int(rng.integers(0, 19))
        values = np.where(np.arange(20) <= at, 0.9, 0.1)
        trials = np.full(20, 12)
        wins = rng.binomial(trials, values)
        hint = rng.random(20) + 5 * (np.arange(20) == at)
        for kind, proposal in (("informed", hint), ("useless", rng.random(20))):
            path = PathPosterior(20, 0.0, informed if kind == "informed" else useless, proposal)
            path.fit(wins, trials)
            if kind == "informed":
                informed = informed.learn(path)
            else:
                useless = useless.learn(path)
    assert informed.lifts[-1] > 3
    assert informed.lifts[0] < 0.7
    assert np.all(np.abs(useless.lifts - 1) < 0.8)
    assert PathPrior().lifts == pytest.approx([0.501, 0.748, 1.449, 3.455], abs=1e-3)


def test_a_prior_is_kept_as_json_and_a_wrong_one_refused() -> None:
    prior = PathPrior().learn(PathPosterior(5, 1.0, proposal=[0, 0, 3, 0, 1]))
    assert prior != PathPrior()
    assert PathPrior.from_json(asdict(prior)) == prior
    with pytest.raises(ValueError, match="learn it again"):
        PathPrior.from_json({"jumps": [1.0]})


KNOWN = (0.7, 0.7, 0.68, 0.1, 0.1, 0.1)
"""Values of a trajectory, as a good model predicts them."""


def counted(means, say=None, prior=None, wins=(6, 5, 6, 1, 0, 1)) -> PathPosterior:
    path = PathPosterior(6, 0.0, prior, [0.0] * 6, means, say)
    path.fit(wins, [8] * 6)
    return path


def test_predicted_values_count_for_nothing_before_anything_is_learned() -> None:
    assert counted(KNOWN).say == 0
    np.testing.assert_array_equal(counted(KNOWN).marginals, counted(None).marginals)


def test_predicted_values_count_as_so_many_rollouts() -> None:
    path, plain = PathPosterior(6, 0.0, means=KNOWN, say=4.0), PathPosterior(6, 0.0)
    plain.fit(4 * np.array(KNOWN), [4] * 6)
    np.testing.assert_allclose(path.marginals, plain.marginals, atol=1e-12)


def test_counts_teach_what_predicted_values_are_worth() -> None:
    right = wrong = PathPrior()
    for _ in range(6):
        right, wrong = right.learn(counted(KNOWN)), wrong.learn(counted(KNOWN[::-1]))
    assert right.say >= 1
    assert wrong.say == 0
    assert wrong.says[0] == 0 > max(wrong.says[1:])  # the likeliest is none
    assert counted(KNOWN, prior=right).say == right.say


def test_a_prior_of_the_version_before_has_learned_nothing_of_predicted_values() -> None:
    prior = PathPrior((0.0, *(-1.0,) * 6))
    assert PathPrior.from_json({key: value for key, value in asdict(prior).items() if key != "says"}) == prior
