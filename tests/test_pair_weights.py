"""Weights of pairs: a positive number that float32 can square, or the row is named."""

import json

import pytest

from gpo.pairs.rows import read_trained
from gpo.tasks.tables import plain
from gpo.types import InputError

MADE = {"problem": "1", "question": "q", "answer": "a", "prompt": "q"}
PAIR = {
    **MADE, "prefix": "", "chosen": "a", "rejected": "b",
    "prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4],
}  # fmt: skip


@pytest.mark.parametrize(
    "weight",
    ["NaN", "Infinity", "-Infinity", "1e400", "1e39", "1" + "0" * 400, "0", "-0.0", "-1", "1e-400", '"1"',
     "true", "false", "null", "[1]", "{}", "1000001"],
)  # fmt: skip
def test_a_weight_that_is_no_usable_number_is_refused_by_row(tmp_path, weight):
    path = tmp_path / "pairs.jsonl"
    bad = json.dumps(PAIR)[:-1] + f', "weight": {weight}}}'
    path.write_text(f"{json.dumps(PAIR)}\n{bad}\n")
    with pytest.raises(InputError) as told:
        read_trained(tmp_path, "pairs")
    assert str(told.value).startswith(f"{path}: row 2: ")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize(("weight", "expected"), [(1, 1.0), (0.25, 0.25), (1e-3, 0.001), (1_000_000, 1e6)])
def test_a_usable_weight_is_read(tmp_path, weight, expected):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({**PAIR, "weight": weight}) + "\n")
    assert [row.weight for _, row in read_trained(tmp_path, "pairs")] == [expected]


@pytest.mark.parametrize("name", ["prompt", "chosen", "rejected"])
@pytest.mark.parametrize("value", [None, 7, ["a"], {"role": "user"}, False])
def test_a_text_that_is_none_is_refused_by_row_and_field(tmp_path, name, value):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(PAIR) + "\n" + json.dumps({**PAIR, name: value}) + "\n")
    with pytest.raises(InputError, match=rf"row 2: {name}: input should be a valid string, got "):
        read_trained(tmp_path, "pairs")


@pytest.mark.parametrize("name", ["prompt", "completion"])
def test_a_text_of_an_unpaired_row_that_is_none_is_refused(tmp_path, name):
    path = tmp_path / "unpaired.jsonl"
    row = {**MADE, "completion": "a", "prompt_ids": [1], "completion_ids": [2], "label": True}
    path.write_text(json.dumps(row | {name: None}) + "\n")
    with pytest.raises(InputError, match=rf"row 1: {name}: input should be a valid string, got 'None'"):
        read_trained(tmp_path, "unpaired")


def test_rows_with_numpy_values_become_plain_ones():
    np = pytest.importorskip("numpy")
    record = {"a": np.array([[1, 2]]), "b": np.float64(0.5), "c": np.str_("x"), "d": [np.int64(3)]}
    found = plain(record, {}, "rows row 1")
    assert found == {"a": [[1, 2]], "b": 0.5, "c": "x", "d": [3]}
    assert json.loads(json.dumps(found)) == found


def test_a_value_that_json_lacks_is_refused_by_row_and_column():
    with pytest.raises(InputError, match=r"rows row 3: column 'a' holds a complex"):
        plain({"a": 1j}, {}, "rows row 3")
