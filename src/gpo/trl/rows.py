"""From a trainer's prompt to its row, as TRL hands a rollout function the prompts and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from datasets import Dataset

from gpo.protocols import Verifier
from gpo.types import Ids, InputError, Problem

Prompt = str | list[dict[str, Any]]
"""Plain text, or messages with role and content."""


@dataclass(frozen=True)
class Asked:
    """A prompt, its row of the data set, and both as a problem."""

    prompt: Prompt
    row: Mapping[str, Any]
    problem: Problem


class Rows:
    """The rows of data sets by their prompts, with every gold answer checked by the verifier.

    Rows that share a prompt count as one, the first. InputError, naming data set and row, where they
    differ in their answers, the answer's column is missing or empty, or the verifier cannot use it.
    """

    def __init__(self, datasets: Mapping[str, Any], answer_column: str, verifier: Verifier) -> None:
        self._datasets, self._answer_column = datasets, answer_column
        self._places: dict[bytes, tuple[str, int]] = {}
        for name, dataset in datasets.items():
            for index, row in enumerate(_indexable(name, dataset)):
                self._add(name, index, row, verifier)

    def _add(self, name: str, index: int, row: Mapping[str, Any], verifier: Verifier) -> None:
        where = f"{name} row {index}"
        answer = _answer(row, self._answer_column, where)
        first = self._places.setdefault(_key(row["prompt"]), (name, index))
        if first != (name, index):
            other = _answer(self._row(first), self._answer_column, where)
            if other != answer:
                raise InputError(
                    f"{where}: has the prompt of {first[0]} row {first[1]} and the answer {answer!r}, not "
                    f"{other!r}; remove one, as a rollout function sees prompts only"
                )
            return
        try:
            verifier.check(self._problem(where, row, (0,)))
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error

    def ask(self, prompt: Prompt, prompt_ids: Ids) -> Asked:
        """The row of a prompt; InputError if no row has it."""
        place = self._places.get(_key(prompt))
        if place is None:
            raise InputError(
                f"no row of {' or '.join(self._datasets)} has the prompt "
                f"{question(prompt, 'prompt')[:60]!r}, so its answer is not known; pass the data set to "
                "the trainer as it is"
            )
        row = self._row(place)
        return Asked(prompt, row, self._problem(f"{place[0]} row {place[1]}", row, prompt_ids))

    def _row(self, place: tuple[str, int]) -> Mapping[str, Any]:
        row: Mapping[str, Any] = self._datasets[place[0]][place[1]]
        return row

    def _problem(self, where: str, row: Mapping[str, Any], prompt_ids: Ids) -> Problem:
        # As TRL hands them to a reward function; a prompt of text is the question already.
        columns = {key: value for key, value in row.items() if key != "prompt" or not isinstance(value, str)}
        answer = _answer(row, self._answer_column, where)
        return Problem(where, prompt_ids, answer, "trl", question(row["prompt"], where), columns)


def prompt_ids(tokenizer: Any, prompt: Prompt, template_args: Mapping[str, Any]) -> Ids:
    """[L], the ids that TRL makes of a prompt: text as it is, messages through the chat template."""
    if isinstance(prompt, str):
        return tuple(tokenizer(text=prompt)["input_ids"])
    arguments = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, **template_args}
    return tuple(tokenizer.apply_chat_template(prompt, **arguments)["input_ids"])


def question(prompt: Prompt, where: str) -> str:
    """The text of a prompt, or of its last message; InputError if that is not text alone."""
    content = prompt if isinstance(prompt, str) else prompt[-1].get("content")
    if isinstance(content, list):
        content = "".join(block.get("text") or "" for block in content if block.get("type") == "text")
    if not isinstance(content, str) or not content.strip():
        raise InputError(
            f"{where}: the prompt's last message has no text, and only text is supported; remove the row"
        )
    return content


def _indexable(name: str, dataset: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(dataset, Dataset):
        raise InputError(f"{name}: is streamed, and the answer of a prompt is looked up; give a Dataset")
    if taken := {"image", "images"} & set(dataset.column_names):
        raise InputError(f"{name}: has a column '{min(taken)}', and only text is supported; remove it")
    return cast(Iterable[Mapping[str, Any]], dataset)


def _answer(row: Mapping[str, Any], column: str, where: str) -> str:
    if column not in row:
        raise InputError(f"{where}: has no column '{column}', only {', '.join(row)}; set answer_column")
    value = row[column]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)  # data frames turn whole numbers into floats
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise InputError(f"{where}: answer '{column}' is {value!r:.40}; give a string or a number")
    return str(value)


def _key(prompt: Prompt) -> bytes:
    text = json.dumps(prompt, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
