"""Data files as users have them: every kind that is off is refused in one line that says what to do."""

import datetime
import decimal
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpo import tasks
from gpo.tasks import read, rows
from gpo.types import InputError

GOOD = {"question": "1 + 1?", "answer": "2"}
LINE = json.dumps(GOOD).encode() + b"\n"
GZIPPED = gzip.compress(LINE, mtime=0)
SMALL = pa.Table.from_pylist([GOOD])


def refusal(path: Path, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        tasks.read_rows(str(path), **columns)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 500
    return message.replace(f"{path.parent}/", "")


def arrow(table: pa.Table, opened: Callable[..., Any]) -> bytes:
    sink = pa.BufferOutputStream()
    with opened(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"[" + LINE.strip() + b"]\n", "a.jsonl line 1: begins a JSON list; name the file .json"),
        ("a.jsonl", b"\n[\n" + LINE + b"]\n", "a.jsonl line 2: begins a JSON list; name the file .json"),
        ("a.jsonl", json.dumps(GOOD, indent=2).encode(), "a.jsonl line 1: is the start of an object over"),
        ("a.jsonl", GZIPPED, "a.jsonl: is compressed with gzip; unpack it first with gunzip -k"),
        ("a.jsonl.gz", GZIPPED, "a.jsonl.gz: is compressed with gzip; unpack it first"),
        ("a.parquet", GZIPPED, "a.parquet: is compressed with gzip; unpack it first"),
        ("a.jsonl.xz", lzma.compress(LINE), "a.jsonl.xz: is compressed with xz; unpack it first"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfd\0\0", "a.jsonl.zst: is compressed with zstd; unpack it first"),
        ("a.json", b"PK\x03\x04\0", "a.json: is a zip archive"),
        ("a.xlsx", b"PK\x03\x04\0", "a.xlsx: cannot read '.xlsx' files; convert it: pandas.read_excel("),
        ("a.jsonl", parquet(SMALL), "a.jsonl: is a Parquet file; name it .parquet"),
        ("a.parquet", LINE, "a.parquet: is not a readable Parquet file ("),
        ("a.parquet", b"", "a.parquet: is not a readable Parquet file ("),
        ("a.parquet", parquet(SMALL)[:-9], "a.parquet: is not a readable Parquet file ("),
        ("a.parquet", b"PAR1" + b"\0" * 50 + b"PAR1", "a.parquet: is not a readable Parquet file ("),
        ("a.jsonl", arrow(SMALL, pa.ipc.new_file), "a.jsonl: is an Arrow file; convert it: datasets."),
        ("a.jsonl", arrow(SMALL, pa.ipc.new_stream), "a.jsonl: is an Arrow stream; convert it: datasets."),
        ("a.arrow", arrow(SMALL, pa.ipc.new_file), "a.arrow: cannot read '.arrow' files; convert it: datas"),
        (
            "a.csv",
            b"question,answer\n",
            "a.csv: cannot read '.csv' files; convert it: pandas.read_csv('FILE')",
        ),
        (
            "A.TSV",
            b"question\tanswer\n",
            "A.TSV: cannot read '.TSV' files; convert it: pandas.read_csv('FILE'",
        ),
        ("a.jsonl", b"question,answer\n1,2\n", "a.jsonl line 1: is not JSON (expecting value at column 1)"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a.jsonl: is a Git LFS pointer"),
        ("a.jsonl", b"<!DOCTYPE html>", "a.jsonl: is HTML or XML, such as an error page"),
        ("a.jsonl", LINE.decode().encode("utf-16"), "a.jsonl: is UTF-16; save it as UTF-8"),
        ("a.jsonl", LINE.decode().encode("utf-16-be"), "a.jsonl: holds NUL bytes, so it is not UTF-8"),
        ("a.jsonl", '{"question": "é"}'.encode("latin-1"), "a.jsonl line 1: is not JSON (byte 0xe9 at 15"),
        ("a.jsonl", b"", "a.jsonl: has no rows"),
        ("a.jsonl", b"\n \r\n\t\n", "a.jsonl: has no rows"),
        ("a.json", b"[]", "a.json: has no rows"),
        ("a.json", b"", "a.json: cannot be read as JSON (expecting value at column 1)"),
        ("a.json", LINE + LINE, "a.json: cannot be read as JSON (more text after the value, at line 2 col"),
        ("a.json", b'{"data": []}', "a.json: holds neither a list of rows nor one under 'examples'"),
        ("a.json", b"[1]", "a.json row 1: is a int, not an object with columns"),
        ("a.jsonl", LINE + b"{'question': 'q'}\n", "a.jsonl line 2: is not JSON (single quotes at column 2"),
        ("a.jsonl", LINE[:-2] + b",}\n", "a.jsonl line 1: is not JSON (a comma before the closing bracket"),
        ("a.jsonl", LINE.strip() + b"," + LINE, "a.jsonl line 1: is not JSON (more text after the value"),
        (
            "a.jsonl",
            LINE[:-2] + b', "x": ' + b"1" * 5000 + b"}",
            "a.jsonl line 1: is not JSON (an integer of",
        ),
        ("a.jsonl", b'{"x":' * 200_000, "a.jsonl line 1: is not JSON (brackets are nested more than 100"),
        ("a.json", b"[" * 200_000, "a.json: cannot be read as JSON (brackets are nested more than 100"),
        (
            "a.jsonl",
            LINE[:-2] + b', "answer": "3"}\n',
            "a.jsonl line 1: is not JSON (the key 'answer' stands",
        ),
        (
            "a.jsonl",
            b'{"question": "\\ud83d", "answer": "1"}',
            "a.jsonl line 1: is not JSON (\\ud83d is half",
        ),
        (
            "a.jsonl",
            b'{"question": "q", "answer": "1", "id": "\\udfff"}',
            "a.jsonl line 1: is not JSON (\\udf",
        ),
        ("a.jsonl", b'{"question": "\xed\xa0\x80", "answer": "1"}', "a.jsonl line 1: is not JSON (byte 0xed"),
        ("a", LINE, "a: cannot read '' files; convert it to .jsonl or .parquet"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(message)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.JSONL", LINE),
        ("a.ndjson", LINE),
        ("a.JSON", b"[" + LINE + b"]"),
        ("a.Parquet", parquet(SMALL)),
        ("a.jsonl", b"\xef\xbb\xbf" + LINE),
        ("a.jsonl", LINE.replace(b"\n", b"\r\n")),
        ("a.jsonl", b"\n\n" + LINE.strip()),
        ("a.json", b"\xef\xbb\xbf[" + LINE + b"]"),
        ("a.jsonl", LINE[:-2] + b', "other": NaN, "more": 1e999}'),
        ("a.jsonl", '{"question": "1 + 1?", "answer": "2", "x": "\u2028"}'.encode()),
    ],
)
def test_a_file_that_is_merely_unusual_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [(row.question, row.answer) for row in tasks.read_rows(str(tmp_path / name))] == [("1 + 1?", "2")]


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_info.json").write_text("{}")
    locked = tmp_path / "locked.jsonl"
    locked.write_bytes(LINE)
    locked.chmod(0)
    cases = {
        "pipe.jsonl": "pipe.jsonl: is a pipe; give an ordinary file",
        "none.jsonl": "none.jsonl: no such file; for a hub dataset write hub:OWNER/NAME",
        "saved": "saved: is a folder; convert it: datasets.load_from_disk('FOLDER').to_parquet('FILE.par",
    }
    if os.geteuid():  # root may read anything
        cases["locked.jsonl"] = "locked.jsonl: cannot be opened (Permission denied)"
    for name, message in cases.items():
        assert refusal(tmp_path / name).startswith(message)
    for data, message in {
        "-": "-: no such file",
        "/dev/zero": "/dev/zero: is a device",
        "/proc/self/mem": "/proc/self/mem: cannot be read (",
        "/proc/version": "/proc/version: cannot read '' files",
        "x" * 256 + ".jsonl": "x",
        "a\0.jsonl": "'a\\x00.jsonl': holds a NUL",
        "": "data: is empty",
        "hub:": "hub:: names no dataset; write hub:OWNER/NAME",
        "hub:../../etc": "hub:../../etc: names no dataset",
        "hub:a b": "hub:a b: names no dataset",
        "ray:a.jsonl": "ray:a.jsonl: only sample, locate and eval read it",
    }.items():
        with pytest.raises(InputError) as error:
            tasks.read_rows(data)
        assert str(error.value).startswith(message)
        assert len(str(error.value)) < 200


def test_no_more_is_read_than_the_limit_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines and Parquet batches behind the limit are not decoded: they hold what would be refused."""
    (tmp_path / "a.jsonl").write_bytes(LINE * 4 + b"no JSON\n")
    assert len(tasks.read_rows(str(tmp_path / "a.jsonl"), limit=4)) == 4
    assert "line 5: is not JSON" in refusal(tmp_path / "a.jsonl")
    decoded = []
    whole = pa.RecordBatch.to_pylist
    table = pa.Table.from_pylist([GOOD | {"id": number} for number in range(5000)])
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000)

    class Counted:
        def __init__(self, batch: pa.RecordBatch) -> None:
            self.batch = batch

        def to_pylist(self) -> list[dict[str, Any]]:
            decoded.append(len(self.batch))
            return whole(self.batch)

    iterate = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda self, **more: map(Counted, iterate(self, **more))
    )
    assert [row.id for row in tasks.read_rows(str(tmp_path / "a.parquet"), limit=3)] == ["0", "1", "2"]
    assert sum(decoded) <= 256
    assert len(tasks.read_rows(str(tmp_path / "a.parquet"))) == 5000


def test_a_row_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_ROW_BYTES", 100)
    monkeypatch.setattr(rows, "MAX_ID_CHARS", 15)
    monkeypatch.setattr(rows, "MAX_PROMPT_CHARS", 20)
    monkeypatch.setattr(rows, "MAX_ANSWER_CHARS", 10)
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE + json.dumps({"question": "q" * 200}).encode())
    assert refusal(path) == "a.jsonl line 2: is longer than 100 bytes; remove or shorten the row"
    path.write_text(json.dumps({"question": "q", "answer": "a" * 11}))
    assert refusal(path) == (
        "a.jsonl line 1: answer 'answer' has 11 characters and may have 10; shorten or remove the row"
    )
    path.write_text(json.dumps({"question": "q" * 21, "answer": "a"}))
    asked: list[str] = []
    with pytest.raises(InputError, match=r"line 1: prompt has 21 characters and may have 20; shorten or"):
        tasks.problems(tasks.read_rows(str(path)), lambda text: asked.append(text) or ())
    assert asked == []
    path.write_text(json.dumps(GOOD | {"id": "i" * 16}))
    assert refusal(path).startswith("a.jsonl: column 'id' has an id of 16 characters, 'iii")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("18", "18"),
        ("18.0", "18"),
        ("18.50", "18.5"),
        ("1e-7", "0.0000001"),
        ("2.5e-05", "0.000025"),
        ("1E3", "1000"),
        ("3.2e5", "320000"),
        ("1e22", "10000000000000000000000"),
        ("1e23", "100000000000000000000000"),
        ("-0.0", "0"),
        ("-0", "0"),
        ("-1.0e0", "-1"),
        ("0.1", "0.1"),
        ("100.0", "100"),
        ("0.12345678901234567890123", "0.12345678901234567890123"),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ("9007199254740993.0", "9007199254740993"),
        ("1e308", "1" + "0" * 308),
    ],
)
def test_a_number_as_an_answer_keeps_its_worth(tmp_path: Path, written: str, answer: str) -> None:
    for name, content in {"a.jsonl": "{}", "a.json": "[{}]"}.items():
        path = tmp_path / name
        path.write_text(content.replace("{}", f'{{"question": "q", "answer": {written}}}'))
        assert [row.answer for row in tasks.read_rows(str(path))] == [answer]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("true", "answer 'answer' is true; write the text that a model should answer, such as \"True\""),
        ("false", "answer 'answer' is false; write the text"),
        ("null", "answer 'answer' is None; give a string or a number"),
        ('""', "answer 'answer' is empty"),
        ('" \\n"', "answer 'answer' is empty"),
        ('["4"]', "answer 'answer' is ['4']; give a string or a number"),
        ('{"a": 1}', "answer 'answer' is {'a': 1}; give a string or a number"),
        ("NaN", "answer 'answer' is nan; give a string or a number"),
        ("-Infinity", "answer 'answer' is -inf; give a string or a number"),
        ("1e400", "answer 'answer' is inf; give a string or a number"),
        ("-1e99999", "answer 'answer' is -inf; give a string or a number"),
        ("1e-999999999", "answer 'answer' is Decimal('1E-999999999'); give it as text"),
    ],
)
def test_an_answer_that_is_neither_text_nor_a_number_is_refused(
    tmp_path: Path, written: str, reason: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"question": "q", "answer": {written}}}')
    assert refusal(path).startswith(f"a.jsonl line 1: {reason}")


@pytest.mark.parametrize(
    ("array", "answer"),
    [
        (pa.array([0.1], pa.float32()), "0.1"),
        (pa.array([1e-7], pa.float32()), "0.0000001"),
        (pa.array([np.float16(0.1)], pa.float16()), "0.1"),
        (pa.array([16777216.0], pa.float32()), "16777216"),
        (pa.array([18.0]), "18"),
        (pa.array([decimal.Decimal("12345678901234567890.10")]), "12345678901234567890.1"),
        (pa.array([decimal.Decimal("7.00")]), "7"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([None, 0.1], pa.float32())[1:], "0.1"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array(["b"], pa.large_string()), "b"),
        (pa.array([datetime.date(2020, 1, 2)]), "2020-01-02"),
    ],
)
def test_numbers_and_dates_of_parquet_are_answers(tmp_path: Path, array: pa.Array, answer: str) -> None:
    pq.write_table(pa.table({"question": ["q"], "answer": array}), tmp_path / "a.parquet")
    assert [row.answer for row in tasks.read_rows(str(tmp_path / "a.parquet"))] == [answer]


def test_columns_of_parquet_are_plain_values_that_json_has(tmp_path: Path) -> None:
    table = pa.table(
        {
            "question": ["q"],
            "answer": ["a"],
            "when": pa.array([datetime.datetime(2020, 1, 2, 3, 4)], pa.timestamp("us")),
            "ns": pa.array([1], pa.timestamp("ns")),
            "took": pa.array([datetime.timedelta(seconds=90)], pa.duration("s")),
            "raw": pa.array([b"\xff"]),
            "none": pa.nulls(1),
            "price": pa.array([decimal.Decimal("1.50")]),
            "inner": pa.array([{"when": datetime.date(2020, 1, 2), "n": [1, None]}]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = tasks.read_rows(str(tmp_path / "a.parquet"))
    columns = dict(row.columns)
    assert str(columns.pop("ns")).startswith("1970-01-01T00:00:00")
    assert columns == {
        "when": "2020-01-02T03:04:00",
        "took": 90.0,
        "raw": "/w==",
        "none": None,
        "price": 1.5,
        "inner": {"when": "2020-01-02", "n": [1, None]},
        "map": [["k", 1]],
    }
    json.dumps(columns, allow_nan=False)


def test_two_columns_of_one_name_and_text_that_is_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([["q"], ["a"], ["b"]], names=["question", "answer", "answer"]), path)
    assert refusal(path) == "a.parquet: has two columns 'answer'; rename one of them"
    text = b"\xff"
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(text)]
    )
    pq.write_table(pa.table({"question": broken, "answer": ["a"]}), path)
    assert refusal(path).startswith("a.parquet: is not a readable Parquet file ('utf-8' codec")


@pytest.mark.parametrize(
    ("record", "prompt", "answer", "read"),
    [
        ({"p": "q", "reward_model": {"ground_truth": "4"}}, "p", "reward_model.ground_truth", ("q", "4")),
        ({"p": [{"role": "user", "content": "q"}], "a": {"b": {"c": 4}}}, "p", "a.b.c", ("q", "4")),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "4"}]},
            "conversations.0.value",
            "conversations.1.value",
            ("q", "4"),
        ),
        ({"conversations": [{"from": "human", "value": "q"}], "a": 4}, "conversations", "a", ("q", "4")),
        ({"a.b": "exact", "a": {"b": "inner"}, "c": "4"}, "a.b", "c", ("exact", "4")),
        ({"q": "q", "golds": ["4", "5"]}, "q", "golds.0", ("q", "4")),
    ],
)
def test_a_dotted_column_reaches_into_objects_and_lists(
    tmp_path: Path, record: dict[str, Any], prompt: str, answer: str, read: tuple[str, str]
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    (row,) = tasks.read_rows(str(tmp_path / "a.jsonl"), prompt, answer)
    assert (row.question, row.answer) == read


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"problem": "q", "solution": "a"},
            "has no column 'prompt', only problem, solution; did you mean --prompt-column problem?",
        ),
        ({"x": 1}, "has no column 'prompt', only x; name the one that holds it with --prompt-column"),
        (
            {"prompt": "q", "reward_model": {"ground_truth": "4", "style": "rule"}},
            "has no column 'answer', only prompt, reward_model, reward_model.ground_truth, reward_model.style"
            "; "
            "did you mean --answer-column reward_model.ground_truth?",
        ),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "4"}]},
            "has no column 'prompt', only conversations, conversations.0.from, conversations.0.value; "
            "did you mean --prompt-column conversations.0.value?",
        ),
        ({"prompt": None, "answer": "a"}, "prompt 'prompt' is None, not text; give a string"),
        ({"prompt": " ", "answer": "a"}, "prompt 'prompt' is empty"),
        (
            {"prompt": '[{"role": "user", "content": "q"}]', "answer": "a"},
            "prompt 'prompt' is a conversation as text",
        ),
        (
            {"prompt": [{"from": "system", "value": "s"}], "answer": "a"},
            "prompt column 'prompt' has a system",
        ),
        (
            {"prompt": [{"from": "gpt", "value": "s"}], "answer": "a"},
            "prompt column 'prompt' has the turns ass",
        ),
        (
            {"prompt": [{"role": None, "content": "s"}], "answer": "a"},
            "prompt column 'prompt' has the turns None",
        ),
        ({"prompt": [{"from": ["x"], "value": "s"}], "answer": "a"}, "prompt column 'prompt' has the turns "),
        (
            {
                "prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
                "answer": "a",
            },
            "prompt column 'prompt' has the turns user, assistant, and only one user turn is supported; "
            "name the "
            "question alone, as in prompt.0.content",
        ),
    ],
)
def test_a_row_of_another_shape_says_which_column_to_name(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    message = refusal(tmp_path / "a.jsonl", prompt="prompt")
    assert message.startswith(f"a.jsonl line 1: {reason}")


@pytest.mark.parametrize(
    "column", ["reward_model.", ".ground_truth", "a..b", "p.0", "a.0", "a.99999", "a.-1", "a.²"]
)
def test_a_dotted_column_that_leads_nowhere_is_refused(tmp_path: Path, column: str) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"p": "q", "reward_model": {"x": 1}, "a": [], "answer": "a"})
    )
    assert refusal(tmp_path / "a.jsonl", prompt=column).startswith(
        f"a.jsonl line 1: has no column '{column}', only "
    )
