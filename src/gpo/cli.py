"""The command line: settings in, one command's work, one JSON object or one clear error out."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from gpo import ending
from gpo.commands import JSON, UsablePath, finish
from gpo.types import DataWarning, InputError

if TYPE_CHECKING:
    from gpo.settings import Settings

COMMANDS = {
    "demo": "Learn from critical steps in a minute: a tiny model, end to end.",
    "sample": "Sample completions of problems and verify them.",
    "locate": "Find the critical steps of a model's trajectories.",
    "train": "Train a model online on groups at prompts and at reset states.",
    "pairs": "Build preference pairs and other rows at critical steps.",
    "export": "Write rows of pairs in the format of another trainer, or of the hub.",
    "eval": "Measure a model's success rate.",
    "solve": "Spend a budget of tokens on the answers to new problems.",
    "show": "Show a run: its rounds, and a trajectory step by step; or compare several.",
    "runs": "List the runs in a folder: command, model, task, figures and state.",
    "report": "Write runs, or a folder of runs, as one HTML page that shows where reasoning broke.",
    "watch": "Follow a run live.",
    "doctor": "Show versions, devices and extras, and what is known not to work together.",
    "data": "Check a benchmark (data check TASK), or a training file against it (data overlap FILE).",
}
UNITS = {
    "sample": "problems",
    "locate": "problems",
    "eval": "problems",
    "solve": "problems",
    "train": "rounds",
}
"""What the progress bar of a command counts, where an interrupted run keeps all that it counted."""


LIKE = "Folder of a run whose settings to take over, but for its output; what you give wins"
DRY_RUN = "Show the cost, a rendered prompt, a split and a verdict, and exit without weights"


class EndedError(Exception):
    """A command was ended by its cause."""


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
    if name in ("show", "runs", "report", "watch", "doctor", "data"):
        command: click.Command = import_module(f"gpo.commands.{name}").command
        command.help = COMMANDS[name]
        return command
    from gpo import flags
    from gpo.setup.alike import CLASSES

    own = [click.Option(["--json", "as_json"], is_flag=True, help=JSON)]
    if name not in ("demo", "export"):
        own.append(click.Option(["--config"], type=UsablePath(), help="YAML file with settings"))
        own.append(click.Option(["--like"], type=UsablePath(), help=LIKE))
        own.append(click.Option(["--dry-run", "is_dry"], is_flag=True, help=DRY_RUN))
        own.append(click.Option(["--resume"], type=UsablePath(), help="Continue the run in this folder"))
    return flags.command(name, COMMANDS[name], caller(name, CLASSES[name]), *CLASSES[name], own=own)


def caller(name: str, classes: tuple[type[Settings], ...]) -> Callable[..., None]:
    """What click calls: flags to settings, settings to the command."""

    def call(
        as_json: bool,
        config: Path | None = None,
        like: Path | None = None,
        resume: Path | None = None,
        is_dry: bool = False,
        **options: Any,
    ) -> None:
        from gpo import flags
        from gpo.console import Ui
        from gpo.setup.resume import settings_of

        given = flags.given(classes, options)
        ui = Ui(as_json)
        ending.STAGE.command = "train" if name == "demo" else name
        ending.STAGE.kept, ending.STAGE.resumed = partial(ui.kept, UNITS.get(name, "")), resume
        settings = settings_of(name, classes[0], config, resume, given, like)
        finish(start(name, settings, ui, resume, is_dry=is_dry), as_json)

    return call


def start(name: str, settings: Any, ui: Any, resume: Path | None, *, is_dry: bool = False) -> dict[str, Any]:
    """Runs the command; torch is imported here and not before."""
    if name == "export":
        from gpo.commands import export

        return export.run(settings, ui)
    from gpo.commands import demo, evaluate, locate, pairs, quiet, sample, solve, train

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
        "solve": solve.run,
        "train": train.run,
        "pairs": pairs.run,
    }
    if is_dry and resume:
        raise InputError("--dry-run: shows what a new run would do; leave --resume out")
    return commands[name](settings, ui, resume=resume, is_dry=is_dry)


def check_alone(command: str) -> None:
    """InputError for a command that torchrun started several times, and that all would do the same work."""
    if "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{command}: runs in one process; start it without torchrun")


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
    from gpo import console as ui

    ui.crash(kind, error, trace)


def warn(message: Warning | str, category: type[Warning], *about: Any, **_: Any) -> None:
    """What is wrong with the data but stops nothing is one line on standard error."""
    from gpo import console as ui

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
        from gpo import console as ui

        ui.error(message)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
