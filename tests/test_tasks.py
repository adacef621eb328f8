import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import AutoTokenizer

import gpo
from gpo import tasks
from gpo.tasks import chain_sum, gym, planted
from gpo.tasks.row import distinct_rows
from gpo.types import Ids, InputError, Problem

MODEL = Path(gpo.__file__).parent / "demo_model"
GOOD = {"question": "1 + 1?", "answer": "2"}


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., str]:
    def write(*rows: Any) -> str:
        path = tmp_path / "data.jsonl"
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def refusal(data: str, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        tasks.read_rows(data, **columns)
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(Path(data).parent) + "/", "")


def one_char_ids(question: str) -> Ids:
    return tuple(map(ord, question))


# The user's own rows


def test_rows_of_json_lines_and_parquet_are_the_same(jsonl: Callable[..., str], tmp_path: Path) -> None:
    records = [{**GOOD, "level": 3}, {"question": "Größe?", "answer": "ü", "level": 4}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "data.parquet")
    from_jsonl = tasks.read_rows(jsonl(*records))
    from_parquet = tasks.read_rows(str(tmp_path / "data.parquet"))
    assert [(row.id, row.question, row.answer, row.columns) for row in from_jsonl] == [
        ("data-1", "1 + 1?", "2", {"level": 3}),
        ("data-2", "Größe?", "ü", {"level": 4}),
    ]
    assert [(r.id, r.question, r.answer, r.columns) for r in from_parquet] == [
        (r.id, r.question, r.answer, r.columns) for r in from_jsonl
    ]


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n\n  \n")
    assert [row.source for row in tasks.read_rows(str(path))] == [f"{path} line 1"]


def test_columns_can_have_other_names(jsonl: Callable[..., str]) -> None:
    (row,) = tasks.read_rows(jsonl({"problem": "p", "solution": "s"}), prompt="problem", answer="solution")
    assert (row.question, row.answer, row.columns) == ("p", "s", {})


@pytest.mark.parametrize(("answer", "text"), [(18, "18"), (18.0, "18"), (0.5, "0.5"), (-3, "-3"), ("x", "x")])
def test_an_answer_may_be_a_number(jsonl: Callable[..., str], answer: Any, text: str) -> None:
    assert tasks.read_rows(jsonl({"question": "q", "answer": answer}))[0].answer == text


def test_ids_come_from_an_id_column_only_if_it_tells_all_rows_apart(jsonl: Callable[..., str]) -> None:
    def ids(*rows: dict[str, Any]) -> list[str]:
        return [row.id for row in tasks.read_rows(jsonl(*({**GOOD, **row} for row in rows)))]

    assert ids({"id": 7}, {"id": 8}) == ["7", "8"]
    assert ids({"unique_id": "a"}, {"unique_id": "b"}) == ["a", "b"]
    assert ids({"id": 7}, {"id": 7}) == ["data-1", "data-2"]
    assert ids({"id": 7}, {"id": "7"}) == ["data-1", "data-2"]
    assert ids({"id": 7}, {}) == ["data-1", "data-2"]
    assert ids({"id": 1, "question_id": "a"}, {"id": 1, "question_id": "b"}) == ["a", "b"]


def test_one_user_message_is_a_prompt(jsonl: Callable[..., str]) -> None:
    data = jsonl({"messages": [{"role": "user", "content": "Hi?"}], "answer": "a"})
    assert tasks.read_rows(data, prompt="messages")[0].question == "Hi?"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "the turns user, assistant",
        ),
        ([{"role": "assistant", "content": "b"}], "the turns assistant"),
        ([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}], "has a system turn"),
        ([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}], "has a tool turn"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}], "has a tool turn"),
        ([{"role": "user", "content": [{"type": "image"}]}], "user turn whose content is not plain text"),
        ([], "is a list, not text"),
        (["a"], "is a list, not text"),
    ],
)
def test_other_conversations_are_refused_with_the_reason(
    jsonl: Callable[..., str], messages: Any, reason: str
) -> None:
    message = refusal(jsonl(GOOD | {"prompt": messages}), prompt="prompt")
    assert message.startswith("data.jsonl line 1: prompt column 'prompt' ")
    assert reason in message


@pytest.mark.parametrize("column", ["image", "images", "video", "audio", "tools", "tool_calls"])
def test_media_and_tools_are_refused_by_name(jsonl: Callable[..., str], column: str) -> None:
    message = refusal(jsonl(GOOD, GOOD | {column: ["x"]}))
    assert message.startswith(f"data.jsonl line 2: has a column '{column}', and ")
    assert len(tasks.read_rows(jsonl(GOOD | {column: []}))) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            (GOOD, '{"question": "1 +'),
            "data.jsonl line 2: is not JSON (unterminated string starting at column 14); "
            "correct or remove the row",
        ),
        (
            ("[1, 2]\n",),
            "data.jsonl line 1: begins a JSON list; name the file .json, or write one object per line",
        ),
        ((), "data.jsonl: has no rows; give a data set with at least one"),
        (("\n\n",), "data.jsonl: has no rows; give a data set with at least one"),
        (
            (GOOD, {"questions": "q", "answer": "a"}),
            "data.jsonl line 2: has no column 'question', only questions, answer; "
            "did you mean --prompt-column questions?",
        ),
        (
            ({"question": "q", "gold": "a"},),
            "data.jsonl line 1: has no column 'answer', only question, gold; "
            "did you mean --answer-column gold?",
        ),
        (
            ({},),
            "data.jsonl line 1: has no column 'question', only none; "
            "name the one that holds it with --prompt-column",
        ),
        (
            ({"question": " \n", "answer": "a"},),
            "data.jsonl line 1: prompt 'question' is empty; fill it in or remove the row",
        ),
        (
            ({"question": None, "answer": "a"},),
            "data.jsonl line 1: prompt 'question' is None, not text; give a string",
        ),
        (
            ({"question": 12, "answer": "a"},),
            "data.jsonl line 1: prompt 'question' is 12, not text; give a string",
        ),
        (
            ({"question": "q", "answer": ""},),
            "data.jsonl line 1: answer 'answer' is empty; fill it in or remove the row",
        ),
        (
            ({"question": "q", "answer": None},),
            "data.jsonl line 1: answer 'answer' is None; give a string or a number",
        ),
        (
            ({"question": "q", "answer": float("nan")},),
            "data.jsonl line 1: answer 'answer' is nan; give a string or a number",
        ),
        (
            ({"question": "q", "answer": ["a"]},),
            "data.jsonl line 1: answer 'answer' is ['a']; give a string or a number",
        ),
    ],
)
def test_bad_rows_are_refused_in_one_line(jsonl: Callable[..., str], rows: Any, message: str) -> None:
    assert refusal(jsonl(*rows)) == message


def test_files_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path) -> None:
    assert (
        refusal(str(tmp_path / "a.jsonl")) == "a.jsonl: no such file; for a hub dataset write hub:OWNER/NAME"
    )
    (tmp_path / "a.txt").write_text("question,answer\n")
    assert (
        refusal(str(tmp_path / "a.txt"))
        == "a.txt: cannot read '.txt' files; convert it to .jsonl or .parquet"
    )
    (tmp_path / "d.jsonl").mkdir()
    assert refusal(str(tmp_path / "d.jsonl")) == "d.jsonl: is a folder; give one .jsonl or .parquet file"
    (tmp_path / "b.jsonl").write_bytes(b'{"question": "\xff"}')
    assert refusal(str(tmp_path / "b.jsonl")).startswith(
        "b.jsonl line 1: is not JSON (byte 0xff at 15 is not UTF-8); correct or remove the row"
    )


def test_a_torn_or_empty_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert refusal(str(path)).startswith("a.parquet: is not a readable Parquet file (")
    pq.write_table(
        pa.table({"question": pa.array([], pa.string()), "answer": pa.array([], pa.string())}), path
    )
    assert refusal(str(path)) == "a.parquet: has no rows; give a data set with at least one"


def test_a_hub_dataset_is_loaded_by_name_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load_dataset(name: str, config: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, config, split))
        if name == "no/such":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'no/such' doesn't exist\nor is private")
        return [GOOD]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert [row.id for row in tasks.read_rows("hub:openai/gsm8k:main:train")] == ["openai/gsm8k:main:train-1"]
    assert tasks.read_rows("hub:a/b")[0].source == "hub:a/b row 1"
    assert asked == [("openai/gsm8k", "main", "train"), ("a/b", None, "test")]
    with pytest.raises(
        InputError, match=r"^hub:no/such: cannot be loaded \(Dataset 'no/such' doesn't exist\);"
    ):
        tasks.read_rows("hub:no/such")


# Rows -> problems


def test_problems_carry_the_prompt_and_the_other_columns(jsonl: Callable[..., str]) -> None:
    rows = tasks.read_rows(jsonl({**GOOD, "id": "x", "level": 3}))
    (problem,) = tasks.problems(rows, one_char_ids, "mine")
    assert problem == Problem("x", one_char_ids("1 + 1?"), "2", "mine", "1 + 1?")
    assert problem.columns == {**GOOD, "id": "x", "level": 3}
    assert rows[0].columns == {"id": "x", "level": 3}  # what a prompt may show


def test_a_gold_answer_that_the_verifier_refuses_is_named_by_its_row(jsonl: Callable[..., str]) -> None:
    def check(problem: Problem) -> None:
        if not problem.answer.isdigit():
            raise ValueError(f"no number: {problem.answer!r}")

    data = jsonl(GOOD, {"question": "q", "answer": "two"})
    with pytest.raises(InputError, match=r"data\.jsonl line 2: no number: 'two'$"):
        tasks.problems(tasks.read_rows(data), one_char_ids, check=check)


def test_a_prompt_that_the_model_cannot_take_is_named_by_its_row(jsonl: Callable[..., str]) -> None:
    def too_long(question: str) -> Ids:
        raise InputError("the prompt has 9000 tokens")

    with pytest.raises(InputError, match=r"data\.jsonl line 1: the prompt has 9000 tokens$"):
        tasks.problems(tasks.read_rows(jsonl(GOOD)), too_long)


# Tasks by name


@pytest.mark.parametrize("name", [*tasks.names(), "gym/leg_counting"])
def test_a_task_is_the_same_every_time_and_its_splits_share_no_question(name: str) -> None:
    train, test = (tasks.load(name, split, 60, seed=3) for split in ("train", "test"))
    assert tasks.load(name, "train", 60, seed=3) == train
    assert tasks.load(name, "train", 20, seed=3) == train[:20]
    assert tasks.load(name, "train", 60, seed=4) != train
    assert len({row.question for row in [*train, *test]}) == len({row.id for row in [*train, *test]}) == 120
    assert all(row.id.startswith(f"{name}/") for row in train)


def test_a_test_question_is_never_a_train_question_whatever_the_seeds() -> None:
    # 20 x 9 x 20 possible questions, so that two streams of 400 must meet unless they are kept apart.
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    train = {
        row.question for seed in range(5) for row in tasks.load("chain_sum", "train", 60, seed, **options)
    }
    test = {row.question for seed in range(5) for row in tasks.load("chain_sum", "test", 60, seed, **options)}
    assert len(train) < 300
    assert len(test) < 300
    assert not train & test


def test_rows_are_what_reasoning_gyms_verifier_needs() -> None:
    import reasoning_gym

    for name in ("chain_sum", "gym/gcd"):
        row = tasks.load(name, "test", 1, seed=0)[0]
        generator = name.removeprefix("gym/")
        assert row.columns["gym"] == generator
        scorer = reasoning_gym.get_score_answer_fn(generator)
        assert scorer(row.answer, row.columns["entry"]) == 1.0
        assert scorer("no", row.columns["entry"]) < 1.0
        assert row.question == row.columns["entry"]["question"]


def test_options_reach_the_generator() -> None:
    (row,) = tasks.load("chain_sum", "train", 1, 0, min_terms=9, max_terms=9)
    assert len(row.columns["steps"]) == 9
    assert tasks.load("gym/chain_sum", "train", 1, 0, min_terms=3, max_terms=3)[0].columns.keys() == {
        "gym",
        "entry",
    }


def test_there_are_106_generators_and_all_names_have_a_verifier() -> None:
    assert len(gym.names()) >= 106
    assert tasks.names() == ["chain_sum", "modchain", "hardchain", "pivot", "pivotlate"]
    assert [tasks.verifier(name) for name in [*tasks.names(), "gym/gcd"]] == ["gym", *4 * ["exact"], "gym"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("chain_sun", "train", 1, 0),
            "no task is called 'chain_sun'; did you mean chain_sum or gym/chain_sum",
        ),
        (("gcd", "train", 1, 0), "no task is called 'gcd'; did you mean gym/gcd"),
        (("gym/gdc", "train", 1, 0), "no task is called 'gym/gdc'; did you mean gym/gcd"),
        (("zzzzzzzz", "train", 1, 0), "no task is called 'zzzzzzzz'; there are chain_sum, modchain,"),
        (("pivot", "dev", 1, 0), "pivot: split is 'dev'; it must be 'train' or 'test'"),
        (("pivot", "test", 0, 0), "pivot: size is 0; it must be at least 1"),
    ],
)
def test_bad_requests_are_refused_in_one_line(arguments: tuple[str, str, int, int], message: str) -> None:
    with pytest.raises(InputError) as error:
        tasks.load(*arguments)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pivot", {"depth": 1}, "pivot: has no option 'depth'; it has none at all, so leave it out"),
        ("chain_sum", {"max_term": 1}, "chain_sum: has no option 'max_term'; did you mean 'max_terms'?"),
        (
            "chain_sum",
            {"min_terms": 9},
            "chain_sum: min_terms=9, max_terms=8, min_digits=1, max_digits=1 is refused: max_terms must be",
        ),
        (
            "chain_sum",
            {"min_terms": "x"},
            "chain_sum: min_terms='x', max_terms=8, min_digits=1, max_digits=1 is refused: ",
        ),
        ("gym/gcd", {"zzz": 1}, "gym/gcd: has no option 'zzz'; it has min_numbers, max_numbers"),
        ("gym/composite", {}, "gym/composite: the default setting is refused: Must specify"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        tasks.load(name, "train", 1, 0, **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_asking_for_more_questions_than_there_are_is_refused() -> None:
    rows = [tasks.Row("", str(number % 10), "a") for number in range(1000)]
    assert len(distinct_rows(iter(rows), "t", "train", 3)) == 3
    with pytest.raises(
        InputError, match=r"^t: size=50, but only \d different train questions came up; ask for fewer$"
    ):
        distinct_rows(iter(rows), "t", "train", 50)


# Planted truth


@pytest.mark.parametrize("name", tasks.names())
def test_the_gold_completion_ends_in_the_answer_and_has_no_wrong_step(name: str) -> None:
    for row in tasks.load(name, "test", 40, seed=1):
        gold = row.columns["steps"]
        assert gold == tasks.demonstration(name, row.question)
        assert gold[-1] == f"Answer: {row.answer}"
        assert tasks.planted_step(row, "\n".join(gold)) == row.columns.get("pivot")


@pytest.mark.parametrize("name", tasks.names())
def test_a_corrupted_step_is_the_planted_one(name: str) -> None:
    row = tasks.load(name, "test", 1, seed=2)[0]
    gold = row.columns["steps"]
    for index, line in enumerate(gold):
        wrong = [*gold[:index], line[:-1] + str((int(line[-1]) + 1) % 10), *gold[index + 1 :]]
        assert tasks.planted_step(row, "\n".join(wrong)) == index
        assert tasks.planted_step(row, "\n".join(gold[: index + 1])) == (
            row.columns.get("pivot") if index == len(gold) - 1 else index
        )
    problem = Problem(row.id, (1,), row.answer, name, row.question, row.columns)
    assert tasks.planted_step(problem, "nonsense") == 0


def test_a_modular_chain_is_worked_out_by_hand() -> None:
    question = "Work modulo 10 from 7.\na + 3\nb - 9\nc * 7\nd + 6\ne * 9\nf - 4"
    chain = planted.Chain.parse(question)
    assert chain.question == question
    assert chain.facts == [(7, "+", 3), (0, "-", 9), (1, "*", 7), (7, "+", 6), (3, "*", 9), (7, "-", 4)]
    assert tasks.demonstration("modchain", question) == [
        *("a: 7 + 3 = 0", "b: 0 - 9 = 1", "c: 1 * 7 = 7", "d: 7 + 6 = 3", "e: 3 * 9 = 7", "f: 7 - 4 = 3"),
        "Answer: 3",
    ]


def test_flawed_demonstrations_err_on_hard_facts_only_and_as_often_as_stated() -> None:
    rng = random.Random(0)  # noqa: S311
    num_hard = num_wrong = 0
    for row in tasks.load("modchain", "train", 300, seed=0):
        for line in tasks.demonstration("modchain", row.question, rng)[:-1]:
            value, operator, operand, _, written = line[3:].split(" ")
            fact = (int(value), operator, int(operand))
            if int(written) != planted.result(fact):
                assert int(written) == planted.HARD_FACTS[fact]
            num_hard += fact in planted.HARD_FACTS
            num_wrong += int(written) != planted.result(fact)
    assert len(planted.HARD_FACTS) == 46
    # 1800 facts, of which about 390 are hard: .55 plus or minus four standard errors of .025.
    assert 0.45 < num_wrong / num_hard < 0.65


def test_hard_chains_have_three_hard_facts_on_the_gold_path() -> None:
    for row in tasks.load("hardchain", "test", 30, seed=0):
        assert sum(fact in planted.HARD_FACTS for fact in planted.Chain.parse(row.question).facts) >= 3


@pytest.mark.parametrize(("name", "where"), [("pivot", {0, 1, 2, 3}), ("pivotlate", {4})])
def test_a_wrong_choice_is_one_of_the_three_other_methods_and_the_step_is_the_pivot(
    name: str, where: set[int]
) -> None:
    rng = random.Random(0)  # noqa: S311
    rows = tasks.load(name, "test", 200, seed=0)
    assert {row.columns["pivot"] for row in rows} == where
    chosen = []
    for row in rows:
        pivot, lines = row.columns["pivot"], tasks.demonstration(name, row.question, rng)
        chain = planted.Chain.parse(row.question)
        assert f"? {chain.context}" in row.question.split("\n")[pivot + 1]
        method = int(lines[pivot].split(" ")[3])
        assert method in planted.METHODS
        chosen.append(method == planted.CHOICES[chain.context])
        if lines[:pivot] == row.columns["steps"][:pivot]:
            assert tasks.planted_step(row, "\n".join(lines)) >= pivot
    # .55 plus or minus four standard errors of .035.
    assert 0.41 < sum(chosen) / len(chosen) < 0.69


def test_running_sums_are_written_as_they_come_and_may_be_negative() -> None:
    question = "State the final answer to the following arithmetic problem: 38 + 17 - 62 - -5 ="
    assert tasks.demonstration("chain_sum", question) == [
        *("38 + 17 = 55", "55 - 62 = -7", "-7 - -5 = -2"),
        "Answer: -2",
    ]


def test_a_miscounted_sum_is_one_short_for_hard_digits_only() -> None:
    assert [chain_sum.miscounted_sum(15, b) for b in (5, 6, 7, 8, 9)] == [20, 20, 21, 22, 24]
    assert [chain_sum.miscounted_sum(-2, -b) for b in (5, 6, 7, 8, 9)] == [-7, -9, -10, -11, -11]


def test_flawed_sums_err_on_hard_digits_only_and_as_often_as_stated() -> None:
    rng = random.Random(0)  # noqa: S311
    num_hard = num_wrong = 0
    for row in tasks.load("chain_sum", "train", 300, seed=0):
        for line in tasks.demonstration("chain_sum", row.question, rng)[:-1]:
            current, sign, digits, _, written = line.split(" ")
            is_wrong = int(written) != int(current) + int(sign + digits)
            assert not is_wrong or int(digits) in chain_sum.MISCOUNTED
            num_hard += int(digits) in chain_sum.MISCOUNTED
            num_wrong += is_wrong
    # 1800 sums, of which about 540 are hard: .45 plus or minus four standard errors of .021.
    assert 0.36 < num_wrong / num_hard < 0.54


def test_demonstrations_of_other_tasks_do_not_exist() -> None:
    with pytest.raises(InputError, match="no demonstrations of 'gym/gcd'"):
        tasks.demonstration("gym/gcd", "?")


def test_importing_the_tasks_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'datasets', 'transformers', 'reasoning_gym', 'pyarrow', 'numpy'}"
    code = f"import sys, gpo.tasks; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done


# The model that ships


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


def encode(text: str) -> list[int]:
    return tokenizer().encode(text, add_special_tokens=False)


@settings(max_examples=200)
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@example("🙂👩‍👩‍👧 1 + 2 = 3\n\n\t Answer:  ")
@example("".join(map(chr, range(256))))
@example("<|im_start|>user\n<|im_end|><|endoftext|>")
def test_the_tokenizer_gives_back_any_text(text: str) -> None:
    assert tokenizer().decode(encode(text), clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("name", tasks.names())
def test_digits_and_newlines_are_tokens_of_their_own_and_fixed_words_are_short(name: str) -> None:
    for row in tasks.load(name, "test", 5, seed=0):
        completion = "\n".join(row.columns["steps"])
        for text, limit in ((row.question, 45), (completion, 90)):
            pieces = tokenizer().convert_ids_to_tokens(encode(text))
            assert all(piece in "0123456789" for piece in pieces if re.search(r"\d", piece))
            assert pieces.count("Ċ") == text.count("\n")
            assert all(piece == "Ċ" for piece in pieces if "Ċ" in piece)
            assert len(pieces) <= limit


def test_the_chat_template_marks_the_turns() -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "1 + 1 ="}]
    text = tokenizer().apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert (
        text
        == "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n1 + 1 =<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (
        tokenizer().apply_chat_template(turns[1:], tokenize=False) == "<|im_start|>user\n1 + 1 =<|im_end|>\n"
    )


def test_the_shipped_model_is_small_whole_and_plain() -> None:
    config = json.loads((MODEL / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is False
    assert config["head_dim"] >= 32
    assert config["max_position_embeddings"] >= 8192
    assert config["vocab_size"] == len(tokenizer())
    weights = MODEL / "model.safetensors"
    assert weights.stat().st_size < 2_000_000
    with safe_open(weights, framework="np") as tensors:
        assert {"model.embed_tokens.weight", "lm_head.weight"} <= set(tensors.keys())
        assert {tensors.get_tensor(key).dtype.name for key in tensors.keys()} == {"float32"}  # noqa: SIM118
    assert {path.name for path in MODEL.iterdir()} == {
        *("README.md", "config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }


def test_the_end_token_is_the_end_of_a_turn_everywhere() -> None:
    (end,) = encode("<|im_end|>")
    assert tokenizer().eos_token_id == end
    for name in ("config.json", "generation_config.json"):
        assert json.loads((MODEL / name).read_text())["eos_token_id"] == end
