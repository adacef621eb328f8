"""Decontamination: which training questions are in a test set, and that a run leaves them out."""

import json
from pathlib import Path

import lookalikes
import pytest

from gpo.cli import main
from gpo.tasks.overlap import Overlap, overlaps, summary

LONG = "a train leaves the old town at noon and meets its twin halfway to the sea how far is it"


def found(train: str, test: str, **settings: float) -> list[Overlap]:
    return overlaps({"a": train}, {"tests": {"b": test}}, **settings)


def test_the_same_words_overlap_whatever_their_case_and_punctuation() -> None:
    assert found(LONG, LONG.upper().replace(" ", ", ")) == [Overlap("a", "b", "tests", 1.0)]


def test_the_share_is_of_the_shorter_questions_runs() -> None:
    words = LONG.split()
    assert len(words) == 20  # 11 runs of ten words
    longer = LONG + " " + " ".join(f"w{i}" for i in range(40))
    assert found(longer, LONG)[0].frac == 1.0
    changed = " ".join([*words[:14], "x", *words[15:]])  # 5 runs are left, of 11
    assert found(changed, LONG) == []
    assert found(changed, LONG, least_frac=0.4)[0].frac == 5 / 11


def test_a_short_question_is_compared_as_a_whole() -> None:
    assert found("What is 2 + 2?", "what is 2+2")[0].frac == 1.0
    assert found("What is 2 + 2?", "What is 2 + 3?") == []
    assert found("What is 2 + 2?", LONG + " what is 2 2") == []


def test_a_phrase_in_common_is_no_overlap() -> None:
    phrase = "express your answer as a common fraction in lowest terms please"
    one, other = f"{LONG} {phrase}", " ".join(LONG.split()[::-1]) + f" {phrase}"
    assert found(one, other) == []
    assert len(found(one, other, least_frac=1e-9)) == 1  # as some reports count it


def test_each_question_has_its_nearest_and_a_summary_names_the_sets() -> None:
    tests = {"one": {"b": LONG + " or so it seems"}, "two": {"c": LONG}}
    close = overlaps({"a": LONG, "z": "something else"}, tests)
    assert close == [Overlap("a", "b", "one", 1.0)]
    assert summary(close) == "1 in one: a (b)"


def gpo(capsys, *args: str) -> tuple[dict, str]:
    main([*args, "--json"])
    captured = capsys.readouterr()
    return json.loads(captured.out.splitlines()[-1]), captured.err


@pytest.fixture
def contaminated(tmp_path: Path, monkeypatch) -> Path:
    """A training file of which two rows are in the tests of a data folder, with other spacing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPO_DATA", raising=False)
    lookalikes.write_all(tmp_path / "data")
    own = [{"prompt": f"{LONG} if it is {i}?", "answer": str(i)} for i in range(3)]
    names = ["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "kit", "lynx"]
    own += [
        {"prompt": f"How many legs have {i} {name}s and {name}?", "answer": "4"}
        for i, name in enumerate(names)
    ]
    copied = [{"prompt": row["question"].replace(" ", "  "), "answer": "12"} for row in lookalikes.GSM8K[:2]]
    return lookalikes.write_jsonl(tmp_path / "own.jsonl", [*own, *copied])


def test_data_overlap_counts_and_names_the_rows(contaminated: Path, capsys) -> None:
    result, _ = gpo(capsys, "data", "overlap", "own.jsonl", "--data-dir", "data")
    assert (result["rows"], result["overlapping"]) == (17, 2)
    assert result["by_set"]["gsm8k"] == 2
    assert [one["row"] for one in result["overlaps"]] == ["own.jsonl line 16", "own.jsonl line 17"]


def test_data_overlap_needs_tests_to_compare_with(contaminated: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["data", "overlap", "own.jsonl"])
    assert "--data-dir: needed" in capsys.readouterr().err


TRAIN = ["train", "--data", "own.jsonl", "--verifier", "number", "--rounds", "1", "--max-tokens", "8"]
TRAIN += ["--problems-per-round", "2", "--group-size", "2", "--recipe", "base", "--eval-problems", "1"]
TRAIN += ["--eval-every", "0"]


def test_training_leaves_out_what_is_in_the_tests_at_hand_and_says_so(contaminated: Path, capsys) -> None:
    _, err = gpo(capsys, *TRAIN, "--data-dir", "data", "--rounds", "8", "--output", "out")
    (line,) = [line for line in err.splitlines() if line.startswith("gpo: warning: left out ")]
    assert "--no-decontaminate keeps them" in line
    assert "2 in gsm8k" in line
    trained = {json.loads(row)["problem"] for row in Path("out/rollouts.jsonl").read_text().splitlines()}
    assert not trained & {"own-16", "own-17"}


def test_decontamination_can_be_turned_off(contaminated: Path, capsys) -> None:
    _, err = gpo(capsys, *TRAIN, "--data-dir", "data", "--no-decontaminate", "--output", "out")
    assert "left out" not in err


def test_a_file_that_is_wholly_contaminated_is_refused(contaminated: Path, capsys) -> None:
    rows = [{"prompt": row["question"], "answer": "1"} for row in lookalikes.GSM8K]
    lookalikes.write_jsonl(Path("own.jsonl"), rows * 2)
    with pytest.raises(SystemExit) as stopped:
        main([*TRAIN, "--data-dir", "data", "--output", "out"])
    assert stopped.value.code == 2
    assert "no training problem is left" in capsys.readouterr().err
