"""Which rows a model can be trained on: ids that it has, and room in its context."""

from __future__ import annotations

from pathlib import Path

from gpo.types import Ids, InputError, TrainedRows


def check_vocabulary(rows: TrainedRows, num_ids: int, end_ids: Ids, source: Path | str) -> None:
    """InputError for an id that the model has no token for, and for an answer that goes on after its end."""
    for number, row in enumerate(rows, start=1):
        for name, ids in {"prompt_ids": row.prompt_ids, **row.answers}.items():
            if max(ids) >= num_ids:
                raise InputError(
                    f"{source}: row {number}: {name} has {max(ids)}, and the model's ids are 0 to "
                    f"{num_ids - 1}; train the model that the rows were made with"
                )
            if name != "prompt_ids" and not set(end_ids).isdisjoint(ids[:-1]):
                raise InputError(
                    f"{source}: row {number}: {name} continues after an end token; cut it or remove the row"
                )


def fitting(
    rows: TrainedRows, context: int | None, max_length: int | None, source: Path | str
) -> TrainedRows:
    """The rows of at most `max_length` tokens that the model's context holds.

    InputError for a prompt that leaves no room in the context: such rows are of another model.
    """
    limit = min((one for one in (context, max_length) if one is not None), default=None)
    prompts = [row.prompt_ids for row in rows]
    for number, prompt in enumerate(prompts, start=1):
        if context is not None and len(prompt) >= context:
            raise InputError(
                f"{source}: row {number}: question and prefix have {len(prompt)} tokens and the "
                f"context of the model is {context}; remove the row"
            )
    return [
        row
        for row in rows
        if limit is None or len(row.prompt_ids) + max(map(len, row.answers.values())) <= limit
    ]
