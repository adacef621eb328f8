"""Where a command may write: never into a run or a model, and never over what gpo did not write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gpo.files import open_file
from gpo.types import InputError

_HEAD_BYTES = 65_536
INNER = "located"
"""The run that `gpo pairs` makes inside its own."""


def check_file(output: Path, is_ours: Callable[[bytes], bool], example: str) -> None:
    """InputError, before any work, unless a file can be made at `output`, or replace one of ours there.

    `is_ours` tells by the first bytes; `example` names a file of the kind.
    """
    folder = output.absolute().parent
    if output.is_dir():
        raise InputError(f"--output {output}: is a folder; name a file, such as {output}/{example}")
    if not folder.is_dir():
        raise InputError(f"--output {output}: there is no folder {folder}; make it, or choose another place")
    _check_place(output)
    if os.path.lexists(output) and output.exists():
        with open_file(output, f"--output {output}") as file:
            if not is_ours(file.read(_HEAD_BYTES)):
                raise InputError(f"--output {output}: is a file that gpo did not write; choose another name")
    if not os.access(folder, os.W_OK) or (output.exists() and not os.access(output, os.W_OK)):
        raise InputError(f"--output {output}: cannot be written; choose another place")


def check_folder(output: Path) -> None:
    """InputError if a new folder at `output` would lie in a run or a model, by whatever path it is named."""
    _check_place(output)


def _check_place(output: Path) -> None:
    place = Path(os.path.realpath(output))
    for folder in place.parents:
        if (folder / "run.json").is_file() and not (place.name == INNER and folder == place.parent):
            raise InputError(
                f"--output {output}: lies in the run folder {folder}, where only the run writes; choose "
                "a place outside"
            )
    if is_model(place.parent) or is_model(place):
        raise InputError(
            f"--output {output}: lies in the folder of a model or adapter; choose a place outside"
        )


def is_model(folder: Path) -> bool:
    """Whether the folder holds weights with their config."""
    if (folder / "adapter_config.json").is_file():
        return True
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")] if folder.is_dir() else []
    return bool(weights) and (folder / "config.json").is_file()
