"""Rows for offline training as JSON lines, written with ids and text, and read back with every id checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

from gpo.pairs import Answer, Options, Pair, Rows, Trajectory
from gpo.record import Json, lines
from gpo.record.schema import PairLine, UnpairedLine
from gpo.types import Ids, InputError, Labelled, Preference, Rollout

FILES = {"pairs": "pairs.jsonl", "unpaired": "unpaired.jsonl", "steps": "steps.jsonl", "sft": "sft.jsonl"}
Training = Sequence[Preference] | Sequence[Labelled]
T = TypeVar("T")


class Writer:
    """Rows to records; text is decoded from the ids, special tokens and all.

    `is_exact_text` says whether the text would be tokenised to the same ids again, for the trainers that
    read text.
    """

    def __init__(self, tokenizer: Any, options: Options) -> None:
        self.tokenizer, self.options = tokenizer, options

    def records(self, rows: Rows) -> dict[str, list[Json]]:
        """The lines of each of FILES."""
        return {
            "pairs": [self.pair(one) for one in rows.pairs],
            "unpaired": [self.one(one.trajectory, one.step, one.answer) for one in rows.unpaired],
            "steps": [self.steps(one) for one in rows.labelled],
            "sft": [self.fine_tuning(one) for one in rows.fine_tuning],
        }

    def pair(self, pair: Pair) -> Json:
        prompt, chosen, rejected = pair.state.ids, pair.chosen.ids, pair.rejected.ids
        return {
            **self.where(pair.trajectory, pair.step),
            "prompt_ids": prompt,
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "weight": pair.weight,
            "prefix": self.text(pair.state.prefix_ids),
            "prompt": self.text(prompt),
            "chosen": self.text(chosen),
            "rejected": self.text(rejected),
            "chosen_source": pair.chosen.source,
            "rejected_source": pair.rejected.source,
            "is_ended": pair.chosen.is_ended and pair.rejected.is_ended,
            "is_exact_text": self.is_exact(prompt, chosen) and self.is_exact(prompt, rejected),
        }

    def one(self, trajectory: Trajectory, step: int, answer: Answer) -> Json:
        prompt = trajectory.state_before(step).ids
        return {
            **self.where(trajectory, step),
            "prompt_ids": prompt,
            "completion_ids": answer.ids,
            "label": answer.is_right,
            "prompt": self.text(prompt),
            "completion": self.text(answer.ids),
            "source": answer.source,
            "is_ended": answer.is_ended,
            "is_exact_text": self.is_exact(prompt, answer.ids),
        }

    def fine_tuning(self, rollout: Rollout) -> Json:
        prompt, completion = rollout.state.ids, rollout.action_ids
        problem = rollout.state.problem
        return {
            "problem": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "prefix_tokens": len(rollout.state.prefix_ids),
            "prompt_ids": prompt,
            "completion_ids": completion,
            "prompt": self.text(prompt),
            "completion": self.text(completion),
            "is_ended": True,
            "is_exact_text": self.is_exact(prompt, completion),
        }

    def steps(self, trajectory: Trajectory) -> Json:
        """The trajectory's steps, the value after each, and whether that is at least `label_at`.

        The value after the last step is the outcome itself.
        """
        rollout, bounds = trajectory.rollout, trajectory.curve.bounds
        parts = [rollout.completion_ids[a:b] for a, b in pairwise(bounds)]
        values = trajectory.estimate.values[1:]
        prompt = rollout.state_at(bounds[0]).ids
        return {
            "problem": rollout.state.problem.id,
            "question": rollout.state.problem.question,
            "answer": rollout.state.problem.answer,
            "reward": rollout.reward,
            "prompt_ids": prompt,
            "completions_ids": parts,
            "prompt": self.text(prompt),
            "completions": [self.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in parts],
            "labels": [value >= self.options.label_at for value in values],
            "values": values,
            "intervals": trajectory.estimate.intervals,
        }

    def where(self, trajectory: Trajectory, step: int) -> Json:
        problem, critical = trajectory.rollout.state.problem, trajectory.critical
        is_critical = critical is not None and critical.index == step
        return {
            "problem": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "at": self.options.at,
            "step": step,
            "num_steps": trajectory.curve.num_steps,
            "prefix_tokens": trajectory.curve.bounds[step],
            "advantage": trajectory.estimate.advantages[step],
            "interval": trajectory.estimate.intervals[step],
            "credibility": critical.credibility if critical and is_critical else None,
        }

    def text(self, ids: Ids) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def is_exact(self, prompt: Ids, completion: Ids) -> bool:
        """Whether prompt and answer, tokenised as one text, give their ids and part where they parted."""
        whole, alone = self.text(prompt + completion), self.text(prompt)
        encode = self.tokenizer.encode
        return (
            tuple(encode(whole, add_special_tokens=False)) == prompt + completion
            and tuple(encode(alone, add_special_tokens=False)) == prompt
        )


def read_preferences(path: Path) -> list[tuple[str, Preference]]:
    """The pairs of a file, each with its question; InputError names the first row and field that is wrong."""
    made = [
        (line.question, Preference(line.prompt_ids, line.chosen_ids, line.rejected_ids, line.weight))
        for line in lines(path, PairLine)
    ]
    return _some(path, made)


def read_labelled(path: Path) -> list[tuple[str, Labelled]]:
    """The unpaired rows of a file, checked like pairs."""
    made = [
        (line.question, Labelled(line.prompt_ids, line.completion_ids, line.label))
        for line in lines(path, UnpairedLine)
    ]
    return _some(path, made)


def check_vocabulary(rows: Training, num_ids: int, end_ids: Ids, source: Path | str) -> None:
    """InputError for an id that the model has no token for, and for an answer that goes on after its end."""
    every: list[Preference | Labelled] = [*rows]
    for number, row in enumerate(every, start=1):
        if isinstance(row, Labelled):
            answers = {"completion_ids": row.completion_ids}
        else:
            answers = {"chosen_ids": row.chosen_ids, "rejected_ids": row.rejected_ids}
        for name, ids in {"prompt_ids": row.prompt_ids, **answers}.items():
            if max(ids) >= num_ids:
                raise InputError(
                    f"{source}: row {number}: {name} has {max(ids)}, and the model's ids are 0 to "
                    f"{num_ids - 1}; train the model that the rows were made with"
                )
            if name != "prompt_ids" and not set(end_ids).isdisjoint(ids[:-1]):
                raise InputError(
                    f"{source}: row {number}: {name} goes on after an end token; cut it there, or remove the "
                    "row"
                )


def fitting(rows: Training, context: int | None, max_length: int | None, source: Path | str) -> Training:
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
    kept: Any = [row for row in rows if limit is None or _length(row) <= limit]
    return cast(Training, kept)


def _length(row: Preference | Labelled) -> int:
    if isinstance(row, Labelled):
        return len(row.prompt_ids) + len(row.completion_ids)
    return len(row.prompt_ids) + max(len(row.chosen_ids), len(row.rejected_ids))


def _some(path: Path, rows: list[T]) -> list[T]:
    if not rows:
        reason = "holds no row" if path.exists() else "is not there"
        raise InputError(f"{path}: {reason}; build it with gpo pairs")
    return rows
