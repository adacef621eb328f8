"""A value model held against what runs counted of other problems, and against labelled solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from gpo.files import JsonError, parse_json, read_text
from gpo.protocols import Policy, ValueModel
from gpo.rates import Rate, rate
from gpo.record import Json, read_lines
from gpo.record.lines import CurveLine
from gpo.seeds import json_digest
from gpo.types import InputError, Problem, State
from gpo.values.proposal import proposal
from gpo.values.rows import Counted, curve_of
from gpo.values.scores import States, first_errors, scores

MAX_BYTES = 1 << 28


def unseen(counted: Sequence[Counted], learned: Sequence[str], runs: str) -> list[Counted]:
    """What was counted of problems that the model did not learn from; InputError where none is left."""
    known = set(learned)
    found = [one for one in counted if json_digest(one.problem.question) not in known]
    if not found:
        raise InputError(f"--run {runs}: all of its problems were learned from; give a run on others")
    return found


def of_counts(values: ValueModel, counted: Sequence[Counted]) -> Json:
    """Scores of the predicted values at all counted states."""
    places = {question: i for i, question in enumerate(sorted({one.problem.question for one in counted}))}
    predicted: list[float] = []
    wins: list[float] = []
    trials: list[float] = []
    problems: list[int] = []
    for one, curve in zip(counted, values.read([(one.start, one.ids) for one in counted]), strict=True):
        predicted += [curve[offset] for offset in one.offsets]
        wins += one.wins
        trials += one.trials
        problems += [places[one.problem.question]] * len(one.offsets)
    states = States(np.array(predicted), np.array(wins), np.array(trials), np.array(problems))
    figures = {name: asdict(one) for name, one in scores(states).items()}
    return {"problems": len(places), "states": len(predicted), "trials": float(sum(trials)), **figures}


def of_steps(values: ValueModel, policy: Policy, runs: Sequence[Path], learned: Sequence[str]) -> Json:
    """Mean |A| of the step at which the value changes most, over the largest, and the same of entropy's."""
    known, name = set(learned), proposal(values)
    found: dict[str, dict[str, list[float]]] = {"value": {}, "entropy": {}}
    for line in (line for run in runs for line in read_lines(run / "curves.jsonl", CurveLine)):
        curve = curve_of(line)
        if json_digest(line.question) in known or line.num_steps < 2 or None in line.advantages:
            continue
        sizes = np.abs(np.array(line.advantages, float))
        picks = {"value": name(policy, [curve])[0]}
        if line.proposal is not None and line.predicted is None:
            picks["entropy"] = [float(one or 0) for one in line.proposal]
        for kind, one in picks.items():
            share = float(sizes[int(np.argmax(one))] / max(sizes.max(), 1e-12)) if one else 0.0
            found[kind].setdefault(line.problem, []).append(share)
    return {kind: asdict(_mean(some)) for kind, some in found.items() if some}


def _mean(shares: dict[str, list[float]]) -> Rate:
    return rate([sum(some) / len(some) for some in shares.values()])


def of_labels(values: ValueModel, policy: Policy, path: Path) -> Json:
    """First-error accuracy on rows of ProcessBench's form: `problem`, `steps` and `label`."""
    rows = labelled_rows(path)
    given, bounds = [], []
    for row in rows:
        parts = [policy.tokenizer.encode(step + "\n\n") for step in row["steps"]]
        bounds.append([*accumulate(map(len, parts))])
        problem = Problem(row["problem"], policy.prompt_ids(row["problem"]), "")
        given.append((State(problem), tuple(one for part in parts for one in part)))
    after = [[curve[b] for b in some] for curve, some in zip(values.read(given), bounds, strict=True)]
    names = {question: i for i, question in enumerate(sorted({row["problem"] for row in rows}))}
    found = first_errors(after, [row["label"] for row in rows], [names[row["problem"]] for row in rows])
    num_wrong = sum(row["label"] >= 0 for row in rows)
    return {"rows": len(rows), "wrong_rows": num_wrong, **{k: asdict(one) for k, one in found.items()}}


def labelled_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the file; InputError names the first row and field that is wrong."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(read_text(path, f"--data {path}", MAX_BYTES).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = parse_json(text)
        except JsonError as error:
            raise InputError(f"--data {path}: row {number}: is not valid JSON ({error})") from None
        if wrong := _misfit(row):
            raise InputError(f"--data {path}: row {number}: {wrong}")
        rows.append(row)
    if len({row["problem"] for row in rows}) < 2:
        raise InputError(f"--data {path}: needs rows of at least two problems, as each half judges the other")
    return rows


def _misfit(row: Any) -> str | None:
    if not isinstance(row, dict):
        return "is not an object; give problem, steps and label"
    problem, steps, label = row.get("problem"), row.get("steps"), row.get("label")
    if not isinstance(problem, str) or not problem.strip():
        return "problem: is not text, or empty; give the question"
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) and s.strip() for s in steps):
        return "steps: is not a list of texts; give each step of the solution"
    if not isinstance(label, int) or isinstance(label, bool) or not -1 <= label < len(steps):
        return f"label: is {label!r}; give the first wrong step, counted from 0, or -1"
    return None
