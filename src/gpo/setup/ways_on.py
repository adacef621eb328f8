"""What can be done next with a run, as commands that can be pasted: the last lines of every command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpo.command_settings import EvalSettings, PreferenceSettings
from gpo.policies.settings import ModelSettings
from gpo.settings import Settings, default_of, flag_of
from gpo.tasks.splits import held_out_rows

Way = tuple[str, str]
"""A command, and what it is for."""

LONGEST = 60
"""Characters of a command up to which what it is for is aligned."""
ASKING = ("adapter", "trust_remote_code", "chat", "system_prompt", "template_args", "thinking_marks")
"""Settings of a model that stay its own, whatever is done with it."""


def flags(cls: type[Settings], values: Mapping[str, Any], *left_out: str) -> str:
    """The settings of `cls` among these that are not what they would be without a flag, as flags."""
    words = []
    first = ("model", "adapter", "task", "data")
    for key, info in sorted(cls.model_fields.items(), key=lambda item: item[0] not in first):
        value, usual = values.get(key), default_of(info)
        if key in ("output", *left_out) or value in (None, usual):
            continue
        if isinstance(value, bool):
            words.append(flag_of(key, is_off=not value))
            continue
        each = [f"{name}={one}" for name, one in value.items()] if isinstance(value, dict) else value
        for one in each if isinstance(each, list | tuple) else [each]:
            parts = one if isinstance(one, list | tuple) else [one]
            words += [flag_of(key), *(shlex.quote(str(part)) for part in parts)]
    return " ".join(words)


def after_sample(path: str, _settings: Mapping[str, Any], _summary: Mapping[str, Any]) -> list[Way]:
    return [(f"gpo locate --like {path}", "where answers break"), (f"gpo show {path}", "this run again")]


def after_locate(path: str, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Way]:
    if not summary["trajectories"]:
        return [(f"gpo show {path}", "this run again")]
    found = [
        (f"gpo show {path} --trajectory 0", "any other trajectory, counted from 0"),
        (f"gpo report {path}", "all of them on one page"),
    ]
    if held_out_rows(settings) is None:
        found.append((f"gpo pairs --run {path}", "rows for offline training"))
    return found


def after_eval(path: str, settings: Mapping[str, Any], _: Mapping[str, Any]) -> list[Way]:
    if settings["against"] is not None:
        return [(f"gpo show {path}", "this run again")]
    return [
        (f"gpo eval --like {path} --model ANOTHER --against {path}", "another model on the same problems")
    ]


def after_solve(path: str, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Way]:
    found = [(f"gpo show {path}", "more of the answers; all are in answers.jsonl")]
    if summary["known"] and settings["strategy"] != "majority" and settings["judge"] is None:
        found.append((f"gpo solve --like {path} --strategy majority", "votes alone, at the same tokens"))
    return found


def after_pairs(path: str, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Way]:
    method, rows = ("dpo", "pairs") if summary["rows"]["pairs"] else ("kto", "unpaired")
    kept = {key: settings[key] for key in ("model", *ASKING)}
    same = flags(PreferenceSettings, kept)
    return [
        (f"gpo train --method {method} --pairs {path} {same}".rstrip(), f"train on the {rows}"),
        (f"gpo export {path} --to trl --rows {rows}", "or take them to another trainer"),
    ]


def after_values(path: str) -> list[Way]:
    return [
        (f"gpo eval --value {path} --run ANOTHER", "how well it knows the values of other problems"),
        (f"gpo locate --like RUN --proposal value:{path}", "search with it"),
    ]


def after_train(path: str, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Way]:
    if summary.get("method") == "value":
        return after_values(path)
    found = [(f"gpo show {path}", "its rounds")]
    tested = {"task": settings["eval_task"] or settings["task"], "data": settings["eval_data"]}
    if tested["data"] or tested["task"]:
        kept = {**settings, **tested, "task": None if tested["data"] else tested["task"]}
        trained, name = f"{path}/model", "trained"
        if summary["best"]:
            trained, name = f"{path}/best", "best"
        model = f"--model {trained} "
        if settings["adapter"] or settings["lora_rank"]:
            model = f"{flags(ModelSettings, {'model': settings['model']})} --adapter {trained} ".lstrip()
        same = flags(EvalSettings, kept, "model", "adapter", "limit", "budget_tokens")
        found.append((f"gpo eval {model}{same}".rstrip(), f"the {name} model's success rate"))
    if summary["rounds"] and settings.get("pairs") is None:
        name = summary["ended_by"]
        more = f"gpo train --resume {path} {flag_of(name)} {2 * settings[name]}"
        found.append((more, f"go on: it was ended by {flag_of(name)}"))
    return found


AFTER: Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], list[Way]]] = {
    "sample": after_sample,
    "locate": after_locate,
    "eval": after_eval,
    "solve": after_solve,
    "pairs": after_pairs,
    "train": after_train,
}


def ways_on(command: str, run: Path, settings: Settings, summary: Mapping[str, Any]) -> list[str]:
    """A line for each command that can follow this one, which came to `summary`."""
    ways = AFTER[command](shlex.quote(str(run)), settings.model_dump(), summary)
    width = max((len(way) for way, _ in ways if len(way) <= LONGEST), default=0)
    return [f"{'' if i else 'next:':<6}{way:<{width}}  # {what}" for i, (way, what) in enumerate(ways)]
