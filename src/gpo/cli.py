"""The command line: settings in, one command's work, one JSON object or one clear error out."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from gpo.commands import ending
from gpo.types import DataWarning, InputError

if TYPE_CHECKING:
    from gpo.settings import Settings

COMMANDS = {
    "demo": "Learn from critical steps in half a minute: a tiny model, end to end.",
    "sample": "Sample completions of problems and verify them.",
    "locate": "Find the critical steps of a model's trajectories.",
    "train": "Train a model online on groups at prompts and at reset states.",
    "pairs": "Build preference pairs and other rows at critical steps.",
    "export": "Write rows of pairs in the format of another trainer, or of the hub.",
    "eval": "Measure a model's success rate.",
    "show": "Show a run: its rounds, and a trajectory step by step; or compare several.",
    "report": "Write runs as one HTML page: where reasoning broke, and what else was sampled there.",
    "watch": "Follow a run while it goes on.",
    "doctor": "Show versions, devices and extras, and what is known not to work together.",
    "data": "Check a benchmark, or a training file against it: gpo data check TASK [--json].",
}
UNITS = {"sample": "problems", "locate": "problems", "eval": "problems", "train": "rounds"}
"""What the progress bar of a command counts, where an interrupted run keeps all that it counted."""


class EndedError(Exception):
    """A command was ended by its cause."""


class UsablePath(click.Path):
    """A path that a file system takes; whether something is there is looked at later."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from gpo.files import check_path

        check_path(str(value), str(param.opts[0]) if param and param.opts else "")
        return super().convert(value, param, ctx)


class LazyGroup(click.Group):
    """Knows the commands' names and one-line helps; builds a command only when it is called for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, OSError) as error:  # before click makes something else of them
            raise EndedError from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return build_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gpo")
def cli() -> None:
    """Guided Pivotal Optimization: find the step where a model's reasoning turns, and learn from it.

    Every setting of a command is a flag, and a key of the YAML file given with --config.
    """


def build_command(name: str) -> click.Command:
    """The click command `name`, with a flag for every setting."""
    views = {"show": show_command, "report": report_command, "watch": watch_command, "doctor": doctor_command}
    if name in views:
        return views[name]()
    if name == "data":
        return data_group()
    from gpo import config, flags

    classes: dict[str, tuple[type[Settings], ...]] = {
        "demo": (config.DemoSettings,),
        "sample": (config.SampleSettings,),
        "locate": (config.LocateSettings,),
        "train": (config.TrainSettings, config.PreferenceSettings),
        "eval": (config.EvalSettings,),
        "pairs": (config.PairsSettings,),
        "export": (config.ExportSettings,),
    }
    own = [click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object last")]
    if name not in ("demo", "export"):
        own.append(click.Option(["--config"], type=UsablePath(), help="YAML file with settings"))
        own.append(click.Option(["--resume"], type=UsablePath(), help="Continue the run in this folder"))
    return flags.command(name, COMMANDS[name], caller(name, classes[name]), *classes[name], own=own)


def new_settings(name: str, cls: type[Settings], config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings of a new run; InputError for a wrong one, and for one that has no effect."""
    from gpo.commands.unused import check_known, check_used
    from gpo.config import load_settings
    from gpo.settings import origins, read_yaml

    values = read_yaml(config) if config else {}
    origin = origins(config, values, flags)
    chosen = settings_class(name, cls, {**values, **flags})
    check_known(chosen, origin)
    settings = load_settings(chosen, config, flags)
    check_used(settings, origin)
    return settings


def settings_class(name: str, cls: type[Settings], values: Mapping[str, Any]) -> type[Settings]:
    """The class of a command's settings: that of offline training where a method is named."""
    if name == "train" and values.get("method"):
        from gpo.config import PreferenceSettings

        return PreferenceSettings
    return cls


def caller(name: str, classes: tuple[type[Settings], ...]) -> Callable[..., None]:
    """What click calls: flags to settings, settings to the command."""

    def call(as_json: bool, config: Path | None = None, resume: Path | None = None, **options: Any) -> None:
        from gpo import flags
        from gpo.commands.ui import Ui

        given = flags.given(classes, options)
        ui = Ui(as_json)
        ending.STAGE.command = "train" if name == "demo" else name
        ending.STAGE.kept, ending.STAGE.resumed = partial(ui.kept, UNITS.get(name, "")), resume
        if resume is not None:
            settings = resumed(name, classes[0], resume, config, given)
        else:
            settings = new_settings(name, classes[0], config, given)
        finish(start(name, settings, ui, resume), as_json)

    return call


def resumed(
    name: str, cls: type[Settings], path: Path, config: Path | None, flags: dict[str, Any]
) -> Settings:
    """The settings of the run at `path`; flags may only repeat them, or extend the run."""
    from gpo.config import EXTENDABLE
    from gpo.record import RunFolder
    from gpo.settings import check_stored, checked, origins, with_new_names

    if config:
        raise InputError("--config: a resumed run has its settings already; give flags to extend it")
    stored = RunFolder.stored_settings(path, name)
    # What the run stored is what its recipe stood for then; a setting that is newer had its default.
    before = check_stored(settings_class(name, cls, stored), path, stored)
    then, origin = before.model_dump(), origins(None, {}, flags)
    settings = checked(type(before), {**then, **with_new_names(type(before), flags, origin)}, origin)
    for key, value in settings.model_dump().items():
        if key not in EXTENDABLE and value != then[key]:
            raise InputError(
                f"--resume {path}: belongs to a run with other settings "
                f"({key}: {then[key]!r} there, {value!r} here); leave that flag out, or start a new run"
            )
    return settings


def start(name: str, settings: Any, ui: Any, resume: Path | None) -> dict[str, Any]:
    """Runs the command; torch is imported here and not before."""
    if name == "export":
        from gpo.commands import export

        return export.run(settings, ui)
    from gpo.commands import demo, evaluate, locate, pairs, preference, quiet, sample, train

    quiet()
    is_offline = name == "train" and hasattr(settings, "method")
    if name not in ("demo", "train") or is_offline:
        check_alone(f"gpo {name}{' --method' if is_offline else ''}")
    if name == "demo":
        return demo.run(settings, ui)
    commands: dict[str, Callable[..., dict[str, Any]]] = {
        "sample": sample.run,
        "locate": locate.run,
        "eval": evaluate.run,
        "train": preference.run if is_offline else train.run,
        "pairs": pairs.run,
    }
    return commands[name](settings, ui, resume=resume)


def check_alone(command: str) -> None:
    """InputError for a command that torchrun started several times, and that all would do the same work."""
    if "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{command}: runs in one process; start it without torchrun")


def show_command() -> click.Command:
    """`gpo show RUN...`, which has no settings."""

    @click.command("show", help=COMMANDS["show"])
    @click.argument("runs", type=UsablePath(), nargs=-1, required=True)
    @click.option("--trajectory", type=click.IntRange(min=0), help="its number in the data, from 0")
    @click.option("--json", "as_json", is_flag=True, help="print one JSON object last")
    def show(runs: tuple[Path, ...], trajectory: int | None, as_json: bool) -> None:
        from gpo.commands import show as command
        from gpo.commands.ui import Ui

        finish(command.run(runs, Ui(as_json), trajectory), as_json)

    return show


def report_command() -> click.Command:
    """`gpo report RUN... -o FILE`."""

    @click.command("report", help=COMMANDS["report"])
    @click.argument("runs", type=UsablePath(), nargs=-1, required=True)
    @click.option(
        "--output",
        "-o",
        type=UsablePath(),
        default=Path("report.html"),
        help="the file to write  [default: report.html]",
    )
    @click.option(
        "--trajectories",
        type=click.IntRange(min=1),
        default=200,
        help="how many to show; drawn at random where there are more  [default: 200]",
    )
    @click.option("--json", "as_json", is_flag=True, help="print one JSON object last")
    def report(runs: tuple[Path, ...], output: Path, trajectories: int, as_json: bool) -> None:
        from gpo.commands import report as command
        from gpo.commands.ui import Ui

        finish(command.run(runs, output, trajectories, Ui(as_json)), as_json)

    return report


def watch_command() -> click.Command:
    """`gpo watch RUN`."""

    @click.command("watch", help=COMMANDS["watch"])
    @click.argument("run", type=UsablePath())
    @click.option("--once", is_flag=True, help="print how it stands, and end")
    @click.option(
        "--every",
        type=click.FloatRange(min=0.05),
        default=1.0,
        help="seconds between two looks  [default: 1.0]",
    )
    @click.option("--json", "as_json", is_flag=True, help="print one JSON object last")
    def watch(run: Path, once: bool, every: float, as_json: bool) -> None:
        from gpo.commands import watch as command
        from gpo.commands.ui import Ui

        finish(command.run(run, Ui(as_json), is_once=once, every_s=every), as_json)

    return watch


def doctor_command() -> click.Command:
    """`gpo doctor`, which ends with exit code 1 if something that is installed is known not to work."""

    @click.command("doctor", help=COMMANDS["doctor"])
    @click.option("--model", help="also look at the configuration of this model: a path or hub name")
    @click.option("--json", "as_json", is_flag=True, help="print one JSON object last")
    def doctor(model: str | None, as_json: bool) -> None:
        from gpo.commands import doctor as command
        from gpo.commands import quiet
        from gpo.commands.ui import Ui

        quiet()
        summary = command.run(Ui(as_json), model)
        finish(summary, as_json)
        if not summary["ok"]:
            raise SystemExit(1)

    return doctor


def data_group() -> click.Group:
    """`gpo data check TASK` and `gpo data overlap FILE`, each with one argument and its settings as flags."""
    from gpo.config import CheckSettings, OverlapSettings

    about = "Whether every gold answer of a benchmark is accepted, and another row's is refused."
    compared = "Which rows of a training file are in the tests of the benchmarks at hand."
    group = click.Group("data", help=COMMANDS["data"])
    group.add_command(data_command("check", CheckSettings, about))
    group.add_command(data_command("overlap", OverlapSettings, compared))
    return group


def data_command(name: str, cls: type[Settings], about: str) -> click.Command:
    """One of the commands of `gpo data`."""
    from gpo import flags

    def call(as_json: bool, **options: Any) -> None:
        from gpo.commands import check, overlap, quiet
        from gpo.commands.ui import Ui

        settings: Any = new_settings(name, cls, None, flags.given((cls,), options))
        quiet()
        summary = (check if name == "check" else overlap).run(settings, Ui(as_json))
        finish(summary, as_json)
        if name == "check" and not check.is_clean(summary):
            raise SystemExit(1)

    own = [click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object last")]
    return flags.command(name, about, call, cls, own=own)


def finish(summary: dict[str, Any], as_json: bool) -> None:
    """Prints the command's JSON object as the last line of standard output."""
    if as_json and ending.is_first():
        from gpo.commands.ui import json_object
        from gpo.record import finite

        json_object(finite(summary))


def main(args: Sequence[str] | None = None) -> None:
    """The entry point: bad input is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows ASCII alone gets codes, no traceback
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = crash
    with ending.leaving(is_program=args is None), ending.heeding_signals(), warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = warn
        run(args)


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints the traceback of what nobody foresaw, made harmless."""
    from gpo.commands import ui

    ui.crash(kind, error, trace)


def warn(message: Warning | str, category: type[Warning], *about: Any, **_: Any) -> None:
    """What is wrong with the data but stops nothing is one line on standard error."""
    from gpo.commands import ui

    if issubclass(category, DataWarning):
        if ending.is_first():  # the others read the same data
            ui.warning(str(message))
    else:
        ui.others_warning(message, category, *about)


def run(args: Sequence[str] | None) -> None:
    """Runs the command line; ends the program where it cannot."""
    ending.STAGE.clear()
    try:
        cli.main(args=args, prog_name="gpo", standalone_mode=False)
    except click.exceptions.Abort:
        fail(ending.INTERRUPTED, 130)
    except click.ClickException as error:
        context = (
            f" (see {error.ctx.command_path} --help)"
            if isinstance(error, click.UsageError) and error.ctx
            else ""
        )
        fail(" ".join(error.format_message().split()) + context, 2)
    except Exception as error:
        cause = error.__cause__ if isinstance(error, EndedError) else error
        if cause is None or (found := ending.explained(cause)) is None:
            raise
        fail(*found)


def fail(message: str, code: int) -> None:
    """Ends the program with one line on standard error; silently where nobody reads its output any more."""
    ending.STAGE.is_told = True
    if code == ending.BROKEN_PIPE:
        with suppress(OSError, ValueError):  # or Python complains when it flushes standard output
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif code < 128 or ending.is_first():  # an interruption is every process's, and needs one line
        from gpo.commands import ui

        ui.error(message)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
