"""Whether a new run can begin in a folder, and which folders are being written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gpo.record.base import Json
from gpo.record.run_json import stored_run
from gpo.types import InputError


def check_new(path: Path, settings: Json) -> None:
    """Raises InputError unless `path` is free for a new run."""
    parent = next(folder for folder in (path, *path.absolute().parents) if os.path.exists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK) or len(path.name) > 255:
        raise InputError(f"--output {path}: cannot be made in {parent}; choose another folder")
    if path.is_dir() and {file.name for file in path.iterdir()} <= {".lock"}:
        return  # a run that could not begin leaves its lock
    if (path / "run.json").is_file():
        raise InputError(f"--output {path}: {_difference(stored_run(path).settings, settings)}")
    if path.exists():
        raise InputError(f"--output {path}: exists and is not a gpo run; choose another folder")


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why a folder that holds a run cannot take a new one."""
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if not changed:
        return "already holds this run; continue it with --resume, or choose another folder"
    key = changed[0]
    return (
        f"belongs to a run with other settings ({key}: {old.get(key)!r} there, {new.get(key)!r} here); "
        "choose another folder"
    )


def locked(path: Path) -> FileLock:
    """The lock of a run, held; InputError if another process has it."""
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, Timeout):
            raise InputError(
                f"{path}: another process is writing this run; wait for it, or choose another folder"
            ) from None
        raise InputError(
            f"{path}/.lock: cannot be locked ({error}); make the folder writable, on a disk with file locks"
        ) from None
    return lock


def is_running(path: Path) -> bool:
    """Whether a process writes the run at `path`: it holds the lock, which is asked for here for a moment."""
    file = path / ".lock"
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except (Timeout, PermissionError):  # of a run that is another user's it cannot be told
        return True
    lock.release()
    return False


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    found = {}
    for name in ("gpo", "torch", "transformers", "reasoning-gym", "mpmath", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
