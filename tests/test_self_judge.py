"""The model as the judge of its own first wrong step: what it is asked, and how its answer is read."""

import math
from dataclasses import replace

import pytest
from toy import NEWLINE, RIGHT, WRONG, AllRight, TablePolicy, problems

from gpo import cost, proposals, steps
from gpo.explore import Explorer, Finished, Found, Task
from gpo.explore.waves import locate
from gpo.pool import Metered, Pool
from gpo.recipe import Recipe
from gpo.self_judge import ANSWER_TOKENS, QUESTION, step_of
from gpo.types import CompletionText, InputError, Request, Sample, State, ValueCurve

IDS = (RIGHT, NEWLINE, WRONG, NEWLINE, RIGHT, NEWLINE)


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("3", 2),
        (" **Step 2**", 1),
        ("step 3: it says 4 + 5 = 8, which is 9", 2),
        ("The first wrong one is 1.", 0),
        ("Step 1 and step 2 are fine, 3 is not", 0),
        ("It is either 2 or 3", None),
        ("none of them", None),
        ("", None),
        ("0", None),
        ("4", None),
        ("-1", None),
        ("2.5", None),
        ("99999999999999999999999", None),
        ("٣", None),
    ],
)
def test_an_answer_names_a_step_if_it_begins_with_a_number_or_has_only_one(answer, index) -> None:
    assert step_of(answer, 3) == index


class Judges(TablePolicy):
    """Answers a judgement with `said`, in five tokens; its text of these is that, too."""

    template = "a chat template"

    def __init__(self, *said: str) -> None:
        super().__init__([0.9, 0.5, 0.9])
        self.said, self.asked = list(said), []

    def prompt_ids(self, question):
        if "\n" in question:
            self.asked.append(question)
        if len(question) > 10_000:
            raise InputError("the prompt has more tokens than the context")
        return (len(self.asked), 0)

    def sample(self, requests):
        judged = [one for one in requests if one.state.problem.answer == ""]
        if not judged:
            return super().sample(requests)
        assert all(one.most == ANSWER_TOKENS for one in judged)
        return [[Sample((0,) * 5, (-1.0,) * 5, (), True)] for _ in judged]

    def completion_text(self, state, action_ids):
        if state.problem.answer:
            return super().completion_text(state, action_ids)
        said = self.said[(state.problem.prompt_ids[0] - 1) % len(self.said)]
        return CompletionText(f"<think>7</think>{said}", said)


def trace(reward: float = 0.0, num: int = 3, question: str = "question 0") -> ValueCurve:
    from gpo.types import Rollout

    problem = replace(problems(1)[0], question=question)
    rollout = Rollout(State(problem), IDS[: 2 * num], (), (), "", True, reward, 0)
    return ValueCurve(tuple(range(0, 2 * num + 1, 2)), (0,) * (num + 1), (0,) * (num + 1), rollout)


def test_failed_trajectories_are_asked_about_in_numbered_steps_and_others_are_not() -> None:
    policy = Judges("2", "I cannot tell")
    traces = [trace(), trace(reward=1.0), trace(), trace(num=1), trace(question="long " * 9999)]
    found = proposals.by_name("self")(policy, traces)
    assert found == [[0.0, 1.0, 0.0], None, None, None, None]
    expected = QUESTION.replace("{steps}", "Step 1: r\nStep 2: w\nStep 3: r").replace(
        "{problem}", "question 0"
    )
    assert policy.asked[:2] == [expected] * 2
    assert len(policy.asked) == 3


def test_what_a_proposal_samples_is_counted_by_problem_and_never_exceeds_what_is_left() -> None:
    policy = Judges("2")
    requests = [Request(State(replace(one, answer="")), 1, 0, ANSWER_TOKENS) for one in problems(3)]
    metered = Metered(policy, 2 * ANSWER_TOKENS + 1)
    assert [len(samples) for samples in metered.sample(requests)] == [1, 1, 0]
    assert metered.tokens == {"p0": 5, "p1": 5}
    assert Metered(policy, 0).sample(requests) == [[], [], []]


RECIPE = Recipe(
    group_size=4,
    explored="failed",
    splitter=steps.newline(min_tokens=1),
    rule="drop",
    search_traces=4.0,
    proposal="self",
)


def test_a_search_counts_the_tokens_of_its_judgement_streamed_and_in_waves() -> None:
    policy = Judges("2", "?")
    explorer = Explorer(policy, AllRight(), RECIPE, seed=1)
    events = list(explorer.run([Task(place, one) for place, one in enumerate(problems(12))]))
    ends = [event for event in events if isinstance(event, Finished)]
    found = [event for event in events if isinstance(event, Found)]
    assert {event.tokens["judge"] for event in ends} == {5}
    assert len(found) == len(ends) == 12
    assert explorer.tokens == sum(sum(event.tokens.values()) for event in ends)
    assert any(event.scores is None for event in found)
    assert any(event.scores is not None and sum(event.scores) == 1 for event in found)
    rows = Pool(policy, AllRight(), 1)
    rows.fill({State(one): 4 for one in problems(12)}, "explore")
    failed = [
        next(r for r in rows.at(s) if not r.reward)
        for s in rows.rollouts
        if any(not r.reward for r in rows.at(s))
    ]
    locate(rows, failed, RECIPE)
    assert rows.tokens()["judge"] == 5 * len(failed)
    assert 0 < rows.num_unscored < len(failed)
    spent = Pool(
        policy,
        AllRight(),
        1,
        budget_tokens=sum(rows.tokens().values()) - rows.tokens()["judge"] - rows.tokens()["values"],
    )
    spent.rollouts = {s: [k for k in kept if k.purpose == "explore"] for s, kept in rows.rollouts.items()}
    locate(spent, failed, RECIPE)
    assert spent.num_judged == 0
    assert spent.num_unscored == len(failed)


def test_what_a_judgement_may_cost_is_part_of_what_a_search_costs() -> None:
    plain = RECIPE.changed(proposal="entropy")
    assert cost.of_search(RECIPE, 100) == cost.of_search(plain, 100) + ANSWER_TOKENS == 432
    assert cost.of_search(RECIPE.changed(search="uniform"), 100) == cost.of_search(
        plain.changed(search="uniform"), 100
    )
    assert math.isinf(Pool(Judges("1"), AllRight(), 1).left)
