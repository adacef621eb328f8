"""Wrong inputs to every command: one line, exit code 2, and nothing written or changed."""

from __future__ import annotations

import json
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import driver
import pytest

from gpo import command_settings as config
from gpo.settings import Settings

SETTINGS: dict[str, type[Settings]] = {
    "sample": config.SampleSettings,
    "eval": config.EvalSettings,
    "locate": config.LocateSettings,
    "train": config.TrainSettings,
    "dpo": config.PreferenceSettings,
    "pairs": config.PairsSettings,
}
BASES = {
    **{name: (name, "--task", "chain_sum", "--limit", "1") for name in ("sample", "eval", "locate", "pairs")},
    "train": ("train", "--task", "chain_sum", "--size", "8", "--rounds", "1"),
    "dpo": ("train", "--method", "dpo", "--task", "chain_sum", "--size", "8"),
}
"""Arguments that are right, to which one wrong one is added."""

NO_NUMBERS = ("x", "", " ", "nan", "inf", "-1e999", "1" + "0" * 30, "[1]", "0x", "1;2", "\u0661\u200b")
NO_CHOICES = ("nope", "", " ", "\u202e", "none,none")
NO_TEXTS = ("\x00", "")


def _is(annotation: Any, *kinds: Any) -> bool:
    """Whether the setting is of one of these kinds, or may be left out."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is(one, *kinds) for one in get_args(annotation) if one is not type(None))
    return annotation in kinds or get_origin(annotation) in kinds


def _wrong_values(annotation: Any) -> tuple[str, ...]:
    if _is(annotation, int, float):
        return NO_NUMBERS
    if _is(annotation, Literal):
        return NO_CHOICES
    if _is(annotation, dict):
        return ("x", "=1", "a=[", "a=!!python/object/apply:os.getcwd []", "")
    return ()


def generated() -> Iterator[tuple[str, ...]]:
    """Every number, choice and mapping among the settings of every command, with values that are none."""
    for name, cls in SETTINGS.items():
        for key, info in cls.model_fields.items():
            for value in _wrong_values(info.annotation):
                yield (*BASES[name], f"--{key.replace('_', '-')}={value}")


GENERATED = list(dict.fromkeys(generated()))
PARTS = 12


@pytest.mark.parametrize("part", range(PARTS))
def test_no_setting_takes_what_is_no_value_of_its_kind(tmp_path, figures, part) -> None:
    for args in GENERATED[part::PARTS]:
        refused(tmp_path, args)
        figures["wrong values of settings, generated"] += 1


def refused(folder: Path, args: tuple[str, ...], message: str = "") -> None:
    """Checks that the command is refused, says what `message` names, and leaves the folder as it was."""
    before = driver.contents(folder)
    ended = driver.run(*args, cwd=folder)
    assert ended.is_refusal(), (args, ended)
    assert len(ended.error) < 2000, (args, len(ended.error))
    assert message in ended.error, (args, ended.error)
    assert not any(ord(char) < 32 or ord(char) in range(0x7F, 0xA0) for char in ended.error), args
    assert driver.contents(folder) == before, args
    assert not (folder / "out").exists(), args


ROW = '{"prompt": "1 + 1 =", "answer": "2"}\n'
DEEP = "[" * 200_000 + "]" * 200_000
FILES: dict[str, bytes] = {
    "empty.jsonl": b"",
    "blank.jsonl": b"\n \n\n",
    "array.jsonl": b'[{"prompt": "1", "answer": "2"}]',
    "torn.jsonl": ROW.encode() + b'{"prompt": "1',
    "quotes.jsonl": b"{'prompt': '1', 'answer': '2'}\n",
    "comma.jsonl": b'{"prompt": "1", "answer": "2",}\n',
    "scalar.jsonl": b"3\n",
    "deep.jsonl": DEEP.encode() + b"\n",
    "deep-value.jsonl": b'{"prompt": "1", "answer": "2", "more": ' + DEEP.encode() + b"}\n",
    "long-int.jsonl": b'{"prompt": "1", "answer": "2", "more": ' + b"9" * 5000 + b"}\n",
    "utf16.jsonl": ROW.encode("utf-16"),
    "latin.jsonl": '{"prompt": "é", "answer": "2"}\n'.encode("latin-1"),
    "nul.jsonl": b"\x00" * 64,
    "gzip.jsonl": b"\x1f\x8b\x08\x00" + b"\x00" * 40,
    "zip.jsonl": b"PK\x03\x04" + b"\x00" * 40,
    "surrogate.jsonl": b'{"prompt": "a \\ud800 b", "answer": "2"}\n',
    "surrogate-id.jsonl": b'{"id": "\\udfff", "prompt": "1", "answer": "2"}\n',
    "prompt-null.jsonl": b'{"prompt": null, "answer": "2"}\n',
    "prompt-number.jsonl": b'{"prompt": 7, "answer": "2"}\n',
    "prompt-empty.jsonl": b'{"prompt": "", "answer": "2"}\n',
    "prompt-missing.jsonl": b'{"question": "1", "answer": "2"}\n',
    "prompt-roles.jsonl": b'{"prompt": [{"role": "robot"}], "answer": "2"}\n',
    "prompt-second.jsonl": ROW.encode() + b'{"prompt": [], "answer": "2"}\n',
    "answer-null.jsonl": b'{"prompt": "1", "answer": null}\n',
    "answer-true.jsonl": b'{"prompt": "1", "answer": true}\n',
    "answer-list.jsonl": b'{"prompt": "1", "answer": [1]}\n',
    "answer-words.jsonl": b'{"prompt": "1", "answer": "many"}\n',
    "answer-empty.jsonl": b'{"prompt": "1", "answer": ""}\n',
    "answer-infinite.jsonl": b'{"prompt": "1", "answer": 1e999}\n',
    "answer-nan.jsonl": b'{"prompt": "1", "answer": NaN}\n',
    "answer-missing.jsonl": b'{"prompt": "1"}\n',
    "long.jsonl": b'{"prompt": "' + b"a b " * 20_000 + b'", "answer": "2"}\n',
    "keys.jsonl": b'{"prompt": "1", "prompt": "3", "answer": "2"}\n',
    "sheet.csv": b"prompt,answer\n1,2\n",
    "book.xlsx": b"PK\x03\x04",
    "rows.json": b'{"rows": 3}',
    "bare.json": b"not json",
    "torn.parquet": b"PAR1" + b"\x00" * 20,
    "text.parquet": ROW.encode(),
    "noending": ROW.encode(),
    "upper.TXT": ROW.encode(),
}
"""Files of problems that cannot be used, each for one reason."""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["sample", "train", "eval", "locate", "pairs"])
def test_a_file_of_problems_that_cannot_be_used_is_named(tmp_path, figures, command, name) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    refused(tmp_path, (command, "--data", name, "--verifier", "number", "--output", "out"), name)
    figures["unusable files of problems"] += 1


TRACES: dict[str, Any] = {
    "missing": ...,
    "null": None,
    "empty": "",
    "number": 7,
    "object": {"text": "a"},
    "user": [{"role": "user", "content": "a"}],
    "tool": [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}],
    "beyond": [1, 10**6],
    "huge": [1, 10**30],
    "negative": [5, -1],
    "floats": [1.5],
    "bools": [True, False],
    "mixed": [1, "a"],
    "long": "1 " * 400,
    "surrogate": "a \ud800",
}


@pytest.mark.parametrize("name", TRACES)
def test_a_trajectory_that_cannot_be_used_is_named(tmp_path, figures, name) -> None:
    row = {"prompt": "1 + 1 =", "answer": "2"} | ({} if TRACES[name] is ... else {"trace": TRACES[name]})
    (tmp_path / "traces.jsonl").write_text(json.dumps(row) + "\n")
    refused(
        tmp_path,
        ("locate", "--data", "traces.jsonl", "--completion-column", "trace", "--verifier", "number",
         "--max-tokens", "96", "--output", "out"),
    )  # fmt: skip
    figures["unusable trajectories"] += 1


CONFIGS: dict[str, bytes] = {
    "list": b"- 1\n",
    "scalar": b"3\n",
    "torn": b"a: [1\n",
    "unknown": b"lerning_rate: 1\n",
    "number": b"1: 2\n",
    "object": b"model: !!python/object/apply:os.getcwd []\n",
    "date": b"model: 2020-01-01\n",
    "binary": b"\xff\xfe\x00",
    "deep": DEEP.encode(),
    "null": b"task: null\n",
    "aliases": b"a: &a [x, x]\n" + b"".join(b"k%d: [*a, *a]\n" % i for i in range(40)),
    "wrong-type": b"limit: many\n",
    "nested": b"task: {name: chain_sum}\n",
    "tabs": b"task:\n\t- x\n",
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("command", ["sample", "train", "locate", "pairs", "eval"])
def test_a_settings_file_that_cannot_be_used_is_refused(tmp_path, figures, command, name) -> None:
    (tmp_path / "own.yaml").write_bytes(CONFIGS[name])
    refused(tmp_path, (command, "--config", "own.yaml", "--output", "out"))
    figures["unusable settings files"] += 1


SAMPLE = ("sample", "--task", "chain_sum", "--limit", "1", "--output", "out")
OWN = ("sample", "--data", "own.jsonl", "--verifier", "number", "--limit", "1", "--output", "out")
BY_HAND: tuple[tuple[str, ...], ...] = (
    (),
    ("trian",),
    ("sample",),
    ("eval",),
    ("train",),
    ("pairs",),
    ("locate",),
    ("export",),
    ("show",),
    ("report",),
    ("watch",),
    ("data", "chek"),
    ("data", "check"),
    ("data", "check", "nope"),
    ("data", "overlap", "none.jsonl"),
    ("sample", "--nope"),
    ("sample", "chain_sum"),
    ("sample", "--task"),
    ("sample", "--task", "chain_sum", "--data", "own.jsonl"),
    ("sample", "--task", "gym/nope"),
    ("sample", "--task", "gym/"),
    ("sample", "--task", "../chain_sum"),
    ("sample", "--data", "none.jsonl"),
    ("sample", "--data", "."),
    ("sample", "--data", "/dev/null"),
    ("sample", "--data", "/proc/self/mem"),
    ("sample", "--data", "pipe.jsonl"),
    ("sample", "--data", "hub:"),
    ("sample", "--data", "hub:owner"),
    ("sample", "--data", "x" * 300),
    ("sample", "--data", "ray:none.jsonl"),
    ("sample", "--data", "locked.jsonl", "--verifier", "number")
    if os.geteuid()
    else ("sample", "--data", ""),
    ("sample", "--data", "own.jsonl"),
    ("sample", "--config", "pipe.jsonl"),
    ("sample", "--config", "none.yaml"),
    ("sample", "--config", "."),
    ("train", "--method", "nope", "--task", "chain_sum"),
    ("train", "--method", "dpo"),
    ("train", "--method", "dpo", "--pairs", "none"),
    ("train", "--method", "dpo", "--pairs", "own.jsonl"),
    ("train", "--task", "chain_sum", "--batch", "8"),
    ("train", "--task", "chain_sum", "--recipe", "nope"),
    ("train", "--task", "chain_sum", "--track", "nope"),
    ("train", "--task", "chain_sum", "--lora-alpha", "2"),
    ("train", "--task", "chain_sum", "--lora-rank", "4", "--adapter", "x"),
    ("train", "--task", "chain_sum", "--eval-problems", "99999999999"),
    ("train", "--task", "chain_sum", "--eval-task", "nope"),
    ("train", "--task", "chain_sum", "--eval-data", "none.jsonl"),
    ("eval", "--task", "chain_sum", "--k", "x"),
    ("eval", "--task", "chain_sum", "--k", "0"),
    ("eval", "--task", "chain_sum", "--k", "99"),
    ("eval", "--task", "chain_sum", "--against", "none/x/y"),
    ("eval", "--task", "chain_sum", "--export", "nope"),
    ("locate", "--task", "chain_sum", "--completion-column", "trace"),
    ("locate", "--task", "chain_sum", "--reward-column", "r"),
    ("locate", "--task", "chain_sum", "--proposal", "nope"),
    ("locate", "--task", "chain_sum", "--proposal", "none.py:f"),
    ("locate", "--task", "chain_sum", "--forced-answer", "no braces", "--proposal", "forced-answer"),
    ("locate", "--task", "chain_sum", "--forced-answer", "{nope}", "--proposal", "forced-answer"),
    ("pairs", "--run", "none"),
    ("pairs", "--run", "own.jsonl"),
    ("export", "none", "--to", "trl"),
    ("export", "own.jsonl", "--to", "trl"),
    ("show", "none"),
    ("show", "own.jsonl"),
    ("show", "."),
    ("report", "none"),
    ("report", "none", "--trajectories", "0"),
    ("report", "."),
    ("watch", "none", "--once"),
    ("watch", "own.jsonl", "--once"),
    ("watch", "none", "--every", "0"),
    ("sample", "--resume", "none"),
    ("sample", "--resume", "own.jsonl"),
    ("train", "--resume", "."),
    ("train", "--resume", "none", "--config", "x.yaml"),
    ("eval", "--resume", ""),
    ("demo", "--rounds", "0"),
    ("demo", "--seed", "-1"),
    ("demo", "--output", "own.jsonl"),
    ("demo", "--output", "own.jsonl/x"),
    (*SAMPLE, "--model", "./none"),
    (*SAMPLE, "--model", "own.jsonl"),
    (*SAMPLE, "--model", "."),
    (*SAMPLE, "--model", ""),
    (*SAMPLE, "--model", "a/b/c/d"),
    (*SAMPLE, "--model", "hollow"),
    (*SAMPLE, "--adapter", "none"),
    (*SAMPLE, "--adapter", "./none"),
    (*SAMPLE, "--adapter", "hollow"),
    (*SAMPLE, "--device", "bogus"),
    (*SAMPLE, "--device", ""),
    (*SAMPLE, "--device", "cuda:7"),
    (*SAMPLE, "--dtype", "float8"),
    (*SAMPLE, "--template-args", "messages=3"),
    (*SAMPLE, "--task-options", "size=1"),
    (*SAMPLE, "--task-options", "seed=4"),
    (*SAMPLE, "--task-options", "nope=4"),
    (*SAMPLE, "--task-options", "max_terms=x"),
    (*SAMPLE, "--shots", "3"),
    (*SAMPLE, "--prompt", "none.jinja"),
    (*SAMPLE, "--prompt", ""),
    (*SAMPLE, "--prompt", "bad.jinja"),
    (*SAMPLE, "--data-dir", "."),
    (*SAMPLE, "--verifier", "matth"),
    (*SAMPLE, "--verifier", "nope:f"),
    (*SAMPLE, "--verifier", "json:nope"),
    (*SAMPLE, "--verifier", "json:__doc__"),
    (*SAMPLE, "--verifier", ":"),
    (*SAMPLE, "--verifier", "os:getcwd"),
    (*SAMPLE, "--stop", ""),
    (*SAMPLE, "--seed", "99999999999999999999999"),
    (*SAMPLE, "--limit", "99999999999999999999999"),
    (*SAMPLE, "--max-tokens", "99999999999"),
    (*SAMPLE, "--engine", "vllm", "--server", "http://127.0.0.1:1"),
    (*SAMPLE, "--server", "http://127.0.0.1:1"),
    (*SAMPLE, "--engine", "server"),
    (*SAMPLE, "--engine", "server", "--server", "nonsense"),
    (*SAMPLE, "--engine", "server", "--server", "ftp://127.0.0.1"),
    (*SAMPLE, "--engine", "server", "--server", "http://"),
    (*SAMPLE, "--engine", "server", "--server", "http://127.0.0.1:99999"),
    (*SAMPLE, "--vllm-args", "a=1"),
    (*OWN, "--prompt-column", "nope"),
    (*OWN, "--prompt-column", ""),
    (*OWN, "--answer-column", "nope"),
    (*OWN, "--answer-column", "a\u202eb"),
    (*OWN, "--split", "train"),
    (*OWN, "--size", "0"),
    ("sample", "--task", "chain_sum", "--output", ""),
    ("sample", "--task", "chain_sum", "--output", "own.jsonl"),
    ("sample", "--task", "chain_sum", "--output", "own.jsonl/x"),
    ("sample", "--task", "chain_sum", "--output", "taken"),
    ("sample", "--task", "chain_sum", "--output", "x" * 300),
    ("sample", "--task", "chain_sum", "--output", "/proc/nope/x"),
    ("sample", "--task", "gsm8k", "--data-dir", "hollow"),
    ("sample", "--task", "gsm8k", "--data-dir", "none"),
    ("sample", "--task", "chain_sum", "--split", "nope"),
)


@pytest.mark.parametrize(
    "args", BY_HAND, ids=lambda args: " ".join(args)[:60].encode("unicode_escape").decode()
)
def test_what_people_get_wrong_is_refused(tmp_path, figures, args) -> None:
    driver.write_data(tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("x")
    (tmp_path / "bad.jinja").write_text("{% for %}")
    refused(tmp_path, args)
    figures["wrong command lines, by hand"] += 1


ENVIRONMENTS = (
    {"HTTP_PROXY": "nonsense://x"},
    {"HTTPS_PROXY": "http://[", "HTTP_PROXY": "http://["},
    {"GPO_API_KEY": "secret-12345678\nX: y"},
    {"GPO_API_KEY": "secret-12345678\u00e9"},
)


@pytest.mark.parametrize("env", ENVIRONMENTS, ids=str)
def test_an_environment_that_cannot_be_used_is_refused_and_no_key_is_shown(tmp_path, figures, env) -> None:
    ended = driver.run(
        *SAMPLE,
        "--engine",
        "server",
        "--server",
        "http://127.0.0.1:1",
        "--patience-s",
        "0",
        cwd=tmp_path,
        env=env,
    )
    assert ended.code in (1, 2), ended
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err + ended.out
    assert not (tmp_path / "out").exists() or ended.code == 1
    figures["unusable environments"] += 1
