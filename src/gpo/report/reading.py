"""Run folders read to be shown: every line checked, every fault named by file, row and field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpo.record import read_lines, stored_run
from gpo.record.lines import CurveLine, RolloutLine
from gpo.record.rounds import ProblemLine, RoundLine, SolvedLine
from gpo.record.run_json import check_shown
from gpo.report.figures import Run
from gpo.report.unjudged import counted
from gpo.types import InputError

LOCATING = ("locate", "train")
"""Commands whose runs hold located trajectories; a demo is a training run, and pairs hold a located one."""


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs at these folders, with short names that differ; InputError if they cannot be compared."""
    names = [path.resolve() for path in paths]
    for i, path in enumerate(names):
        if path in names[:i]:
            raise InputError(f"{paths[i]}: is named twice; name it once, or another run beside it")
    found = [read_run(path) for path in paths]
    for run in found[1:]:
        if run.source != found[0].source:
            raise InputError(
                f"{run.path}: is of {run.source}, and {found[0].path} of {found[0].source}; runs on other "
                "problems cannot be compared"
            )
    return found if len(found) == 1 else [_named(run, found) for run in found]


def _named(run: Run, runs: Sequence[Run]) -> Run:
    """The run by the last parts of its path that no other run shares."""
    parts = run.path.resolve().parts
    for num in range(1, len(parts) + 1):
        name = "/".join(parts[-num:])
        if sum("/".join(other.path.resolve().parts[-num:]) == name for other in runs) == 1:
            break
    return Run(name, run.path, run.command, run.settings, run.rounds, run.curves)


def read_run(path: Path, *, may_be_empty: bool = False) -> Run:
    """The run at `path`; of `gpo pairs` the located run inside it. InputError if there is nothing to show."""
    run = stored_run(path)
    command, settings = run.command, run.settings
    if command == "pairs" and (path / "located" / "run.json").is_file():
        return read_run(path / "located", may_be_empty=may_be_empty)
    if command == "solve":
        raise InputError(
            f"{path}: is a run of `gpo solve`; `gpo report` makes a page of it alone, without --live"
        )
    if command not in LOCATING:
        raise InputError(f"{path}: is a run of `gpo {command}`, which locates nothing; see `gpo show`")
    check_shown(path, settings)
    rounds = tuple(read_lines(path / "rounds.jsonl", RoundLine)) or in_one(
        tuple(read_lines(path / "problems.jsonl", ProblemLine))
    )
    curves = tuple(read_lines(path / "curves.jsonl", CurveLine))
    if not rounds and not curves and not may_be_empty:
        raise InputError(
            f"{path}: this run of `gpo {command}` has nothing complete yet; wait, or continue with --resume"
        )
    return Run(path.resolve().name, path, command, settings, rounds, curves)


def is_solved(path: Path) -> bool:
    """Whether this is a run of `gpo solve`."""
    return stored_run(path).command == "solve"


def read_solved(path: Path, *, may_be_empty: bool = False) -> list[SolvedLine]:
    """The problems of a run of `gpo solve`, in their order; InputError if none is finished."""
    lines = sorted(read_lines(path / "problems.jsonl", SolvedLine), key=lambda line: line.place)
    if not lines and not may_be_empty:
        raise InputError(f"{path}: no problem of this run is finished yet; wait, or continue with --resume")
    return lines


def in_one(problems: Sequence[ProblemLine]) -> tuple[RoundLine, ...]:
    """The problems as one round; none if there are none."""
    if not problems:
        return ()
    tokens: Counter[str] = Counter()
    for line in problems:
        tokens.update(line.tokens)
    rates = tuple(rate for line in problems for rate in line.rates)
    no_signal = sum(line.no_signal for line in problems)
    missed = counted(line.model_dump() for line in problems)
    return (RoundLine(round=0, tokens=tokens, rates=rates, no_signal=no_signal, unjudged=missed),)


def rollouts(run: Run) -> Iterator[RolloutLine]:
    """The rollouts of a run, one after the other: there may be more than fit into memory."""
    return read_lines(run.path / "rollouts.jsonl", RolloutLine)
