"""The benchmarks by name, from files in upstream's schema, and the check of their gold answers."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import lookalikes
import pytest

from gpo import tasks
from gpo.cli import main
from gpo.tasks import benchmarks, gold, schemas
from gpo.types import DataWarning, InputError, Problem
from gpo.verifiers import answers, bbh, math, number, option

REAL = os.environ.get("GPO_DATA")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(lookalikes.write_all(tmp_path_factory.mktemp("data")))


def rows_of(name: str, split: str, folder: str) -> list[tasks.Row]:
    return benchmarks.read(name, split, folder)[0]


def refusal(name: str, split: str, folder: Path) -> str:
    with pytest.raises(InputError) as error:
        benchmarks.read(name, split, str(folder))
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(folder), "DATA")


# Rows


def test_gsm8k_rows_have_the_number_and_a_solution_without_calculator_notes(folder: str) -> None:
    row = rows_of("gsm8k", "test", folder)[1]
    assert (row.id, row.answer) == ("gsm8k/test/2", "1,500")
    assert row.columns["solution"] == "Each crate holds 60 melons.\nSo 25 * 60 = 1500.\n#### 1,500"
    assert row.source.endswith("gsm8k/test.jsonl line 2")


def test_math_rows_have_the_last_boxed_answer_subject_and_level(folder: str) -> None:
    rows = rows_of("math", "train", folder)
    assert [row.answer for row in rows] == [
        "\\frac{1}{2}",
        "3",
        "\\left(3,\\tfrac{\\pi}{2}\\right)",
        "7",
        "",
        "\\text{Friday}",
        "101_2",
    ]
    assert (rows[2].id, rows[2].columns["subject"]) == ("math/train/geometry/3.json", "Geometry")
    assert rows[2].columns["level"] == "Level ?"


def test_both_readings_of_boxed_gold_answers_agree(folder: str) -> None:
    for row in rows_of("math", "train", folder):
        assert schemas.last_boxed(row.columns["solution"]) == answers.gold(row.columns["solution"])


def test_a_choice_lists_its_options_and_keeps_them(folder: str) -> None:
    row = rows_of("mmlu", "test", folder)[0]
    assert row.question == "Which of these is a tree? (0)\n(A) moss\n(B) an oak\n(C) a fern\n(D) an alga"
    assert (row.answer, row.columns["stem"]) == ("B", "Which of these is a tree? (0)")
    assert row.columns["options"] == ["moss", "an oak", "a fern", "an alga"]
    assert {len(row.columns["options"]) for row in rows_of("mmlu_pro", "test", folder)} == {3, 4}
    assert rows_of("mmlu_pro", "test", folder)[4].id == "mmlu_pro/test/10"


def test_the_tasks_of_bbh_are_its_subjects(folder: str) -> None:
    rows = rows_of("bbh", "test", folder)
    assert len(rows) == 54
    assert len({row.columns["subject"] for row in rows}) == 27
    way = next(row for row in rows if row.columns["subject"] == "navigate")
    assert (way.answer, way.columns["options"]) == ("(A)", ["left", "right", "up"])
    assert "options" not in next(row for row in rows if row.columns["subject"] == "word_sorting").columns


def test_aime_answers_may_be_text_or_numbers(folder: str) -> None:
    assert [row.answer for row in rows_of("aime2024", "test", folder)] == ["025", "336"]
    assert [row.answer for row in rows_of("aime2025", "test", folder)] == ["25"]


@pytest.mark.parametrize("name", list(tasks.BENCHMARKS))
def test_every_benchmark_loads_by_name_and_says_that_it_is_not_upstreams(name: str, folder: str) -> None:
    with pytest.warns(DataWarning) as caught:
        rows = tasks.load(name, "test", data_dir=folder)
    assert "rows where upstream has" in str(caught[0].message)
    assert len({row.id for row in rows}) == len(rows) > 0
    assert all(row.id.startswith(f"{name}/test/") and row.answer for row in rows)
    assert tasks.verifier(name) in ("number", "math", "option", "bbh")


def test_rows_without_a_gold_answer_are_left_out_and_named(folder: str) -> None:
    with pytest.warns(DataWarning) as caught:
        rows = tasks.load("math", "train", data_dir=folder)
    assert len(rows) == 6
    assert re.match(r"math train: left out 1 rows.*math/train/number theory/5.json", str(caught[1].message))


def test_a_limit_takes_rows_from_all_over_the_set() -> None:
    rows = [tasks.Row(str(i), "q", "a") for i in range(10)]
    assert [row.id for row in benchmarks.spread(rows, 4)] == ["0", "2", "5", "7"]
    assert benchmarks.spread(rows, None) == benchmarks.spread(rows, 99) == rows


def test_the_checksum_is_of_content_not_of_order_or_kind_of_file(folder: str, tmp_path: Path) -> None:
    rows = rows_of("gsm8k", "test", folder)
    assert benchmarks.content_digest(rows) == benchmarks.content_digest(rows[::-1])
    lookalikes.write_parquet(tmp_path / "gsm8k/main/test-00000-of-00001.parquet", lookalikes.GSM8K)
    assert benchmarks.content_digest(rows_of("gsm8k", "test", str(tmp_path))) == benchmarks.content_digest(
        rows
    )
    changed = [replace(rows[0], answer="13"), *rows[1:]]
    assert benchmarks.content_digest(changed) != benchmarks.content_digest(rows)


def test_known_rows_with_other_content_are_named_by_their_checksum(folder: str, monkeypatch) -> None:
    known = tasks.BENCHMARKS["gsm8k"]
    split = replace(known.splits["test"], num_rows=6)
    patched = {**tasks.BENCHMARKS, "gsm8k": replace(known, splits={"test": split})}
    monkeypatch.setattr(benchmarks, "BENCHMARKS", patched)
    (note,) = benchmarks.read("gsm8k", "test", folder)[1]
    assert re.search(r"questions or answers differ .*\(checksum [0-9a-f]{16}, not 353d4795c7c27137\)", note)
    digest = re.findall(r"checksum (\w+)", note)[0]
    patched["gsm8k"] = replace(known, splits={"test": replace(split, digest=digest)})
    assert benchmarks.read("gsm8k", "test", folder)[1] == []


def test_a_row_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    rows = lookalikes.math_rows("test")
    lookalikes.write_jsonl(tmp_path / "math/test.jsonl", [*rows, rows[0]])
    assert refusal("math", "test", tmp_path) == (
        "DATA/math/test.jsonl line 8: has the id 'math/test/algebra/1.json' of DATA/math/test.jsonl line 1; "
        "remove one of them"
    )


def test_a_hub_that_cannot_be_reached_is_told_of_with_the_way_around(monkeypatch) -> None:
    import datasets

    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("no hub here")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match=r"no hub here.*or give --data-dir, a folder with upstream's files"):
        benchmarks.read("gsm8k", "test", None)


def test_a_missing_file_is_refused_with_where_it_was_looked_for(folder: str, tmp_path: Path) -> None:
    assert refusal("mmlu", "dev", tmp_path).startswith(
        "--data-dir DATA: has no file for mmlu; looked for mmlu/dev."
    )
    assert (
        refusal("mmlu", "dev", tmp_path / "no")
        == "--data-dir DATA: no such folder; name the one with the benchmarks' files"
    )
    assert (
        refusal("mmlu", "train", Path(folder))
        == "mmlu: has no split 'train'; give one of test, validation, dev"
    )
    lookalikes.write_all(tmp_path)
    (tmp_path / "bbh/bbh/snarks.json").unlink()
    assert (
        refusal("bbh", "test", tmp_path)
        == "--data-dir DATA: DATA/bbh/bbh lacks snarks (.json); put them there"
    )


@pytest.mark.parametrize(
    ("name", "file", "row", "message"),
    [
        (
            "gsm8k",
            "gsm8k/test.jsonl",
            {"Question": "q", "answer": "#### 1"},
            "no column 'question', only Question",
        ),
        (
            "gsm8k",
            "gsm8k/test.jsonl",
            {"question": "q", "answer": "1"},
            "has no '####' before its number: '1'",
        ),
        (
            "math",
            "math/test.jsonl",
            {"problem": "p", "type": "A", "level": "1", "solution": "x"},
            "no \\boxed{}",
        ),
        ("math500", "math500/test.jsonl", {"problem": "p"}, "has no column 'subject'"),
        (
            "aime2024",
            "aime2024/test.jsonl",
            {"problem": "p", "answer": "1.5"},
            "not an integer from 0 to 999",
        ),
        (
            "mmlu",
            "mmlu/test.jsonl",
            {"question": "q", "choices": ["a", "b"], "answer": 2},
            "not an index of its 2",
        ),
        ("mmlu", "mmlu/test.jsonl", {"question": "q", "choices": "ab", "answer": 1}, "not a list of options"),
        (
            "mmlu_pro",
            "mmlu_pro/test.jsonl",
            {"question": "q", "options": ["a", "b"], "answer": "AB", "category": "c"},
            "not a letter of its 2 options",
        ),
        (
            "mmlu_pro",
            "mmlu_pro/test.jsonl",
            {"question": "", "options": ["a", "b"], "answer": "A"},
            "not text",
        ),
    ],
)
def test_a_changed_schema_is_refused_by_row_and_column(
    name: str, file: str, row: dict, message: str, tmp_path: Path
) -> None:
    lookalikes.write_jsonl(tmp_path / file, [row])
    refused = refusal(name, "test", tmp_path)
    assert refused.startswith(f"DATA/{file} line 1: ")
    assert message in refused


def test_bbh_files_that_are_no_task_are_refused(tmp_path: Path) -> None:
    lookalikes.write_all(tmp_path)
    file = tmp_path / "bbh/bbh/snarks.json"
    file.write_text("{")
    assert refusal("bbh", "test", tmp_path).startswith("DATA/bbh/bbh/snarks.json: cannot be read as JSON (")
    file.write_text('{"canary": 1}')
    assert "holds neither a list of rows nor one under 'examples'" in refusal("bbh", "test", tmp_path)


def test_the_hub_is_read_config_by_config(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load_dataset(name: str, config: str, split: str) -> list[dict]:
        asked.append((name, config, split))
        return bbh_like if name == "lukaemon/bbh" else [{"problem": "p", "answer": 7}]

    bbh_like = lookalikes.bbh_rows("navigate")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    rows, _ = benchmarks.read("bbh", "test", None)
    assert [row.columns["subject"] for row in rows[:4:2]] == ["boolean_expressions", "causal_judgement"]
    assert asked[1] == ("lukaemon/bbh", "causal_judgement", "test")
    assert (
        benchmarks.read("aime2024", "test", None)[0][0].source
        == "hub:HuggingFaceH4/aime_2024:default:train row 1"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gsm8", "gsm8k"),
        ("MMLU-Pro", "mmlu_pro"),
        ("aime-2025", "aime2025"),
        ("math_500", "math500"),
        ("BBH", "bbh"),
    ],
)
def test_an_unknown_benchmark_is_told_its_nearest_names(name: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"no task is called '{name}'; did you mean .*\b{near}\b"):
        tasks.load(name, "test")


# The check of gold answers


def test_every_form_is_accepted_by_the_verifier_of_its_kind() -> None:
    judges = {"number": number, "math": math, "option": option, "bbh": bbh}
    row = tasks.Row("r", "q", "B", {"options": ["red", "blue"]})
    golds = {"number": "1,500", "math": "\\frac{1}{2}", "option": "B", "bbh": "(B)"}
    for name, forms in gold.FORMS.items():
        for form in forms:
            text = gold.written(row, name, form, golds[name])
            assert judges[name].score(text, golds[name], row.columns) == 1.0, text
    assert gold.written(row, "option", "text", "B") == "The answer is: blue"
    assert gold.written(row, "bbh", "boxed", "] }") == "This leaves \\boxed{] \\}}."


def test_an_option_that_looks_like_another_letter_is_written_with_its_own() -> None:
    row = tasks.Row("r", "q", "B", {"options": ["(b)", "(a)"]})
    assert gold.written(row, "option", "text", "B") == "The answer is: B) (a)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("84", "84\\%"),
        ("x = 4", "4"),
        (".5", "\\frac12"),
        ("1:1", "1"),
        ("\\$36", "36"),
        ("47^\\circ", "47"),
        ("100\\%", "1"),
        ("9\\text{ a.m.}", "9"),
    ],
)
def test_answers_that_graders_take_for_one_are_not_different(one: str, other: str) -> None:
    row = tasks.Row("r", "q", one)
    assert gold.meanings(row, one) & gold.meanings(row, other)
    assert not gold.meanings(row, one) & gold.meanings(row, "17")


def test_another_rows_answer_is_of_the_same_subject_and_different() -> None:
    rows = [tasks.Row(f"r{i}", "q", answer, {"subject": i % 2}) for i, answer in enumerate("1234135")]
    others = gold.other_answers(rows, seed=0)
    assert all(other not in (None, row.answer) for row, other in zip(rows, others, strict=True))
    assert all(
        other in {r.answer for r in rows if r.columns == row.columns}
        for row, other in zip(rows, others, strict=True)
    )
    alone = [tasks.Row("a", "q", "1"), tasks.Row("b", "q", "1.0")]
    assert gold.other_answers(alone, seed=0) == [None, None]


def check(capsys, *args: str) -> dict:
    main(["data", "check", *args, "--json"])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_check_counts_and_names_what_failed(capsys, folder: str) -> None:
    summary = check(capsys, "math", "--data-dir", folder)
    assert (summary["rows"], summary["verified"], summary["failed"], summary["false_accepts"]) == (
        14,
        12,
        2,
        0,
    )
    assert summary["upstream_faults"] == 2
    first = summary["failures"][0]
    assert first["row"].endswith("math/train.jsonl line 5")
    assert first["what"] == "the gold answer is empty upstream"
    assert "math train from" in summary["notes"][0]


@pytest.mark.parametrize(("name", "rows"), [("gsm8k", 18), ("mmlu", 24), ("mmlu_pro", 20), ("bbh", 54)])
def test_the_lookalikes_pass_the_check(capsys, folder: str, name: str, rows: int) -> None:
    summary = check(capsys, name, "--data-dir", folder)
    assert (summary["rows"], summary["verified"], summary["failed"], summary["false_accepts"]) == (
        rows,
        rows,
        0,
        0,
    )


def test_a_wrong_verifier_would_be_found(capsys, folder: str, monkeypatch) -> None:
    from gpo.commands import data as command

    class Contrary:
        """Refuses what is right and accepts what is wrong."""

        def score(self, problems: list[Problem], texts: list[str]) -> list[float]:
            return [1 - number.score(text, p.answer, {}) for p, text in zip(problems, texts, strict=True)]

        def __enter__(self) -> "Contrary":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(command.verifiers, "load", lambda *_, **__: Contrary())
    with pytest.raises(SystemExit) as stopped:
        check(capsys, "gsm8k", "--data-dir", folder, "--split", "test")
    assert stopped.value.code == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["verified"], summary["failed"], summary["false_accepts"]) == (0, 6, 6)
    assert "accepted '" in summary["accepted"][0]["what"]


def test_the_check_is_for_benchmarks(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "check", "chain_sum"])
    assert stopped.value.code == 2
    assert "chain_sum: makes its own questions" in capsys.readouterr().err


EXPECTED = {  # rows, and upstream faults: two rows of MATH have an empty gold answer
    "gsm8k": (8792, 0),
    "math": (12500, 2),
    "math500": (500, 0),
    "bbh": (6511, 0),
    "mmlu": (15858, 0),
    "mmlu_pro": (12102, 0),
    "aime2024": (30, 0),
    "aime2025": (30, 0),
}


@pytest.mark.skipif(not REAL, reason="no benchmark data: set GPO_DATA to its folder")
@pytest.mark.parametrize("name", list(EXPECTED))
def test_every_gold_answer_of_the_real_data_is_accepted_and_no_other(capsys, name: str) -> None:
    rows, faults = EXPECTED[name]
    summary = check(capsys, name)
    assert summary["notes"] == []
    assert (summary["rows"], summary["verified"], summary["failed"]) == (rows, rows - faults, faults)
    assert summary["false_accepts"] == 0, summary["accepted"]
