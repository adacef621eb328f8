"""'module:function' and 'file.py:function' to the callable that they name."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType

from gpo.verifiers.function import RewardFunction

FILE = ".py"


def resolve(spec: str) -> RewardFunction:
    """The callable that `spec` names; the name may have dots, for what a class or an object holds.

    Raises what the import raises; ImportError with a hint if there is no such module, AttributeError with the
    nearest name if it has no such function, TypeError if that cannot be called.
    """
    where, _, name = spec.rpartition(":")
    module = _of_file(Path(where)) if where.endswith(FILE) else _of_name(where)
    try:
        function = attrgetter(name)(module)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"{error}{hint}") from None
    if not callable(function):
        raise TypeError(f"'{name}' is a {type(function).__name__}, not a function")
    result: RewardFunction = function
    return result


def _of_name(name: str) -> ModuleType:
    if "/" in name or name.startswith("."):
        raise ImportError(f"'{name}' is a path; name the file, as in {name}{FILE}:function")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise  # it is there, and imports something that is not
        raise ModuleNotFoundError(
            f"{error}; it is looked for in the folder you start in and where Python's packages are, and a "
            f"file elsewhere is named by its path, as in rewards/mine{FILE}:function"
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
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import does it: a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module
