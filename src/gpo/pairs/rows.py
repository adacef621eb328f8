"""Rows for offline training: how `gpo pairs` writes them, with ids and text, and reads them back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from gpo.pairs import Answer, Options, Pair, Rows, Trajectory
from gpo.record.base import (
    AsList,
    Count,
    Counts,
    Ids,
    Json,
    Line,
    Numbers,
    Rate,
    SomeIds,
    Texts,
    Tokens,
    sized,
)
from gpo.record.files import read_lines
from gpo.types import InputError, Labelled, Preference, Rollout

FILES = {"pairs": "pairs.jsonl", "unpaired": "unpaired.jsonl", "steps": "steps.jsonl", "sft": "sft.jsonl"}
MAX_WEIGHT = 1e6
"""Largest weight of a pair; beyond it one pair is the batch's loss, and float32 cannot hold its square."""


class MadeLine(Line):
    """What every row has."""

    problem: str
    question: str
    answer: str


class PlacedLine(MadeLine):
    """A row at a step of a trajectory."""

    at: str = ""
    step: Count = 0
    num_steps: Count = 0
    prefix_tokens: Count = 0
    advantage: float | None = None
    interval: Numbers | None = None
    credibility: float | None = None
    """Of a critical step."""
    prompt_ids: SomeIds


class PairLine(PlacedLine):
    """A row of pairs.jsonl."""

    chosen_ids: SomeIds
    rejected_ids: SomeIds
    weight: Annotated[float, Field(gt=0, le=MAX_WEIGHT)] = 1.0
    prefix: str
    prompt: str
    chosen: str
    rejected: str
    chosen_source: str = ""
    rejected_source: str = ""
    is_ended: bool = True
    is_exact_text: bool = True
    """Whether the text would be tokenised to the same ids again, for the trainers that read text."""

    def misfit(self) -> str | None:
        is_same = self.chosen_ids == self.rejected_ids
        return "chosen_ids and rejected_ids are the same" if is_same else None


class UnpairedLine(PlacedLine):
    """A row of unpaired.jsonl."""

    completion_ids: SomeIds
    label: bool
    prompt: str
    completion: str
    source: str = ""
    is_ended: bool = True
    is_exact_text: bool = True


class StepsLine(MadeLine):
    """A row of steps.jsonl: steps, the value after each, and whether that is at least `label_at`."""

    reward: Rate = 0.0
    prompt_ids: SomeIds
    completions_ids: Annotated[tuple[Ids, ...], AsList] = ()
    prompt: str
    completions: Texts
    labels: Annotated[tuple[bool, ...], AsList]
    values: Numbers
    """That after the last step is the outcome itself."""
    intervals: Annotated[tuple[Numbers, ...], AsList] = ()
    successes: Counts = ()
    trials: Counts = ()
    """Counted before the first step and after each; that after the last step is the outcome."""

    def misfit(self) -> str | None:
        num = len(self.completions)
        sizes = dict.fromkeys(("labels", "values"), num)
        if self.trials or self.successes:
            sizes |= {"successes": num + 1, "trials": num + 1, "completions_ids": num}
        wrong = sized(self, sizes, f"{num} completions need {{size}}")
        if wrong or not self.trials:
            return wrong
        for i, (wins, trials) in enumerate(zip(self.successes, self.trials, strict=True)):
            if wins > trials:
                return f"successes.{i}: {wins} is not between 0 and the {trials} trials"
        return None if all(self.completions_ids) else "completions_ids: has a step without tokens"


class TunedLine(MadeLine):
    """A row of sft.jsonl."""

    prefix_tokens: Count = 0
    prompt_ids: SomeIds
    completion_ids: SomeIds
    prompt: str
    completion: str
    is_ended: bool = True
    is_exact_text: bool = True


KIND_OF: Mapping[str, type[MadeLine]] = {
    "pairs": PairLine,
    "unpaired": UnpairedLine,
    "steps": StepsLine,
    "sft": TunedLine,
}
"""The lines of each of FILES."""


class HeldOutLine(Line):
    """A row of held_out.jsonl."""

    prompt: str
    answer: str
    id: str


class PairsSummary(Line):
    """summary.json of `gpo pairs`."""

    run: str = ""
    source: str
    at: str
    rows: dict[str, Count]
    left_out: dict[str, Count]
    trajectories: Count
    inexact_text: Count = 0
    tokens: Tokens
    unjudged: Tokens = Field({})
    begin_text: str
    end_text: str


class Writer:
    """Rows to their lines; text is decoded from the ids, special tokens and all."""

    def __init__(self, tokenizer: Any, options: Options) -> None:
        self.tokenizer, self.options = tokenizer, options

    def lines(self, rows: Rows) -> dict[str, list[Line]]:
        """The lines of each of FILES."""
        return {
            "pairs": [self.pair(one) for one in rows.pairs],
            "unpaired": [self.one(one.trajectory, one.step, one.answer) for one in rows.unpaired],
            "steps": [self.steps(one) for one in rows.labelled],
            "sft": [self.fine_tuning(one) for one in rows.fine_tuning],
        }

    def pair(self, pair: Pair) -> PairLine:
        prompt, chosen, rejected = pair.state.ids, pair.chosen.ids, pair.rejected.ids
        return PairLine.made(
            self.where(pair.trajectory, pair.step)
            | {
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
        )

    def one(self, trajectory: Trajectory, step: int, answer: Answer) -> UnpairedLine:
        prompt = trajectory.state_before(step).ids
        row = {"completion_ids": answer.ids, "label": answer.is_right, "source": answer.source}
        row |= self.answered(prompt, answer.ids, is_ended=answer.is_ended)
        return UnpairedLine.made(self.where(trajectory, step) | row)

    def fine_tuning(self, rollout: Rollout) -> TunedLine:
        row = self.answered(rollout.state.ids, rollout.action_ids, is_ended=True)
        where = {"prefix_tokens": len(rollout.state.prefix_ids), "completion_ids": rollout.action_ids}
        return TunedLine.made(self.asked(rollout) | where | row)

    def steps(self, trajectory: Trajectory) -> StepsLine:
        rollout, bounds = trajectory.rollout, trajectory.curve.bounds
        parts = [rollout.completion_ids[a:b] for a, b in pairwise(bounds)]
        values = trajectory.estimate.values[1:]
        prompt = rollout.state_at(bounds[0]).ids
        return StepsLine.made(
            self.asked(rollout)
            | {
                "reward": rollout.reward,
                "prompt_ids": prompt,
                "completions_ids": parts,
                "prompt": self.text(prompt),
                "completions": [self.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in parts],
                "labels": [value >= self.options.label_at for value in values],
                "values": values,
                "intervals": trajectory.estimate.intervals,
                "successes": trajectory.curve.successes,
                "trials": trajectory.curve.trials,
            }
        )

    def asked(self, rollout: Rollout) -> Json:
        problem = rollout.state.problem
        return {"problem": problem.id, "question": problem.question, "answer": problem.answer}

    def answered(self, prompt: Ids, completion: Ids, *, is_ended: bool) -> Json:
        return {
            "prompt_ids": prompt,
            "prompt": self.text(prompt),
            "completion": self.text(completion),
            "is_ended": is_ended,
            "is_exact_text": self.is_exact(prompt, completion),
        }

    def where(self, trajectory: Trajectory, step: int) -> Json:
        critical = trajectory.critical
        is_critical = critical is not None and critical.index == step
        return self.asked(trajectory.rollout) | {
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


def read_trained(run: Path, kind: str) -> list[tuple[str, Preference | Labelled]]:
    """The `pairs` or the `unpaired` rows of a run, each with its question.

    InputError names the first row and field that is wrong, and a file without any row.
    """
    path = run / FILES[kind]
    made: list[tuple[str, Preference | Labelled]]
    if kind == "pairs":
        made = [
            (one.question, Preference(one.prompt_ids, one.chosen_ids, one.rejected_ids, one.weight))
            for one in read_lines(path, PairLine)
        ]
    else:
        made = [
            (one.question, Labelled(one.prompt_ids, one.completion_ids, one.label))
            for one in read_lines(path, UnpairedLine)
        ]
    if not made:
        reason = "has no rows" if path.exists() else "is not there"
        raise InputError(f"{path}: {reason}; build it with gpo pairs")
    return made


def begin_text(tokenizer: Any) -> str:
    """What the tokenizer puts before any text by itself; prompts begin with it where that is so."""
    begin = tokenizer.bos_token_id
    return str(tokenizer.bos_token) if begin is not None and tokenizer.encode("a")[:1] == [begin] else ""
