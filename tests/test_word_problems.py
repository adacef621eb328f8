"""The word problems of benchmarks are right, differ between splits, and are those of the recorded curves."""

import hashlib
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from real_curves import recorded
from word_problems import NUMBERS, word_problems

EQUATION = re.compile(r"(\d+)([+-])(\d+)=(\d+)")


@pytest.mark.parametrize("numbers", NUMBERS)
def test_every_line_of_a_solution_holds_and_goes_on_from_the_line_before(numbers):
    for one in word_problems("train", 200, seed=3, numbers=numbers):
        count = int(re.search(r"has (\d+)", one.question)[1])
        *lines, last = one.solution.split("\n")
        assert 5 <= len(lines) <= 6
        for line in lines:
            if found := EQUATION.search(line):
                before, sign, by, after = found.groups()
                assert int(before) == count
                assert int(after) == count + int(by) * (1 if sign == "+" else -1)
            else:
                before, after = map(int, re.findall(r"\d+", line))
                assert before == count
                assert after == (count // 2 if line.startswith("Half") else 2 * count)
            count = int(after)
            assert 1 <= count <= NUMBERS[numbers].most
        assert last == f"The answer is {count}."
        assert one.answer == str(count)


def test_the_splits_share_no_question_and_a_seed_gives_the_recorded_problems():
    train, test = (word_problems(split, 300, seed=0) for split in ("train", "test"))
    assert not {one.question for one in train} & {one.question for one in test}
    whole = hashlib.sha256(repr(test).encode()).hexdigest()
    assert whole[:16] == "411466ebc4561f9a"


def test_the_recorded_curves_are_of_these_problems_and_add_up():
    lines = recorded()
    problems = word_problems("test", 1 + max(line["problem"] for line in lines), seed=0)
    assert len({line["problem"] for line in lines}) == len(lines) >= 13
    for line in lines:
        problem, num = problems[line["problem"]], len(line["bounds"]) - 1
        assert (line["question"], line["answer"]) == (problem.question, problem.answer)
        assert line["bounds"][0] == 0 < line["bounds"][-1] == len(line["entropies"]) == len(line["logprobs"])
        assert line["trials"] == [128] * num
        assert all(0 <= one <= 128 for one in line["successes"])
        assert {len(line["successes"]), len(line["tokens"]), *map(len, line["scores"].values())} == {num}
        is_right = line["completion"].endswith(f"The answer is {line['answer']}.")
        assert is_right == bool(line["outcome"])
