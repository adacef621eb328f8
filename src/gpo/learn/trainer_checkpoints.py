"""TRL's checkpoints inside a round: used once they are whole, and removed where all in them is TRL's."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from gpo import checksums

_NAME = re.compile(r"checkpoint-(\d+)", re.ASCII)


def last_whole(folder: Path) -> str | None:
    """The last checkpoint that was written to its end; InputError if a file of it was changed since."""
    whole = [one for one in _checkpoints(folder) if (one / checksums.SUMS).is_file()]
    if not whole:
        return None
    checksums.check(whole[-1], "restore it, or move that checkpoint away to train the round again")
    return str(whole[-1])


def drop(folder: Path) -> list[Path]:
    """Removes the checkpoints, and folders that are empty then; returns those that hold something else."""
    stays = []
    for one in _checkpoints(folder):
        if checksums.is_ours(one):
            shutil.rmtree(one)
        else:
            stays.append(one)
    for empty in (folder, folder.parent):
        with suppress(OSError):  # something else is in it
            empty.rmdir()
    return stays


class Keeping(TrainerCallback):
    """Seals a checkpoint once it is whole, and then removes those before it.

    TRL's own limit of checkpoints would remove whatever lies in their folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        saved = self.folder / f"checkpoint-{state.global_step}"
        checksums.seal(saved, self._is_new)
        for one in _checkpoints(self.folder):
            if one != saved and checksums.is_ours(one):
                shutil.rmtree(one)

    def _is_new(self, path: Path) -> bool:
        """Whether this process wrote it: what lay in a folder that was torn may be anybody's."""
        return self._before.get(path) != path.stat().st_mtime_ns


def _checkpoints(folder: Path) -> list[Path]:
    """By their numbers."""
    if not checksums.is_folder(folder):
        return []
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir() if checksums.is_folder(path)}
    numbers = {path: int(name[1]) for path, name in found.items() if name}
    return sorted(numbers, key=numbers.__getitem__)
