"""Files and JSON that others wrote: read with bounds, refused with the reason, never waited for."""

import json
import os
import socket
from pathlib import Path

import pytest

from gpo import files
from gpo.files import JsonError, Number, parse_json
from gpo.types import InputError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1', "expecting ',' delimiter at column 8"),
        ("{'a': 1}", "single quotes at column 2, where JSON has double ones; write it with json.dumps"),
        ('{"a": 1,}', "a comma before the closing bracket at column"),
        ("[1, 2,]", "a comma before the closing bracket at column"),
        ("{} {}", "more text after the value, at column 4"),
        ("", "expecting value at column 1"),
        ('{"a": NaN}', "NaN is not JSON; write null"),
        ("[-Infinity]", "-Infinity is not JSON; write null"),
        ("[1e400]", "the number 1e400 is too large for a float"),
        ("[-1E+999]", "the number -1E+999 is too large for a float"),
        (f"[{'9' * 400}.5]", "the number 9999"),
        (f"[{'1' * 5000}]", "an integer of 5,000 digits; write it as text"),
        (f'{{"a": 1, "b": -{"1" * 4999}}}', "an integer of 5,000 digits; write it as text"),
        ("[" * 200_000, "brackets are nested more than 100 deep"),
        ('{"a":' * 200_000, "brackets are nested more than 100 deep"),
        ("[" * 101 + "]" * 101, "brackets are nested more than 100 deep"),
        ('{"a":[' * 51 + "]}" * 51, "brackets are nested more than 100 deep"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice in one object"),
        ('[{"x": {"k": 1, "k": 1}}]', "the key 'k' stands twice in one object"),
        (r'{"a": 1, "\u0061": 2}', "the key 'a' stands twice in one object"),
        ('{"a"  : 1, "a"\n: 2}', "the key 'a' stands twice in one object"),
        ('{"a": {"b": 1}, "c" :2, "c": 3}', "the key 'c' stands twice in one object"),
        ('{"a": 1, "b": Infinity}', "Infinity is not JSON; write null"),
        ('{"a": 1, "b": -1E+999}', "the number -1E+999 is too large for a float"),
        (r'{"a": "\ud800"}', r"\ud800 is half of a surrogate pair, so it is not a character"),
        (r'{"\uDC00": 1}', r"\udc00 is half of a surrogate pair, so it is not a character"),
        (r'["\ude00\ud83d"]', r"\ude00 is half of a surrogate pair, so it is not a character"),
        (b'{"a": "\xff"}', "byte 0xff at 8 is not UTF-8"),
        (b'["\xed\xa0\x80"]', "byte 0xed at 3 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 0xff at 1 is not UTF-8"),
        ("[1\n,2\n,x]", "expecting value at line 3 column 2"),
    ],
)
def test_text_that_is_not_plain_json_is_refused_with_the_reason(text: str | bytes, reason: str) -> None:
    with pytest.raises(JsonError) as error:
        parse_json(text)
    assert str(error.value).startswith(reason)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("\ufeff[1]", [1]),
        (r'["\ud83d\ude00"]', ["\U0001f600"]),
        (r'{"a": "x\":", "b": [1, {"c": -0.5e-3}], "d": 7}', {"a": 'x":', "b": [1, {"c": -0.0005}], "d": 7}),
        (
            '{"a": 123456789012345678901234567890, "b": "e+999"}',
            {"a": 123456789012345678901234567890, "b": "e+999"},
        ),
        (r'["\\ud800"]', [r"\ud800"]),
        ("[" * 100 + "]" * 100, None),
        ("[1e308, 1e-400, -0.0]", [1e308, 0.0, -0.0]),
        (f"[{'1' * 4300}]", None),
        ('["' + "1" * 5000 + '"]', ["1" * 5000]),
        (f"[{','.join('[1]' for _ in range(500))}]", [[1]] * 500),
        ("\r\n {}\r\n", {}),
    ],
)
def test_plain_json_is_read(text: str | bytes, value: object) -> None:
    read = parse_json(text)
    assert read == (json.loads(text) if value is None else value)


def test_numbers_of_a_data_set_keep_their_digits() -> None:
    (value, big, not_a_number, whole) = parse_json("[0.10000000000000000001, 1e400, NaN, 5]", is_data=True)
    assert (value, value.literal) == (0.1, "0.10000000000000000001")
    assert isinstance(value, Number)
    assert (big, big.literal) == (float("inf"), "1e400")
    assert not_a_number != not_a_number
    assert type(whole) is int
    assert json.dumps(value) == "0.1"


def test_a_file_that_is_not_ordinary_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "to-pipe.jsonl").symlink_to(tmp_path / "pipe.jsonl")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    reader, writer = os.pipe()
    cases = {
        str(tmp_path / "pipe.jsonl"): "is a pipe; give an ordinary file",
        str(tmp_path / "to-pipe.jsonl"): "is a pipe; give an ordinary file",
        f"/dev/fd/{reader}": "is a pipe; give an ordinary file",
        "/dev/zero": "is a device; give an ordinary file",
        "/dev/null": "is a device; give an ordinary file",
        str(tmp_path): "is a folder; give an ordinary file",
        str(tmp_path / "s"): "cannot be opened (",
        str(tmp_path / "loop"): "cannot be opened (",
        str(tmp_path / "none"): "no such file; check the path",
        str(tmp_path / "none" / "below"): "no such file; check the path",
        "-": "no such file; check the path",
        "": "is empty; name a file",
        " ": "is empty; name a file",
        "a\0b": "holds a NUL character",
        "a\ud800": "holds half of a surrogate pair",
        "n" * 256: "is too long for a path (256 bytes)",
        "/d" * 3000: "is too long for a path (6,000 bytes)",
        "ü" * 128: "is too long for a path (256 bytes)",
    }
    for path, message in cases.items():
        with pytest.raises(InputError) as error:
            files.open_file(path)
        assert message in str(error.value), path
        assert len(str(error.value)) < 400
    os.close(reader), os.close(writer), listening.close()


def test_a_text_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 1\r\n")
    assert files.read_text(path, "--config a.yaml", 100) == "seed: 1\r\n"
    with pytest.raises(InputError, match=r"^--config a.yaml: is larger than 5 bytes; give a smaller file$"):
        files.read_text(path, "--config a.yaml", 5)
    path.write_bytes("seed: 1".encode("utf-16"))
    with pytest.raises(InputError, match=r"^--config a.yaml: is not UTF-8 \(byte 0xff at 1\)"):
        files.read_text(path, "--config a.yaml", 100)
    with pytest.raises(InputError, match=r"^/proc/self/mem: cannot be read \("):
        files.read_text("/proc/self/mem", "/proc/self/mem", 100)
