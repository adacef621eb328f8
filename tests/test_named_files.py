"""Files that a setting names: an ordinary file is read, and nothing is waited for."""

import os
from pathlib import Path

import pytest

from gpo import tasks
from gpo.tasks.row import Row
from gpo.types import InputError

ROW = Row("r", "1 + 1 =", "2")


def test_a_template_of_ones_own_is_read(tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text("\ufeffQ: {{ question }}")
    assert tasks.prompt(str(path), None)(ROW) == "Q: 1 + 1 ="


def pipe(path: Path) -> None:
    os.mkfifo(path)


BAD = [
    (pipe, "is a pipe; give an ordinary file"),
    (lambda path: path.mkdir(), "is a folder"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    (lambda path: path.symlink_to("none.jinja"), "no such file"),
    (lambda path: path.write_bytes(b"\xff\xfe{"), "is not UTF-8"),
    (lambda path: path.write_bytes(b" " * (2**22 + 1)), "is larger than 4,194,304 bytes"),
    (lambda path: None, "no such file; check the path"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_a_template_that_is_no_ordinary_text_file_is_refused(tmp_path, make, message):
    path = tmp_path / "own.jinja"
    make(path)
    with pytest.raises(InputError) as told:
        tasks.prompt(str(path), None)
    assert str(told.value).startswith(f"--prompt {path}: ")
    assert message in str(told.value)


@pytest.mark.parametrize(("make", "message"), BAD[:2])
def test_published_examples_that_are_no_ordinary_file_are_refused(tmp_path, make, message):
    path = tmp_path / "bbh" / "cot-prompts" / "snarks.txt"
    path.parent.mkdir(parents=True)
    make(path)
    row = Row("r", "q", "(A)", columns={"subject": "snarks"})
    with pytest.raises(InputError, match=message.partition(";")[0]):
        tasks.prompt("few-shot", "bbh", str(tmp_path))(row)
