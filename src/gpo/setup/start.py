"""How every run begins: all that can be wrong without weights is read and checked before they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gpo import proposals
from gpo.command_settings import SweepSettings
from gpo.protocols import Verifier
from gpo.record import Json, RunFolder, SilentFolder, row_lines
from gpo.record.new import check_new
from gpo.record.outputs import check_folder
from gpo.record.rows import RowLine
from gpo.setup.data import load_problems, load_verifier
from gpo.setup.engine import load_asking
from gpo.types import Problem

if TYPE_CHECKING:
    from gpo.policies.described import DescribedPolicy


class Parts(Protocol):
    """What a run is made of, weights aside."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """The policy's fingerprint, as far as it is known without its weights."""
        ...

    @property
    def rows(self) -> Sequence[RowLine] | None:
        """The rows by their content; None if they are read while the run works."""
        ...


@dataclass(frozen=True)
class Asked:
    """Problems as the model will be asked them, and their verifier: what sampling needs beside weights."""

    asking: DescribedPolicy
    verifier: Verifier
    problems: Sequence[Problem]

    @property
    def fingerprint(self) -> dict[str, Any]:
        return self.asking.fingerprint

    @property
    def rows(self) -> list[RowLine]:
        return row_lines(self.problems)


def asked(settings: SweepSettings) -> Asked:
    """The problems that the settings name; InputError for all that can be wrong with them."""
    verifier, asking = load_verifier(settings), load_asking(settings)
    problems = load_problems(settings, asking, verifier, split=settings.split, seed=settings.seed)
    proposals.try_out(getattr(settings, "proposal", None), problems[0])
    return Asked(asking, verifier, problems)


P = TypeVar("P", bound=Parts)
E = TypeVar("E")


@contextmanager
def begun(
    command: str,
    path: Path,
    stored: Json,
    *,
    is_resumed: bool,
    prepare: Callable[[RunFolder | None], P],
    load: Callable[[P], AbstractContextManager[E]],
    is_first: bool = True,
) -> Iterator[tuple[RunFolder, P, E]]:
    """A run's folder, with what `prepare` read and what `load` loaded for it, in the order of every command.

    First `prepare`, which loads no weights and is given the folder of a run that goes on; then those of its
    rows and prompts that the run began with; then `load`; and a new folder last, so that nothing is left of a
    run that was refused. `is_first` is false for all but one of several processes, which write nothing.
    """
    if is_first and not is_resumed:
        check_new(path, stored)
    with ExitStack() as stack:
        folder = None
        if is_resumed:
            folder = stack.enter_context(RunFolder.resume(path) if is_first else SilentFolder(path))
        parts = prepare(folder)
        if folder:
            folder.check_same(parts.fingerprint, parts.rows)
        loaded = stack.enter_context(load(parts))
        if folder is None:
            made = RunFolder.create(path, command, stored) if is_first else SilentFolder(path)
            folder = stack.enter_context(made)
        yield folder, parts, loaded


def output_folder(output: str | None, command: str, seed: int) -> Path:
    """The folder that was asked for, else the first of runs/COMMAND-SEED, -2, -3, ... that is free."""
    if output is not None:
        check_folder(Path(output))
        return Path(output)
    names = (f"{command}-{seed}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 10_000))))
    return next(path for path in (Path("runs", name) for name in names) if not path.exists())
