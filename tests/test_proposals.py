"""What each proposal says of a trajectory whose numbers are known."""

import math
from unittest import mock

import pytest
from toy import NEWLINE, RIGHT, WRONG, TablePolicy, problems

from gpo import proposals
from gpo.cli import main
from gpo.curve import Floats
from gpo.recipe import Recipe
from gpo.setup.engine import suited
from gpo.types import OFF_POLICY, InputError, Rollout, Sample, State, ValueCurve
from gpo.values.proposal import proposal

IDS = (RIGHT, NEWLINE, WRONG, NEWLINE, RIGHT, NEWLINE)


def trace(logprobs=(), entropies=()) -> ValueCurve:
    rollout = Rollout(State(problems(1)[0]), IDS, logprobs, entropies, "", True, 0.0, OFF_POLICY)
    return ValueCurve((0, 2, 4, 6), (0,) * 4, (0,) * 4, rollout)


SAMPLED = trace((-0.1, -0.3, -1.0, -3.0, 0.0, -0.2), (0.5, 0.7, 0.1, 0.1, 2.0, 1.0))


def test_entropy_and_surprisal_are_means_over_each_steps_tokens() -> None:
    policy = TablePolicy([0.5] * 3)
    assert proposals.entropy(policy, [SAMPLED]) == [[pytest.approx(x) for x in (0.6, 0.1, 1.5)]]
    assert proposals.surprisal(policy, [SAMPLED]) == [[pytest.approx(x) for x in (0.2, 2.0, 0.1)]]
    assert proposals.none(policy, [SAMPLED]) == [None]


def test_a_trajectory_from_elsewhere_is_read_once_and_then_scored() -> None:
    class Reads(TablePolicy):
        def read(self, given):
            assert [ids for _, ids in given] == [IDS]
            return [Sample(IDS, (-0.5,) * 6, (0.25,) * 6, True)]

    policy = Reads([0.5] * 3)
    assert proposals.surprisal(policy, [SAMPLED, trace()])[1] == [0.5] * 3
    assert proposals.entropy(policy, [trace(), SAMPLED])[0] == [0.25] * 3


def test_an_engine_without_entropies_says_nothing_rather_than_something_else() -> None:
    assert proposals.entropy(TablePolicy([0.5]), [trace((-0.1,) * 6)]) == [None]


def test_a_forced_answer_scores_how_much_its_likelihood_changes() -> None:
    likelihoods = {0: 0.6, 2: 0.5, 4: 0.1}

    class Answers(TablePolicy):
        def read(self, given):
            asked = [math.log(likelihoods[len(state.prefix_ids)]) for state, _ in given]
            assert {self.text(ids) for _, ids in given} == {"r"}
            return [
                Sample(ids, (one,) * len(ids), (0.0,) * len(ids), True)
                for (_, ids), one in zip(given, asked, strict=True)
            ]

    scores = proposals.forced_answer("{answer}")(Answers([0.5] * 3), [SAMPLED, SAMPLED])
    assert scores == [[pytest.approx(x) for x in (0.1, 0.4, 0.25)]] * 2
    with pytest.raises(InputError, match=r"must hold \{answer\} once"):
        proposals.by_name("forced-answer", template="so it is")


def count_w(question: str, answer: str, steps: list[str]) -> list[float]:
    assert (question, answer) == ("question 0", "r")
    return [step.count("w") for step in steps]


def too_few(question: str, answer: str, steps: list[str]) -> Floats:
    return [0.0]


def test_a_judge_sees_the_steps_texts_and_must_score_each() -> None:
    policy = TablePolicy([0.5] * 3)
    assert proposals.by_name("test_proposals:count_w")(policy, [SAMPLED]) == [[0.0, 1.0, 0.0]]
    with pytest.raises(InputError, match=r"gave '.0.0.' for the 3 steps of problem p0"):
        proposals.by_name("test_proposals:too_few")(policy, [SAMPLED])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "guess",
            "'guess' is unknown; one of entropy, surprisal, forced-answer, self, none, value:PATH or module",
        ),
        ("no_such_module:f", "cannot be imported"),
        ("math:no_such", "cannot be imported"),
        ("math:pi", "is a float, not a function"),
    ],
)
def test_a_proposal_that_is_none_is_one_line(spec, message) -> None:
    with pytest.raises(InputError, match=message):
        proposals.by_name(spec)


class Known:
    """A value model of the toy's completion: a fall of 0.6 in its second step."""

    def read(self, given):
        assert [(state.prefix_ids, ids) for state, ids in given] == [((), IDS)]
        return [[0.7, 0.7, 0.8, 0.5, 0.2, 0.2, 0.1]]


@pytest.mark.parametrize("say", [None, 2.0])
def test_a_value_model_scores_its_changes_and_predicts_the_path(say) -> None:
    [found] = proposal(Known(), say)(TablePolicy([0.5] * 3), [SAMPLED])
    assert found == [pytest.approx(x) for x in (0.1, 0.6, 0.35)]  # the last gets the mean
    assert (found.means, found.say) == ([0.7, 0.8, 0.2], say)


def test_a_value_model_must_be_named_and_given_a_policy() -> None:
    with pytest.raises(InputError, match="names no value model; give its folder, as in value:runs/value"):
        proposals.by_name("value: ")
    with pytest.raises(InputError, match="serves gpo locate and gpo pairs alone"):
        proposals.by_name("value:runs/value")(TablePolicy([0.5]), [])


class Mute(TablePolicy):
    """An engine that gives what its settings say."""

    def __init__(self, **gives: object) -> None:
        super().__init__({})
        self.gives = gives

    has_entropies = property(lambda self: self.gives.get("has_entropies", False))
    has_logprobs = property(lambda self: self.gives.get("has_logprobs", False))
    unreadable = property(lambda self: self.gives.get("unreadable", ""))


@pytest.mark.parametrize(
    ("proposal", "gives", "said"),
    [
        ("entropy", {}, "no entropies, so the proposal has no effect; --proposal none says so"),
        ("entropy", {"has_logprobs": True}, "has no effect; --proposal surprisal is free"),
        ("entropy", {"has_entropies": True}, None),
        ("surprisal", {}, "no log-probabilities, so the proposal has no effect; --proposal none says so"),
        ("surprisal", {"has_logprobs": True}, None),
        ("forced-answer", {"has_logprobs": True}, None),
    ],
)
def test_a_proposal_that_the_engine_makes_vain_is_told_of_before_sampling(
    proposal, gives, said, recwarn
) -> None:
    suited(Recipe(rule="absolute", proposal=proposal), Mute(**gives))
    assert [str(one.message) for one in recwarn] == ([mock.ANY] if said else [])
    assert said is None or said in str(recwarn[0].message)


def test_a_forced_answer_that_the_engine_cannot_read_is_refused_before_sampling() -> None:
    with pytest.raises(InputError, match="no log-probabilities at all"):
        suited(
            Recipe(rule="absolute", proposal="forced-answer"), Mute(unreadable="no log-probabilities at all")
        )
    suited(Recipe(rule="entropy", proposal="forced-answer"), Mute(unreadable="not asked"))


def test_a_judge_that_cannot_score_is_refused_before_weights_load(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr("gpo.setup.engine.load_policy", lambda *_: pytest.fail("weights were loaded"))
    command = (
        "locate",
        "--task",
        "chain_sum",
        "--model",
        "demo",
        "--limit",
        "1",
        "--output",
        str(tmp_path / "new"),
    )
    with pytest.raises(SystemExit) as error:
        main([*command, "--proposal", "test_proposals:count_w"])
    assert error.value.code == 2
    assert "proposal: the function raised AssertionError" in capsys.readouterr().err
