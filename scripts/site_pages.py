"""The pages of the site that are made from something else: settings, the notebook, changes, contributing.

MkDocs calls `on_config` and `on_files` (mkdocs.yml names this file as a hook). What is made here is never
committed, so it cannot be stale.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from gpo.flags import choices_of
from gpo.settings import Settings

ROOT = Path(__file__).parent.parent

UNITS = {
    "epochs": "passes",
    "eval_every": "rounds",
    "eval_num": "completions",
    "fill": "rollouts",
    "group_size": "rollouts",
    "k": "completions",
    "keep_checkpoints": "checkpoints",
    "limit": "problems",
    "max_length": "tokens",
    "max_located": "trajectories",
    "max_steps": "steps",
    "microbatch": "rows",
    "minibatch": "rollouts",
    "num": "completions",
    "patience": "evaluations",
    "reset_size": "rollouts",
    "save_every": "updates",
    "search_traces": "lengths of the trajectory",
    "shots": "examples",
    "size": "problems",
    "threads": "threads",
    "values": "rollouts",
}
"""Of settings whose names do not end in them; `*_s` are seconds, `*_frac` fractions."""


def on_config(config: Any) -> Any:
    """Leaves pages out of the navigation that this checkout does not have."""
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    config.nav = kept(config.nav, there | set(pages()))
    return config


def kept(nav: list[dict[str, Any]], there: set[str]) -> list[dict[str, Any]]:
    """The navigation without pages that are not there."""
    found = []
    for entry in nav:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            found.append({title: kept(target, there)})
        elif target in there:
            found.append(entry)
    return found


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made."""
    from mkdocs.structure.files import File

    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def pages() -> dict[str, str]:
    """Made pages by name."""
    return {
        "settings.md": settings_page(),
        "tutorial.md": notebook_page(ROOT / "docs" / "tutorial.ipynb"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(),
    }


def notebook_page(path: Path) -> str:
    """A notebook's text, code and printed output as Markdown."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        shown = "".join(text for output in cell.get("outputs", []) for text in printed(output)).rstrip()
        if shown:
            parts.append(f"```text\n{shown}\n```")
    return "\n\n".join(parts) + "\n"


def printed(output: dict[str, Any]) -> list[str]:
    """The text of one output of a cell."""
    found = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
    return [found] if isinstance(found, str) else list(found)


SETTINGS_HEAD = """# Settings

Every setting of every command: this page is made from the settings classes
when the site is built. A setting is a key of the YAML file that `--config` names, and a flag
with hyphens for underscores: `group_size: 8` is `--group-size 8`. Flags win over the file. Yes-or-no
settings are `--chat` and `--no-chat`; a setting of several values is given as often as wanted.
`gpo COMMAND --help` shows the most used ones, `--help-all` all of them. `--like RUN` takes over the
settings of a run that this command has, all but its output and what it was allowed (`allow_test`,
`trust_remote_code`); the seed stays, so that both are on the same problems. A file of another command
serves too: keys that only others have are ignored, and named. A dash as default means: not set.
"""


def settings_page() -> str:
    """Tables of all settings: those that commands share, then each command's own and what it changes."""
    classes = settings_classes()
    commands = {cls: name for cls in classes if (name := command_of(cls))}
    parts = [SETTINGS_HEAD]
    for cls in sorted(classes, key=lambda cls: (cls in commands, list(classes).index(cls))):
        users = [name for other, name in commands.items() if issubclass(other, cls)]
        own = {
            key: cls.model_fields[key]
            for key in vars(cls).get("__annotations__", {})
            if key in cls.model_fields
        }
        if own and users:
            title = f"`{commands[cls]}`" if cls in commands else title_of(cls)
            used = "" if cls in commands else "Of " + ", ".join(f"`{name}`" for name in users) + ".\n\n"
            parts.append(f"## {title}\n\n{used}{table(own)}")
    return "\n".join(parts)


def settings_classes() -> list[type[Settings]]:
    """All classes of settings, each after those that it is made of."""
    import_module("gpo.setup.alike")
    found: dict[type[Settings], None] = {}

    def visit(cls: type[Settings]) -> None:
        for one in cls.__subclasses__():
            found.setdefault(one)
            visit(one)

    visit(Settings)
    return list(found)


def command_of(cls: type[Settings]) -> str | None:
    """The command whose settings these are, which the first line of its docstring names."""
    match = re.match(r"Settings of `(gpo [^`]+)`", cls.__doc__ or "")
    return match[1] if match else None


def title_of(cls: type[Settings]) -> str:
    """What a class of settings that commands share is about: the first line of its docstring."""
    return (cls.__doc__ or cls.__name__).strip().split("\n")[0].rstrip(".").split(";")[0]


def table(fields: dict[str, FieldInfo]) -> str:
    """One row a setting: key, default, what it may be with its unit, meaning."""
    rows = ["| key | default | value | meaning |", "|---|---|---|---|"]
    for key, info in fields.items():
        meaning = (info.description or "").replace("%%", "%")
        cells = (f"`{key}`", default_of(info), value_of(key, info), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", "\\n") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def default_of(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    default = info.get_default(call_default_factory=True)
    if default in (None, [], {}):
        return "-"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, list):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{default:,}`" if isinstance(default, int) else f"`{default!r}`".replace("'", "")


def value_of(key: str, info: FieldInfo) -> str:
    """The kind of value, its range and its unit."""
    if choices := list(choices_of(info.annotation)):
        return ", ".join(f"`{choice}`" for choice in choices)
    kinds = {
        bool: "yes or no",
        int: "whole number",
        float: "number",
        str: "text",
        list: "texts",
        dict: "KEY=VALUE",
    }
    alternatives = [one for one in (get_args(info.annotation) or [info.annotation]) if one is not type(None)]
    kind = get_origin(info.annotation) if get_origin(info.annotation) in (list, dict) else alternatives[0]
    bounds = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    limits = [
        f"{word} {getattr(one, name):,}"
        for name, word in bounds.items()
        for one in info.metadata
        if getattr(one, name, None) is not None
    ]
    unit = UNITS.get(key) or unit_in(key) if kind in (int, float, list) else None
    return ", ".join(part for part in (" ".join([kinds[kind], *limits]), unit) if part)


def unit_in(key: str) -> str | None:
    """The unit that a setting's name ends in or begins with."""
    if key.endswith("_s"):
        return "seconds"
    if key.endswith("_frac"):
        return "fraction"
    words = ("tokens", "rounds", "updates", "samples", "problems", "steps", "traces")
    return next((word for word in words if word in key.split("_")), None)
