"""Functions of the user's own, by name: 'module:function' or 'file.py:function'."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from itertools import pairwise
from operator import attrgetter, index
from pathlib import Path
from types import ModuleType
from typing import Any

from gpo.types import InputError

_FILE = ".py"


def user_function(spec: str, setting: str) -> Callable[..., Any]:
    """The callable that `spec` names, imported once in this process, from its path and then its folder.

    InputError, in one line that begins with the `setting`, if there is none or its module raises.
    """
    return _once(spec, setting, os.getcwd())


@cache
def _once(spec: str, setting: str, folder: str) -> Callable[..., Any]:
    if folder not in sys.path:  # a program's own folder is searched, not the one it is called in
        sys.path.append(folder)
    try:
        return resolve(spec)
    except TypeError as error:
        raise InputError(f"{setting}: {error}; name a function") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if place_of(error) else str(error)
        raise InputError(f"{setting}: {spec!r} cannot be imported ({reason}{place_of(error)})") from error


def resolve(spec: str) -> Callable[..., Any]:
    """The callable that `spec` names; the name may have dots, for what a class or an object holds.

    Raises what the import raises; ImportError with a hint if there is no such module, AttributeError with the
    nearest name if it has no such function, TypeError if that cannot be called.
    """
    where, _, name = spec.rpartition(":")
    module = _of_file(Path(where)) if where.endswith(_FILE) else _of_name(where)
    try:
        found = attrgetter(name)(module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"{error}{hint}") from None
    if not callable(found):
        raise TypeError(f"'{name}' is a {type(found).__name__}, not a function")
    result: Callable[..., Any] = found
    return result


def place_of(error: BaseException) -> str:
    """The last line of the user's own code, behind which a library may have raised; '' if there is none."""
    nobodys = (str(Path(__file__).parent), importlib.util.__file__.rpartition("/")[0], "<frozen")
    found = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in found if not frame.filename.startswith(nobodys)]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def offsets_by(function: Callable[[str], Any], called: str) -> Callable[[str], list[int]]:
    """What gives a user's character offsets that lie inside a text.

    It raises InputError, naming the function as it is `called`, where that raises or returns anything else
    than increasing offsets from 0 to the length of the text.
    """

    def find(text: str) -> list[int]:
        try:
            found = function(text)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}{place_of(error)}"
            raise InputError(f"splitter: {called} raised {reason}") from error
        if isinstance(found, str) or not isinstance(found, Iterable):
            raise InputError(f"splitter: {called} returned {found!r:.60}; return a list of character offsets")
        offsets = _whole([*found], called)
        if beyond := [one for one in offsets if not 0 <= one <= len(text)]:
            raise InputError(
                f"splitter: {called} returned the offset {beyond[0]} for a text of {len(text)} characters; "
                "return offsets from 0 to its length"
            )
        for before, after in pairwise(offsets):
            if before >= after:
                raise InputError(f"splitter: {called} returned {before} before {after}; let them increase")
        return [one for one in offsets if 0 < one < len(text)]

    return find


def _whole(found: list[Any], called: str) -> list[int]:
    for one in found:
        if isinstance(one, bool) or not hasattr(one, "__index__"):
            raise InputError(f"splitter: {called} returned {one!r:.60} as an offset; return whole numbers")
    return [index(one) for one in found]


def _of_name(name: str) -> ModuleType:
    if "/" in name or name.startswith("."):
        raise ImportError(f"'{name}' is a path; name the file, as in {name}{_FILE}:function")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise  # it is there, and imports something that is not
        raise ModuleNotFoundError(
            f"{error}; it is looked for in the folder you start in and where Python's packages are, and a "
            f"file elsewhere is named by its path, as in rewards/mine{_FILE}:function"
        ) from None


def _of_file(path: Path) -> ModuleType:
    """The module in a file, whose folder is searched for what it imports."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    sys.path.append(str(path.parent))
    name = f"{path.stem} of {path.parent}" if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import does it: a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module
