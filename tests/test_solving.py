"""Tokens spent on problems: each strategy on a policy whose words are known, and on the demo."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import error_of, gpo
from test_values import FOUND
from toy import AllRight, TablePolicy, problems

from gpo import DEMO_MODEL, TransformersPolicy, solve, steps
from gpo.cli import main
from gpo.explore import Drawn, Task
from gpo.protocols import Capabilities
from gpo.record import read_records
from gpo.solving import Solved, Solver, Solving, solution
from gpo.solving.answers import Attempt, Knowing
from gpo.solving.strategies import Arm, _played
from gpo.solving.workings import Workings
from gpo.types import CompletionText, InputError, Problem, Rollout, Sample, State
from gpo.values.backbone import Backbone
from gpo.values.head import Head
from gpo.values.model import Values
from gpo.values.saved import save

END = "$"


class Scripted(Capabilities):
    """Says what a script has for each prefix, one completion after the other; a token is a character.

    An "u" is uncertain: its entropy is 2 nats, and that of all else 0.1.
    """

    version, max_tokens = 0, 4

    def __init__(self, script: dict[str, list[str]]) -> None:
        self.script, self.asked = script, Counter()
        self.tokenizer = self
        self.fingerprint = {}

    def encode(self, text):
        return [ord(one) for one in text]

    def decode(self, ids):
        return "".join(map(chr, ids))

    text = decode

    def completion_text(self, state, action_ids):
        text = self.text(state.prefix_ids + action_ids)
        return CompletionText(text, text)

    def sample(self, requests):
        return [[self._next(request)] for request in requests]

    def read(self, given):
        assert not given, "all that is looked at was sampled here"
        return []

    def _next(self, request):
        prefix = self.text(request.state.prefix_ids)
        said = self.script[prefix][self.asked[prefix] % len(self.script[prefix])]
        self.asked[prefix] += 1
        said = said[: self.max_tokens - len(prefix)][: request.most]
        entropies = tuple(2.0 if one == "u" else 0.1 for one in said)
        return Sample(tuple(map(ord, said)), (-1.0,) * len(said), entropies, said.endswith(END))


class LastLetter:
    """Reads the letter before the end; `right` ones get the reward 1."""

    num_timeouts = 0

    def __init__(self, right: str = "R") -> None:
        self.right = right

    def read(self, problems, texts):
        return [text[-2] for text in texts]

    def score(self, problems, texts):
        return [float(text[-2:-1] in self.right) for text in texts]

    def check(self, problem):
        pass


class Told:
    """Values of texts, as told; of a text that nobody spoke of, that of its longest beginning."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values

    def read(self, given):
        texts = ["".join(map(chr, state.prefix_ids + ids)) for state, ids in given]
        return [[self._value(text[:end]) for end in range(len(text) + 1)] for text in texts]

    def _value(self, text):
        return next(self.values[text[:end]] for end in range(len(text), -1, -1) if text[:end] in self.values)


def solved(script, values=None, right="R", **settings) -> Solved:
    """What comes of a problem, with every character a step."""
    if values is not None:
        settings |= {"value": "told"}
    solver = Solver(
        Scripted(script), LastLetter(right), Solving(**settings), seed=0,
        splitter=steps.fixed(num_tokens=1), values=Told(values) if values is not None else None, slots=8,
    )  # fmt: skip
    [found] = [one for one in solver.run([Task(0, Problem("p", (0,), "R"))]) if isinstance(one, Solved)]
    return found


def tried(found: Solved) -> list[tuple[int, str, float]]:
    """Each attempt: tokens that it began with, its text, its score."""
    return [(one.start, one.path.text, round(one.score, 3)) for one in found.attempts]


# Strategies, on scripts


def test_majority_samples_as_many_whole_answers_as_fit_and_counts_votes() -> None:
    found = solved({"": ["xxA$", "xxB$", "xxB$"]}, strategy="majority", problem_tokens=12)
    assert [one.answer for one in found.attempts] == ["A", "B", "B"]
    assert [one.tokens for one in found.attempts] == [4, 8, 12]
    assert (found.solution.answer, found.solution.votes, round(found.solution.share, 4)) == ("B", 2, 0.6667)
    assert found.tokens == {**dict.fromkeys(found.tokens, 0), "explore": 12}


def test_what_is_left_of_a_budget_is_spent_but_no_token_more() -> None:
    found = solved({"": ["A$", "xxB$", "xxB$"]}, strategy="majority", problem_tokens=11)
    # Two of four tokens fit for certain and take 6; then one does, and takes 4; then one token is left.
    assert [one.path.text for one in found.attempts] == ["A$", "xxB$", "xxB$"]
    assert sum(found.tokens.values()) == 10


def test_an_answer_that_the_limit_cut_has_no_vote() -> None:
    found = solved({"": ["AAAAA$", "xB$"]}, strategy="majority", problem_tokens=8)
    assert [(one.path.text, one.answer) for one in found.attempts] == [("AAAA", None), ("xB$", "B")]
    assert found.solution.answer == "B"


def test_best_of_n_weighs_votes_by_the_value_at_the_end() -> None:
    values = {"": 0.5, "xxA$": 0.9, "xxB$": 0.3}
    found = solved({"": ["xxA$", "xxB$", "xxB$"]}, values, strategy="best-of-n", problem_tokens=12)
    assert tried(found) == [(0, "xxA$", 0.9), (0, "xxB$", 0.3), (0, "xxB$", 0.3)]
    assert (found.solution.answer, round(found.solution.share, 4)) == ("A", 0.6)  # .9 against .6


def test_a_verifier_that_judges_ends_the_problem_at_the_first_answer_it_accepts() -> None:
    script = {"": ["xxA$", "xxR$", "xxR$"]}
    found = solved(script, strategy="best-of-n", judge="verifier", problem_tokens=40)
    assert tried(found) == [(0, "xxA$", 0.0), (0, "xxR$", 1.0)]
    assert found.solution.answer == "R"
    assert sum(found.tokens.values()) == 8


def test_restart_goes_back_to_before_the_largest_predicted_fall() -> None:
    script = {"": ["abB$", "ddD$"], "a": ["cA$"]}
    values = {"": 0.5, "a": 0.6, "ab": 0.2, "abB$": 0.1, "acA$": 0.9, "ddD$": 0.3}
    found = solved(script, values, strategy="restart", problem_tokens=11)
    # The fall from .6 to .2 is the second step, so one token is kept; .9 is right enough to start afresh.
    assert tried(found) == [(0, "abB$", 0.1), (1, "acA$", 0.9), (0, "ddD$", 0.3)]
    assert [one.tokens for one in found.attempts] == [4, 7, 11]
    assert found.tokens["resets"] == 3
    assert found.solution.answer == "A"


def test_restart_without_a_value_model_goes_back_to_before_the_least_certain_step() -> None:
    script = {"": ["auB$"], "a": ["cA$", "cA$", "cC$"]}
    found = solved(script, strategy="restart", tries=1, problem_tokens=14)
    assert [(one.start, one.path.text) for one in found.attempts] == [
        (0, "auB$"), (1, "acA$"), (0, "auB$"), (1, "acA$"),
    ]  # fmt: skip
    assert found.solution.votes == 2


def test_an_uncertain_first_step_is_no_step_to_go_back_before() -> None:
    found = solved({"": ["uaB$"], "u": ["aB$"]}, strategy="restart", tries=1, problem_tokens=8)
    assert [one.start for one in found.attempts] == [0, 1]  # all else alike, the second step


def test_beam_keeps_the_partial_answers_of_the_highest_value() -> None:
    # Two characters at a time, cut before the last one, which may be half a step. The third time four tokens
    # are left: too few for two more and an answer, so what is kept is sampled to its end; and then afresh.
    script = {"": ["ab", "cd"], "c": ["R$", "ex"], "ce": ["R$", "R$"]}
    values = {"": 0.5, "a": 0.2, "c": 0.8, "cR$": 0.9, "ce": 0.1, "ceR$": 0.7}
    found = solved(script, values, strategy="beam", beam=1, branches=2, beam_step_tokens=2, problem_tokens=12)
    assert tried(found) == [(1, "cR$", 0.9), (2, "ceR$", 0.7), (0, "ab", 0.0)]
    assert found.solution.answer == "R"
    assert sum(found.tokens.values()) == 12


def test_the_bandit_plays_the_arm_whose_attempts_fared_best_for_their_tokens() -> None:
    workings = Workings(Problem("p", (0,), ""), Solving(), Scripted({}), steps.fixed(1), None, 0)
    path = Rollout(State(Problem("p", (0,), "")), (1,) * 10, (), (), "", True, 0.0, 0)
    last = Attempt(path, start=8, answer="A", score=0.0, tokens=10, named=5)
    workings.attempts.append(last)
    sure = {"restart": Arm(999, 999), "backtrack": Arm(999, 999), "continue": Arm(0, 999)}
    rng = np.random.default_rng(0)
    assert _played(sure, workings, last, rng) == (
        "backtrack",
        5,
    )  # as good as to restart, for half the tokens
    sure["backtrack"] = Arm(100, 999)
    assert _played(sure, workings, last, rng) == ("restart", 0)
    sure["continue"] = Arm(999, 999)
    assert _played(sure, workings, last, rng) == ("continue", 8)
    first = Attempt(path, start=0, answer="A", score=0.0, tokens=10, named=0)
    assert _played(sure, workings, first, rng) == ("restart", 0)  # there is nothing to go on from


@pytest.mark.parametrize(
    ("attempts", "answer", "share"),
    [
        ([], None, 0.0),
        ([(None, 1.0)], None, 0.0),
        ([("A", 1.0), ("B", 1.0)], "A", 0.5),  # of equal ones the first
        ([("A", 0.2), ("B", 0.5), ("A", 0.2)], "B", 0.5556),
        ([("A", 0.0), ("B", 0.0)], "A", 0.0),
    ],
)
def test_the_answer_has_the_largest_sum_of_scores(attempts, answer, share) -> None:
    path = Rollout(State(Problem("p", (0,), "")), (1,), (), (), "", True, 0.0, 0)
    found = solution([Attempt(path, 0, said, score, 1) for said, score in attempts])
    assert (found.answer, round(found.share, 4)) == (answer, share)


# Many problems, on a table


class Lettered(AllRight):
    """The number of wrong lines is the answer."""

    def read(self, problems, texts):
        return [str(text.count("w")) for text in texts]


class Inverted(Lettered):
    """Rewards that say the opposite."""

    def score(self, problems, texts):
        return [1 - reward for reward in super().score(problems, texts)]


class Cutting(TablePolicy):
    """Heeds a request's own limit."""

    def sample(self, requests):
        samples = super().sample(requests)
        return [
            [_cut(one, request.most) for one in some] for request, some in zip(requests, samples, strict=True)
        ]


def _cut(sample, most):
    if most is None or len(sample.action_ids) <= most:
        return sample
    return Sample(sample.action_ids[:most], sample.logprobs[:most], sample.entropies[:most], False)


class Exact:
    """The table's true values."""

    def __init__(self, policy) -> None:
        self.policy = policy

    def read(self, given):
        return [
            [self.policy.value(State(state.problem, ids[:end])) for end in range(len(ids) + 1)]
            for state, ids in given
        ]


CHANCES = [0.8, 0.5, 0.9, 0.9]
WAYS = [
    ("majority", None, False),
    ("best-of-n", "verifier", False),
    ("best-of-n", None, True),
    ("beam", None, True),
    ("beam", "verifier", True),
    ("restart", None, False),
    ("restart", "verifier", True),
    ("bandit", "votes", True),
    ("bandit", None, True),
    ("bandit", None, False),
]


def many(strategy, judge, is_valued, verifier=None, num=20, budget=float("inf"), slots=16, **settings):
    policy = Cutting(CHANCES)
    valued = {"value": "exact"} if is_valued and strategy != "majority" else {}
    wanted = Solving(strategy=strategy, judge=judge, problem_tokens=40, **valued, **settings)
    solver = Solver(
        policy, verifier or Lettered(), wanted, seed=3, splitter=steps.newline(min_tokens=1),
        values=Exact(policy) if is_valued else None, slots=slots, budget_tokens=budget,
    )  # fmt: skip
    events = list(solver.run([Task(place, one) for place, one in enumerate(problems(num))]))
    return [one for one in events if isinstance(one, Drawn)], [
        one for one in events if isinstance(one, Solved)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_no_problem_and_no_run_takes_more_than_its_budget(way) -> None:
    drawn, done = many(*way, budget=300)
    assert 7 <= len(done) <= 20  # of 40 tokens each, and some took fewer
    spent = [sum(one.tokens.values()) for one in done]
    assert max(spent) <= 40
    assert sum(spent) == sum(len(one.rollout.action_ids) for one in drawn) <= 300


@pytest.mark.parametrize("way", WAYS)
def test_what_is_found_depends_neither_on_the_slots_nor_on_other_problems(way) -> None:
    def found(events):
        return {one.task.place: (one.solution, [a.path for a in one.attempts], one.tokens) for one in events}

    whole = found(many(*way)[1])
    assert found(many(*way, slots=3)[1]) == whole
    assert found(many(*way, num=4)[1]) == {place: whole[place] for place in range(4)}


@pytest.mark.parametrize("way", [way for way in WAYS if way[1] != "verifier"])
def test_no_strategy_sees_a_reward_unless_the_verifier_judges(way) -> None:
    first, second = many(*way)[1], many(*way, verifier=Inverted())[1]
    assert [one.solution.answer for one in first] == [one.solution.answer for one in second]
    assert [[a.answer for a in one.attempts] for one in first] == [
        [a.answer for a in one.attempts] for one in second
    ]


def test_true_values_solve_more_than_votes_for_the_same_tokens() -> None:
    # The chance of a right answer is .324. With 200 problems a rate has a standard error of at most .036, and
    # the rates are .42 and .79 to .89: both bounds are more than two errors away.
    ways = (("majority", None, False), ("restart", None, True), ("bandit", None, True), ("beam", None, True))
    rates = {way[0]: np.mean([one.solution.answer == "0" for one in many(*way, num=200)[1]]) for way in ways}
    assert rates.pop("majority") < 0.5
    assert min(rates.values()) > 0.7


def test_a_verifier_is_not_asked_about_a_problem_without_an_answer_unless_it_judges() -> None:
    asked = [Problem("a", (0,), "R"), Problem("b", (0,), "")]
    for judges, rewards in ((True, [1.0, 1.0]), (False, [1.0, 0.0])):
        assert Knowing(LastLetter(), judges=judges).score(asked, ["xR$", "xR$"]) == rewards


class Silent(Scripted):
    """Says nothing of how likely its tokens are, as a server that knows text alone."""

    has_entropies = has_logprobs = False


@pytest.mark.parametrize(
    ("settings", "is_told", "said"),
    [
        ({"strategy": "bandit"}, False, "strategy: 'bandit' goes back to before the least certain step"),
        ({"strategy": "restart"}, False, "strategy: 'restart' goes back to before the least certain step"),
        ({"strategy": "bandit", "value": "told"}, True, None),
        ({"strategy": "majority"}, False, None),
        ({"strategy": "best-of-n", "judge": "verifier"}, False, None),
    ],
)
def test_what_goes_back_to_uncertain_steps_is_refused_where_nothing_says_which_these_are(
    settings, is_told, said
) -> None:
    def made() -> Solver:
        values = Told({"": 0.5}) if is_told else None
        parts = {"seed": 0, "splitter": steps.fixed(num_tokens=1), "values": values}
        return Solver(Silent({}), LastLetter(), Solving(**settings), **parts)

    if said is None:
        made()
    else:
        with pytest.raises(InputError, match=said):
            made()


# The command

SMALL = ("--model", "demo", "--max-tokens", "80", "--splitter", "newline", "--min-step-tokens", "1")
NUMBER = ("--verifier", "number")
RUN = ("solve", "--task", "chain_sum", *SMALL, "--problem-tokens", "240")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def value_model(tmp_path_factory) -> str:
    """A value model of the demo that says something, but nothing true."""
    path = tmp_path_factory.mktemp("value") / "value"
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=80)
    head = Head(96)
    torch.nn.init.normal_(head.direct.weight, generator=torch.Generator().manual_seed(0))
    save(
        path,
        Values(Backbone(policy.model, 1.0), head),
        FOUND,
        fingerprint=policy.fingerprint,
        backbone=DEMO_MODEL,
    )
    return str(path)


@pytest.mark.parametrize("strategy", ["best-of-n", "beam", "bandit"])
def test_a_value_model_scores_every_attempt_and_the_answer_has_most_of_their_sum(
    capsys, value_model, strategy
) -> None:
    beam = ("--branches", "2", "--beam-step-tokens", "16") if strategy == "beam" else ()
    args = ("--limit", "2", "--strategy", strategy, "--value", value_model, *beam, "--output", "out")
    summary = gpo(capsys, *RUN, *args)
    assert summary["judge"] == "value"
    for line in read_records(Path("out/problems.jsonl")):
        scores = Counter()
        for one in line["attempts"]:
            assert 0 < one["score"] < 1 or not one["finished"]
            scores[one["answer"]] += one["score"]
        del scores[None]
        assert line["answer"] == max(scores, key=lambda answer: scores[answer])
        assert line["share"] == pytest.approx(scores[line["answer"]] / scores.total())


def test_a_run_writes_an_answer_for_every_problem_and_says_what_it_cost(capsys) -> None:
    summary = gpo(capsys, *RUN, "--limit", "4", "--output", "out")
    answers = list(read_records(Path("out/answers.jsonl")))
    lines = {line["problem"]: line for line in read_records(Path("out/problems.jsonl"))}
    assert [one["id"] for one in answers] == [
        line["problem"] for line in sorted(lines.values(), key=lambda x: x["place"])
    ]
    assert len(answers) == summary["problems"] == summary["known"] == 4
    for one in answers:
        line = lines[one["id"]]
        assert one["tokens"] == sum(line["tokens"].values()) <= 240
        assert one["votes"] == sum(attempt["answer"] == one["answer"] for attempt in line["attempts"])
        assert one["right"] is (line["rates"] == [1.0])
    rollouts = list(read_records(Path("out/rollouts.jsonl")))
    assert sum(len(one["action_ids"]) for one in rollouts) == sum(summary["tokens"].values())
    assert summary["tokens_per_problem"] == sum(summary["tokens"].values()) / 4
    assert summary["accuracy"] == sum(one["right"] for one in answers) / 4
    assert summary["interval"][0] < summary["accuracy"] < summary["interval"][1] or summary["accuracy"] in (
        0,
        1,
    )
    shown = gpo(capsys, "show", "out")
    assert shown["problems"] == 4
    assert gpo(capsys, "runs", ".")["runs"][0]["state"] == "finished"
    told = gpo(capsys, "report", "out", "-o", "page.html")
    assert (told["problems"], told["notes"]) == (4, [])
    page = re.search(r'id="data">(.*?)</script>', Path("page.html").read_text(), re.DOTALL)
    assert page is not None
    shown = json.loads(page[1])["answers"]
    assert [one["problem"] for one in shown] == [one["id"] for one in answers]
    for one, answer in zip(shown, answers, strict=True):
        assert {name: one[name] for name in ("answer", "votes", "tokens", "right", "text")} == {
            name: answer[name] for name in ("answer", "votes", "tokens", "right", "text")
        }
        assert [attempt["tokens"] for attempt in one["attempts"]][-1] <= one["tokens"]
    assert gpo(capsys, "report", "out", "-o", "page.html", "--trajectories", "3")["notes"] == [
        "3 of 4 problems are shown"
    ]
    assert "makes a page of it alone" in error_of(capsys, "report", "out", "--live")
    Path("out/problems.jsonl").write_text("")
    assert "no problem of this run is finished yet" in error_of(capsys, "report", "out", "-o", "page.html")


def test_a_value_model_of_other_sampling_is_told_of_once(capsys, value_model) -> None:
    main([*RUN, "--limit", "1", "--temperature", "0.9", "--value", value_model, "--output", "out"])
    assert capsys.readouterr().err.count("other sampling") == 1


def test_rows_without_an_answer_are_solved_and_not_rated(capsys) -> None:
    rows = [
        {"prompt": "9 - 3 + 3 =", "answer": 9},
        {"prompt": "8 - 9 + 3 ="},
        {"prompt": "1 + 2 =", "answer": None},
    ]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = ("solve", "--data", "own.jsonl", "--verifier", "number", *SMALL, "--problem-tokens", "160")
    summary = gpo(capsys, *args, "--strategy", "majority", "--output", "out")
    assert (summary["problems"], summary["known"]) == (3, 1)
    assert [one["right"] is None for one in read_records(Path("out/answers.jsonl"))] == [False, True, True]
    assert "its known answer" not in str(gpo(capsys, *args, "--output", "dry", "--dry-run"))
    assert not Path("dry").exists()


def test_a_function_of_ones_own_judges_rows_without_an_answer(capsys) -> None:
    Path("own.jsonl").write_text(json.dumps({"prompt": "9 - 3 + 3 =", "wanted": "9"}) + "\n")
    Path("tests.py").write_text(
        "def accepts(completions, wanted, **columns):\n"
        "    return [float(text.strip().endswith(want)) for text, want in zip(completions, wanted)]\n"
    )
    args = ("solve", "--data", "own.jsonl", "--verifier", "tests.py:accepts", *SMALL, "--judge", "verifier")
    summary = gpo(capsys, *args, "--output", "out")
    [answer] = read_records(Path("out/answers.jsonl"))
    assert summary["known"] == 1
    assert answer["right"] is answer["text"].strip().endswith("9")


def test_a_run_that_was_killed_goes_on_to_the_same_answers(capsys, value_model) -> None:
    args = (*RUN[:-1], "160", "--limit", "4", "--value", value_model, "--output")
    gpo(capsys, *args, "straight")
    command = [sys.executable, "-m", "gpo", *args, "killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=os.getcwd())
    lines = Path("killed/rollouts.jsonl")
    while process.poll() is None and (not lines.exists() or lines.read_text().count("\n") < 12):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed/summary.json").exists()
    gpo(capsys, "solve", "--resume", "killed")
    assert Path("killed/answers.jsonl").read_bytes() == Path("straight/answers.jsonl").read_bytes()

    def sampled(run):
        return sorted(
            (one["problem"], one["seed"], one["text"]) for one in read_records(Path(run, "rollouts.jsonl"))
        )

    assert sampled("killed") == sampled("straight")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--strategy", "beam"), "--strategy: 'beam' needs a value model; give --value PATH"),
        (("--strategy", "best-of-n"), "--strategy: 'best-of-n' needs a judge"),
        (("--judge", "value"), "--judge: 'value' needs a value model"),
        (("--strategy", "majority", "--judge", "verifier"), "--judge: 'majority' counts votes"),
        (("--temperature", "0"), "--temperature: at 0 all attempts at a problem are alike"),
        (("--problem-tokens", "5"), "--problem-tokens: 5 would cut even a first answer"),
        (("--budget-tokens", "100"), "--budget-tokens: 100 is less than the 640 of one problem"),
        (("--tries", "3"), "--tries: has no effect without --strategy restart"),
        (("--branches", "8"), "--branches: has no effect without --strategy beam"),
        (("--branches", "1"), "--branches: must be at least 2"),
        (("--value", "nowhere"), "value model 'nowhere': has no value.json"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_one_line(capsys, flags, said) -> None:
    assert said in error_of(capsys, "solve", "--task", "chain_sum", *SMALL, *flags, "--output", "out")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("row", "flags", "said"),
    [
        ({"prompt": "1 + 2 ="}, (*NUMBER, "--judge", "verifier"), "line 1: has no column 'answer'"),
        ({"prompt": "1 + 2 ="}, (*NUMBER, "--answer-column", "gold"), "line 1: has no column 'gold'"),
        ({"prompt": "1 + 2 =", "answer": "x"}, NUMBER, "own.jsonl line 1: "),
        ({"prompt": "1 + 2 =", "answer": True}, NUMBER, "line 1: answer 'answer' is true"),
        ({"prompt": "1 + 2 ="}, (), "--verifier: needed with --data"),
        ({"prompt": "1 + 2 ="}, ("--verifier", "a:b"), "--verifier: 'a:b' reads no final answers"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_one_line(capsys, row, flags, said) -> None:
    Path("own.jsonl").write_text(json.dumps(row) + "\n")
    assert said in error_of(capsys, "solve", "--data", "own.jsonl", *SMALL, *flags, "--output", "out")


# In Python


def test_one_question_is_answered_in_python_and_alike_for_equal_seeds() -> None:
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=64)
    question = "State the final answer to the following arithmetic problem: 4 + 3 - 2 ="
    told: list[str] = []
    wanted = {"strategy": "restart", "splitter": "newline", "min_step_tokens": 1, "problem_tokens": 192}
    found = solve(policy, "number", question, **wanted, progress=lambda one: told.append(str(one)))
    assert found == solve(policy, "number", question, **wanted)
    assert found.reward is None
    assert 0 < found.tokens <= 192
    assert len(told) == len(found.attempts)
    assert "of at most 192 tokens" in told[-1]
    assert str(found).startswith(f"{found.answer}: {found.votes} of {len(found.attempts)} attempts")
    judged = solve(policy, "number", question, 5, judge="verifier", **wanted)
    assert judged.reward in (0.0, 1.0)


def test_the_python_call_refuses_what_the_command_refuses() -> None:
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=64)
    for settings, said in (
        ({"judge": "verifier"}, "judge: the verifier needs the answer"),
        ({"strategy": "beam"}, "strategy: 'beam' needs a value model"),
        ({"answer": "x"}, "'x'"),
    ):
        with pytest.raises(InputError, match=said):
            solve(policy, "number", "1 + 1 =", **settings)
