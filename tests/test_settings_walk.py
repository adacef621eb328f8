"""Every setting of every command, given what nobody should give: refused in one line that names it, or taken.

What is taken is listed by name where it might surprise, so that a new setting without bounds fails here.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gpo import command_settings as config
from gpo.flags import given, option, parsed
from gpo.settings import Settings, read_yaml
from gpo.setup.resume import new_settings
from gpo.solve_settings import SolveSettings
from gpo.tasks.settings import CheckSettings, OverlapSettings
from gpo.types import DataWarning, InputError
from gpo.value_settings import ValueEvalSettings, ValueSettings

COMMANDS: dict[str, tuple[type[Settings], dict[str, Any]]] = {
    "demo": (config.DemoSettings, {}),
    "sample": (config.SampleSettings, {"task": "chain_sum"}),
    "eval": (config.EvalSettings, {"task": "chain_sum"}),
    "locate": (config.LocateSettings, {"task": "chain_sum"}),
    "solve": (SolveSettings, {"task": "chain_sum"}),
    "train": (config.TrainSettings, {"task": "chain_sum"}),
    "train --method": (config.PreferenceSettings, {"task": "chain_sum", "method": "dpo"}),
    "train --method value": (ValueSettings, {"run": ["r"], "method": "value"}),
    "eval --value": (ValueEvalSettings, {"run": ["r"], "value": "v"}),
    "pairs": (config.PairsSettings, {"task": "chain_sum"}),
    "export": (config.ExportSettings, {"run": "r", "to": "trl"}),
    "check": (CheckSettings, {"task": "gsm8k"}),
    "overlap": (OverlapSettings, {"file": "a.jsonl"}),
}
SETTINGS = [(command, key) for command, (cls, _) in COMMANDS.items() for key in cls.model_fields]
FLAGS = [
    "",
    " ",
    "\t\n",
    "-1",
    "1e999",
    "nan",
    "-inf",
    "9" * 23,
    "9" * 5000,
    "x" * 10_000,
    "a\0b",
    "\ud800",
    "x\x1b[2J",
]
TEXT = {"-1", "1e999", "nan", "-inf", "9" * 23}
"""What may well be the name of a file, however odd."""
VALUES = [
    [],
    [[]],
    {},
    {"a": {1, 2}},
    {"a": b"x"},
    True,
    2.5,
    float("nan"),
    float("inf"),
    -0.0,
    10**5000,
    "0x10",
    "\uff11",
]


def refusal(command: str, flags: dict[str, Any]) -> str | None:
    """The message, None if the settings are taken; anything but InputError fails the test."""
    cls, needed = COMMANDS[command]
    try:
        new_settings(cls, None, {**needed, **flags})
    except InputError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore::gpo.types.DataWarning")
@pytest.mark.parametrize(("command", "key"), SETTINGS)
def test_a_flag_with_text_that_nobody_means_is_refused_by_name_or_is_a_name(command: str, key: str) -> None:
    cls, _ = COMMANDS[command]
    field = cls.model_fields[key]
    for text in FLAGS:
        is_many = option(key, field).multiple
        if "dict" in str(field.annotation):
            with pytest.raises(InputError, match="must be KEY=VALUE"):
                parsed(key, (text,))
            continue
        message = refusal(command, given((cls,), {key: (text,) if is_many else text}))
        if message is None:
            is_text = "str" in str(field.annotation)
            is_free = key in ("system_prompt", "stop", "forced_answer")
            assert (is_text and (text in TEXT or is_free)) or (key, text) in TAKEN, (key, text[:20])
        else:
            assert len(message) < 400, (key, text[:20])
            assert message.split("\n") == [message]


TAKEN: set[tuple[str, str]] = set()


@pytest.mark.filterwarnings("ignore::gpo.types.DataWarning")
@pytest.mark.parametrize(("command", "key"), SETTINGS)
def test_a_value_of_a_file_that_nobody_means_is_refused_by_name_or_written_as_json(
    command: str, key: str
) -> None:
    cls, needed = COMMANDS[command]
    for value in VALUES:
        message = refusal(command, {key: value})
        if message is None:
            settings = cls(**{**needed, key: value})
            json.dumps(settings.model_dump(), allow_nan=False)
            annotation = str(cls.model_fields[key].annotation)
            assert not (value is True and "bool" not in annotation), key
            assert value != 10**5000, key
        else:
            assert len(message) < 400


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("sample", {"limit": "9" * 23}, "--limit: must be at most 10,000,000, got '999"),
        ("train", {"eval_problems": "99999999999"}, "--eval-problems: must be at most 100,000, got '999"),
        ("sample", {"task_options": {"size": 1}}, "--task-options: size has a flag of its own; give --size"),
        ("sample", {"task_options": {"seed": 4}}, "--task-options: seed has a flag of its own; give --seed"),
        ("sample", {"template_args": {"tokenize": True}}, "--template-args: tokenize is set by gpo itself"),
        ("sample", {"template_args": {"a": {1}}}, "--template-args: the value of 'a' is set {1}, which JSON"),
        ("sample", {"template_args": {"": 1}}, "--template-args: the key '' must be a name"),
        ("sample", {"device": ""}, "--device: must not be empty; leave it out or give a value, got ''"),
        ("sample", {"prompt": " "}, "--prompt: must not be empty"),
        ("sample", {"output": ""}, "--output: must not be empty"),
        ("sample", {"stop": [""]}, "--stop: must not be an empty string"),
        ("sample", {"limit": True}, "--limit: must not be true or false, got True"),
        ("export", {"to": None}, "--to: must be 'trl'"),
        ("sample", {"model": "m" * 300}, "--model: has a name of more than 255 bytes"),
        (
            "sample",
            {"num": "8", "temperature": "0"},
            "--num 8: greedy samples of a problem are all alike; give --num 1",
        ),
        ("sample", {"shots": "3"}, "--shots: has no effect without --prompt few-shot; leave it out"),
        ("sample", {"data_dir": "d"}, "--data-dir: has no effect without a benchmark to read; leave it out"),
        ("train", {"data_dir": "d"}, "--data-dir: has no effect without a benchmark to read"),
        (
            "sample",
            {"prompt_column": "q"},
            "--prompt-column: has no effect without rows of your own in --data",
        ),
        ("sample", {"size": "5", "limit": "3"}, "--size: has no effect unless a task draws its questions"),
        ("eval", {"task": "gsm8k", "size": "5"}, "--size: has no effect unless a task draws its questions"),
        ("sample", {"task": None, "data": "a.jsonl", "split": "train"}, "--split: has no effect with --data"),
        ("locate", {"fixed_step_tokens": "3"}, "--fixed-step-tokens: has no effect without --splitter fixed"),
        (
            "locate",
            {"forced_answer": "So"},
            "--forced-answer: has no effect without --proposal forced-answer",
        ),
        ("locate", {"reward_column": "r"}, "--reward-column: has no effect without --completion-column"),
        ("eval", {"temperature": "0", "top_p": "0.9"}, "--top-p: has no effect at temperature 0"),
        ("sample", {"actor_gpus": "1"}, "--actor-gpus: has no effect without --actors"),
        ("sample", {"retries": "1"}, "--retries: has no effect without --engine server"),
        ("eval", {"against_adapter": "a"}, "--against-adapter: has no effect without --against"),
        ("train", {"kl_in": "reward"}, "--kl-in: has no effect while kl_coef is 0"),
        ("train", {"loss_constant": "5"}, "--loss-constant: the normalisation `tokens` does not use it"),
        ("train", {"eval_task": "gsm8k", "eval_data": "a"}, "--eval-data: has no effect beside --eval-task"),
        ("sample", {"task": "gsm8", "data_dir": "d"}, "no task is called 'gsm8'; did you mean gsm8k"),
        ("train", {"eval_task": "chainsum"}, "no task is called 'chainsum'; did you mean chain_sum"),
        ("train", {"recipe": "pivot", "step_credit": True}, "--step-credit: has no effect with a rule that"),
        ("train", {"beta": "1"}, "--beta: is for offline training; give --method, or leave it out"),
        (
            "train --method",
            {"clip": "1"},
            "--clip: is for online training, and --method is offline; leave it",
        ),
        ("train --method", {"simpo_gamma": "1"}, "--simpo-gamma: has no effect without --method simpo"),
        (
            "train --method",
            {"pairs": "p", "splitter": "sentence"},
            "--splitter: has no effect with --pairs, whose rows are made already",
        ),
        ("export", {"license": "mit"}, "--license: has no effect without --to hub"),
        ("export", {"to": "hub", "repo": "a/b", "private": True}, "--private: has no effect without --push"),
        ("export", {"to": "hub", "repo": "a/b", "rows": "sft"}, "--rows: has no effect with --to hub"),
    ],
)
def test_what_cannot_be_meant_or_has_no_effect_is_refused_by_name(
    command: str, flags: dict[str, Any], message: str
) -> None:
    found = refusal(command, flags)
    assert found is not None
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("sample", {"system_prompt": ""}),
        ("sample", {"stop": ["\n"]}),
        ("eval", {"task": "gsm8k", "prompt": "few-shot", "shots": "3", "data_dir": "d"}),
        ("sample", {"task": None, "data": "a.jsonl", "verifier": "exact", "prompt_column": "q"}),
        ("train", {"task": None, "data": "a.jsonl", "verifier": "exact", "data_dir": "d"}),
        ("train", {"eval_task": "gsm8k", "data_dir": "d"}),
        ("train", {"algorithm": "dr-grpo", "loss_constant": "5"}),
        ("train", {"recipe": "paper", "values": "8"}),
        ("train", {"recipe": "ladder", "reset_size": "4", "splitter": "sentence"}),
        ("train", {"recipe": "search", "step_credit": True, "max_located": "3", "reset_at": "signal"}),
        ("train", {"recipe": "base", "step_reward": "repro", "min_step_tokens": "9"}),
        ("locate", {"rule": "base", "explored": "mixed"}),
        ("locate", {"search": "bisect", "values": "8", "search_traces": "3"}),
        ("locate", {"splitter": "fixed", "fixed_step_tokens": "3", "max_steps": "4"}),
        ("locate", {"min_step_tokens": "30", "fixed_step_tokens": "64"}),
        ("sample", {"template_args": {"think": False, "date": "2020-01-01", "n": [1, {"a": None}]}}),
        ("pairs", {"task": None, "run": "r", "size": "8", "split": "test"}),
        ("export", {"to": "hub", "repo": "a/b", "push": True, "private": True, "license": "mit"}),
        ("sample", {"seed": "4294967295"}),
    ],
)
def test_settings_that_have_an_effect_are_taken(command: str, flags: dict[str, Any]) -> None:
    if command == "pairs":  # `split` of the located run may be a benchmark's
        flags = {key: value for key, value in flags.items() if key != "split"}
    assert refusal(command, flags) is None


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("locate", {"values": "8"}, "--values: has no effect without --search uniform or bisect"),
        (
            "locate",
            {"search": "uniform", "search_traces": "3"},
            "--search-traces: has no effect with --search u",
        ),
        (
            "locate",
            {"search": "bisect", "proposal": "none"},
            "--proposal: has no effect without --search adap",
        ),
        (
            "locate",
            {"splitter": "fixed", "min_step_tokens": "3"},
            "--min-step-tokens: has no effect with --spl",
        ),
        (
            "train",
            {"recipe": "base", "max_located": "3"},
            "--max-located: has no effect with the rule `base`",
        ),
        (
            "train",
            {"recipe": "base", "reset_size": "3"},
            "--reset-size: has no effect where nothing is reset",
        ),
        (
            "train",
            {"recipe": "base", "search": "uniform"},
            "--search: has no effect with a rule that needs no",
        ),
        ("train", {"recipe": "base", "resets": True}, "--resets: has no effect with the rule `base`"),
        ("train", {"recipe": "base", "max_steps": "5"}, "--max-steps: has no effect with the rule `base`"),
        (
            "train",
            {"recipe": "ladder", "explored": "failed"},
            "--explored: has no effect with the rule `base`",
        ),
        (
            "train",
            {"recipe": "pivot", "search_traces": "3"},
            "--search-traces: has no effect with a rule that",
        ),
        (
            "train",
            {"recipe": "search", "resets": False, "reset_size": "3"},
            "--reset-size: has no effect where",
        ),
        ("train", {"recipe": "search", "resets": False, "max_reset_frac": "0.2"}, "--max-reset-frac: has no"),
        ("train", {"recipe": "ladder", "resets": False}, "--no-resets: has no effect with the rule `base`"),
        ("train", {"recipe": "ladder", "ladders": "0"}, "--ladders: 0 leaves nothing of the recipe `ladder`"),
        ("train", {"recipe": "pivot", "max_reset_frac": "0"}, "--max-reset-frac: leaves no room for a group"),
        ("train", {"max_reset_frac": "0.1", "problems_per_round": "4"}, "--max-reset-frac: leaves no room"),
        ("locate", {"rule": "entropy", "values": "8"}, "--values: has no effect with a rule that needs no"),
    ],
)
def test_settings_that_recipes_share_are_noted_where_they_have_no_effect(
    command: str, flags: dict[str, Any], message: str
) -> None:
    with pytest.warns(DataWarning) as noted:
        assert refusal(command, flags) is None
    assert [str(one.message)[: len(message)] for one in noted] == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "cannot be read as YAML (the key 'seed' stands twice"),
        ("a: &x [1]\nb: *x\n", "cannot be read as YAML (aliases are not read; write the value out"),
        ("base: &b {seed: 1}\n<<: *b\n", "cannot be read as YAML (aliases are not read"),
        ("a: " + "[" * 200_000, "cannot be read as YAML ("),
        ("a: " + "[" * 150 + "]" * 150, "cannot be read as YAML (brackets are nested more than 100 deep"),
        ("a: !!python/object/apply:os.system [true]\n", "cannot be read as YAML (could not determine a con"),
        ("seed: " + "1" * 5000, "cannot be read as YAML (Exceeds the limit (4300 digits)"),
        ("a: 1\n---\nb: 2\n", "cannot be read as YAML (expected a single document"),
        ("seed: 'a\n", "cannot be read as YAML ("),
        ("- seed\n", "must hold `key: value` lines, found list"),
        ("1: 2\n", "must hold `key: value` lines, found dict"),
        ("seed\n", "must hold `key: value` lines, found str"),
        ("x" * 2**20 + "y", "is larger than 1,048,576 bytes"),
    ],
)
def test_a_settings_file_that_is_off_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"--config {path}: {message}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_values_of_a_settings_file_are_what_one_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "\ufefflearning_rate: 1e-6\nround: 010\nratio: 1:30\nday: 2020-01-01\nlong: 1_000\nis_off: off\n"
        "x: 0x10\nnone: ~\nhalf: .5\nbig: 1E3\nversion: 1.2.3\nminus: -3\n",
        encoding="utf-8",
    )
    expected = {"learning_rate": 1e-6, "round": "010", "ratio": "1:30", "day": "2020-01-01", "long": 1000}
    expected |= {"x": 16, "none": None, "half": 0.5, "big": 1000.0, "version": "1.2.3", "minus": -3}
    assert read_yaml(path) == expected | {"is_off": False}
