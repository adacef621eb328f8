"""One module per command: what it does is `run(settings, ui)`, which returns the command's JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gpo import ending

JSON = "Print one JSON object last"


class UsablePath(click.Path):
    """A path that a file system accepts; whether it exists is checked later."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from gpo.files import check_path

        check_path(str(value), str(param.opts[0]) if param and param.opts else "")
        return super().convert(value, param, ctx)


def finish(summary: dict[str, Any], as_json: bool) -> None:
    """Prints the command's JSON object as the last line of standard output."""
    if as_json and ending.is_first():
        from gpo.console import json_object
        from gpo.record import finite

        json_object(finite(summary))


def quiet() -> None:
    """Keeps the libraries' own bars and notes out of a command's output, and off the network's telemetry."""
    import logging
    import os
    import warnings

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as notes

    # peft 0.21 asks transformers 5.23 by an old name.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    notes.disable_progress_bar()  # type: ignore[no-untyped-call]
    notes.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("reasoning_gym").setLevel(logging.ERROR)
