"""Rows of a test split are not trained on unless the user says so."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from gpo.tasks.splits import held_out_rows
from gpo.types import DataWarning, InputError


def check_training_rows(what: str, source: Mapping[str, Any], *, is_allowed: bool) -> None:
    """InputError if the settings in `source` name rows for testing; a DataWarning where they are allowed.

    `what` names the setting that led to them: '--run runs/located'.
    """
    found = held_out_rows(source)
    if found is None:
        return
    if is_allowed:
        warnings.warn(f"{what}: trains on {found}; do not test the model on them", DataWarning, stacklevel=3)
        return
    raise InputError(
        f"{what}: would train on {found}, and no model trained on these rows can be tested on them; "
        f"{_instead(source)}, or give --allow-test"
    )


def _instead(source: Mapping[str, Any]) -> str:
    if source.get("data") is not None:
        return "name another split, as in hub:OWNER/NAME:CONFIG:train"
    return "take gsm8k, math or your own --data" if "split" not in source else "use rows of --split train"
