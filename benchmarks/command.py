"""What the scripts of this folder share as commands: arguments, lines of results, and how they end."""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from gpo import ending
from gpo.record.torn import complete_size
from gpo.types import InputError

GOES_ON = "the same command goes on where it was"


class Parser(argparse.ArgumentParser):
    """Shows the script's docstring as its help, and refuses in one line."""

    def __init__(self, about: str | None, **more: Any) -> None:
        super().__init__(description=about, formatter_class=argparse.RawDescriptionHelpFormatter, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def number_of(
    text: str, kind: Callable[[str], Any], least: float, what: str, *, is_above: bool = False
) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and (number > least if is_above else number >= least):
        return number
    raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}")


def whole(text: str) -> int:
    """A whole number of at least 1."""
    return number_of(text, int, 1, "a whole number of at least 1")


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return number_of(text, int, 0, "a whole number of at least 0")


def positive(text: str) -> float:
    return number_of(text, float, 0, "a number above 0", is_above=True)


def at_least_0(text: str) -> float:
    return number_of(text, float, 0, "a number of at least 0")


def out_folder(text: str) -> Path:
    """A folder to write into, which need not be there."""
    path = Path(text)
    if any(one.is_file() for one in (path, *path.parents)):
        raise argparse.ArgumentTypeError(f"{text} is a file or lies in one; name a folder")
    return path


def out_file(text: str) -> Path:
    """A file to write, which need not be there."""
    if (path := out_folder(text) if not Path(text).is_file() else Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
    return path


def existing(text: str) -> Path:
    if (path := Path(text)).exists():
        return path
    raise argparse.ArgumentTypeError(f"{text} is not there")


def model(text: str) -> Path:
    """The folder of a pretrained model."""
    if (path := Path(text) / "config.json").is_file():
        return path.parent
    raise argparse.ArgumentTypeError(f"{text} is not the folder of a model: it has no config.json")


def recorded(path: Path, needs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The records of a file of JSON lines, none if it is not there; InputError names a damaged line.

    A last line without its end is left out: a kill tore it, or another process is still writing it.
    """
    lines = path.read_bytes()[: complete_size(path)].splitlines() if path.exists() else []
    return [record_of(line, f"{path}:{number}", needs) for number, line in enumerate(lines, start=1)]


def record_of(line: bytes, place: str, needs: Sequence[str]) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: is not a line of JSON ({error}); remove it or restore it") from None
    missing = [name for name in needs if name not in record] if isinstance(record, dict) else needs
    if missing or not isinstance(record, dict):
        raise InputError(f"{place}: is not a record of this script ({', '.join(missing)} missing); remove it")
    return record


def append(path: Path, record: dict[str, Any]) -> None:
    """Adds the record as a line, in place of a last one that a kill tore; several processes may do so."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(complete_size(path))
        file.write(json.dumps(record).encode() + b"\n")


def keep_to(path: Path, given: dict[str, Any], *, is_begun: bool) -> None:
    """InputError for other settings than those in the file, with which what is there was begun.

    They are written down when nothing is there yet, or when it is of a time before they were.
    """
    given = json.loads(json.dumps(given, default=str))
    if not is_begun or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(given, indent=1) + "\n")
    begun = json.loads(path.read_text())
    if changed := [name for name in given if given[name] != begun.get(name)]:
        told = ", ".join(f"{name} {begun.get(name)!r}, now {given[name]!r}" for name in changed)
        raise InputError(f"{path.parent}: was begun with {told}; give the same, or another --output")


@contextmanager
def processes(num: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that leave an interruption to this process; when it gives up, they end at once."""
    pool = ProcessPoolExecutor(num, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def script(main: Callable[[], None], *, goes_on: bool = False) -> None:
    """Runs a script; what its user can do something about is one line: exit code 2 for bad input, 130 for an
    interruption, 1 for what the machine lacks."""
    try:
        main()
    except KeyboardInterrupt:
        fail(f"interrupted; {GOES_ON}" if goes_on else "interrupted", 130)
    except Exception as error:
        if (found := ending.explained(error)) is None:
            raise
        fail(*found)


def fail(message: str, code: int) -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    raise SystemExit(code)
