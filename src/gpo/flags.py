"""Settings as command-line flags: type, choices, default, section and help come from their declaration.

A flag's value goes to the settings class as text, which checks it: one place refuses, in one wording, what a
flag, a YAML file or Python gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic.fields import FieldInfo

from gpo.settings import Settings, default_of, flag_of, home_of, is_first
from gpo.types import InputError
from gpo.yaml_text import parse_yaml

SECTIONS = (
    *("Training", "Value model", "Sampling", "Evaluation", "Solving", "Pairs", "Rows", "Export"),
    *("Check", "Overlap"),
    *("Data and verifier", "Model and sampling", "Critical step", "Given trajectories", "Recipe"),
    *("Optimisation", "LoRA", "Evaluation and checkpoints", "Engine", "Run"),
)
"""In the order in which `--help-all` shows them."""
OWN = "Command line"
KIND = ("method",)
"""Settings that say of which kind a command's settings are."""

KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


COMMON = "Common settings"
MANY = 16
"""More settings than this are too many to show at once."""
ALL = "gpo.help_all"


class SettingsCommand(click.Command):
    """A command whose `--help` shows its first settings, and whose `--help-all` shows all, by section."""

    def __init__(self, *args: Any, sections: dict[str, str], first: set[str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.sections, self.first = sections, first
        if sections:
            about = "Show all settings, by section"
            names = ["--help-all"]
            self.params.append(
                click.Option(
                    names, is_flag=True, is_eager=True, expose_value=False, callback=help_all, help=about
                )
            )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        is_short = bool(self.first) and not ctx.meta.get(ALL)
        rows: dict[str, list[tuple[str, str]]] = {}
        num_left = 0
        for section, record, name in self._records(ctx):
            if not is_short or name in self.first or section == OWN:
                rows.setdefault(COMMON if is_short and section != OWN else section, []).append(record)
            else:
                num_left += 1
        for section in (COMMON, *SECTIONS, OWN):
            if section in rows:
                with formatter.section(section):
                    formatter.write_dl(rows[section])
        if num_left:
            formatter.write_paragraph()
            formatter.write_text(f"{num_left} more settings: {ctx.command_path} --help-all")

    def _records(self, ctx: click.Context) -> Iterator[tuple[str, tuple[str, str], str]]:
        """Section, help and name of each flag, in the order of the sections."""
        found = []
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                name = param.name or ""
                found.append((self.sections.get(name, OWN), record, name))
        order = (*SECTIONS, OWN)
        return iter(sorted(found, key=lambda one: order.index(one[0])))


def help_all(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    """Prints the help with all settings, and ends."""
    if is_asked and not ctx.resilient_parsing:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def command(
    name: str, about: str, call: Any, *classes: type[Settings], own: list[click.Option]
) -> click.Command:
    """The command whose settings are those of `classes`, of which the first is the usual one."""
    options: dict[str, click.Parameter] = {}
    for cls in classes:
        for key in sorted(cls.model_fields, key=lambda key: cls.__mro__.index(home_of(cls, key))):
            if key not in options:
                info, notes = _described(key, classes), _notes(key, classes)
                options[key] = click.Argument([key]) if key in cls.arguments else option(key, info, notes)
        options |= {old: _old_name(old) for old in cls.renamed if old not in options}
    sections = {key: home_of(cls, key).section for cls in reversed(classes) for key in cls.model_fields}
    first = {key for cls in classes for key, info in cls.model_fields.items() if is_first(info, name)}
    return SettingsCommand(
        name,
        params=[*options.values(), *own],
        help=about,
        callback=call,
        sections=sections,
        first=first if len(options) > MANY else set(),
    )


def _described(key: str, classes: tuple[type[Settings], ...]) -> FieldInfo:
    """The setting as the first class has it; a choice has the choices of all of them, and what they say."""
    infos = [cls.model_fields[key] for cls in classes if key in cls.model_fields]
    if len(infos) == 1 or len({info.annotation for info in infos}) == 1 or not infos[0].is_required():
        return infos[0]
    annotation: Any = reduce(or_, (info.annotation for info in infos))
    about = "; ".join(dict.fromkeys(str(info.description) for info in infos))
    return FieldInfo(annotation=annotation, description=about)


def _notes(key: str, classes: tuple[type[Settings], ...]) -> str:
    """What the help adds where a command has settings of several kinds: `gpo train` by its --method."""
    having = [cls for cls in classes if key in cls.model_fields]
    if len(classes) == 1 or key in KIND:
        return ""
    if len(having) == 1:
        return f"  [{having[0].mode}]" if having[0].mode else ""
    first, second = (default_of(cls.model_fields[key]) for cls in having[:2])
    return f"  [{having[1].mode}: {second}]" if first != second else ""


def option(key: str, info: FieldInfo, notes: str = "") -> click.Option:
    """The flag of one setting."""
    flag, default = flag_of(key), default_of(info)
    has_none = default in (None, [], (), {})
    about = f"{info.description}{'' if has_none else f'  [default: {shown(default)}]'}{notes}"
    if info.annotation is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", key], default=None, help=about)
    choices = list(choices_of(info.annotation))
    is_pair = key == "thinking_marks"
    return click.Option(
        [flag, key],
        help=about,
        multiple=get_origin(info.annotation) in (list, tuple, dict),
        metavar="OPEN CLOSE" if is_pair else metavar(info.annotation, choices),
        nargs=2 if is_pair else 1,
        default=None,
        shell_complete=lambda _ctx, _param, begun: (
            [CompletionItem(choice) for choice in choices if choice.startswith(begun)]
            or [CompletionItem(begun, type="file")] * (not choices)
        ),
    )


def _old_name(key: str) -> click.Option:
    """The flag of an old name, which `--help` does not show."""
    names = [f"{flag_of(key)}/--no-{flag_of(key)[2:]}" if key == "bf16" else flag_of(key), key]
    return click.Option(names, default=None, hidden=True)


def shown(default: Any) -> str:
    """A default as it would be typed."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, list | tuple):
        return " ".join(map(str, default))
    return repr(default)[1:-1] if isinstance(default, str) else str(default)


def metavar(annotation: Any, choices: list[str]) -> str:
    """What a value looks like: its choices, or its kind."""
    if choices:
        is_open = str in get_args(annotation)  # they are names for what else may be given
        return f"[{'|'.join([*choices, *(['module:function'] * is_open)])}]"
    if get_origin(annotation) is dict:
        return "KEY=VALUE"
    inner = [one for one in (annotation, *get_args(annotation)) if one in KINDS]
    return KINDS[inner[0]] if inner else "TEXT"


def choices_of(annotation: Any) -> Iterator[str]:
    """The values of a Literal, wherever it stands in the annotation."""
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    else:
        for one in get_args(annotation):
            yield from choices_of(one)


def given(classes: tuple[type[Settings], ...], options: dict[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line, as the settings classes read them."""
    fields = {key: info for cls in classes for key, info in cls.model_fields.items()}
    mappings = {key for key, info in fields.items() if get_origin(info.annotation) is dict}
    found = {key: value for key, value in options.items() if value not in (None, ())}
    return {
        key: parsed(key, value) if key in mappings else list(value) if isinstance(value, tuple) else value
        for key, value in found.items()
    }


def parsed(key: str, value: tuple[str, ...]) -> dict[str, Any]:
    """Repeated KEY=VALUE flags as a mapping whose values are read as YAML; InputError names the flag."""
    flag, pairs = flag_of(key), {}
    for item in value:
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{flag}: must be KEY=VALUE, got {item[:60]!r}; write it as in max_terms=4")
        if name in pairs:
            raise InputError(f"{flag}: gives {name[:40]!r} twice; give it once")
        try:
            pairs[name] = parse_yaml(text)
        except ValueError:
            raise InputError(f"{flag}: the value of {item[:60]!r} is not YAML; put it in quotes") from None
    return pairs
