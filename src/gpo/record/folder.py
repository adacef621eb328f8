"""A run's folder, open for one process at a time: what is written into it, and what a resume takes up."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from gpo import checksums
from gpo.record.checkpoints import Checkpoints
from gpo.record.files import Json, line_of, read_lines, write_json, write_lines
from gpo.record.rows import check_rows, rows_digest
from gpo.record.schema import CommittedLine, TrainedLine
from gpo.record.stored import FORMAT, Stored, check_places, stored_run
from gpo.record.torn import STREAMS, Leftovers, complete_size, cut_torn, leftovers, set_aside
from gpo.types import DataWarning, InputError, RunError

ROUNDS: Mapping[str, type[CommittedLine]] = {"train": TrainedLine}
"""Commands whose runs have rounds, and what a line of one is."""

ALONE = ("rollouts", "curves", "problems", "samples", "rows")
"""Files of lines that stand for themselves, where there are no rounds."""

opened: list[Path] = []
"""The run folders that this process has opened to write, in order: who ends early names the first."""


class RunFolder:
    """The folder of one run, open for one process at a time."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path, self._lock = path, lock
        opened.append(path)
        self._files: dict[str, IO[str]] = {}
        self._made: list[Path] | None = None
        """What was made for a new run, inside first."""
        self._waiting: list[Callable[[], None]] = []
        """Changes that are made before the first line is written, and not at all if that never comes."""
        self._has_begun = False
        self._named: set[Path] = set()
        """Checkpoints that a warning has named."""

    @staticmethod
    def check_new(path: Path, settings: Json) -> None:
        """Raises InputError unless `path` is free for a new run."""
        parent = next(folder for folder in (path, *path.absolute().parents) if os.path.exists(folder))
        if not parent.is_dir() or not os.access(parent, os.W_OK) or len(path.name) > 255:
            raise InputError(f"--output {path}: cannot be made in {parent}; choose another folder")
        if path.is_dir() and {file.name for file in path.iterdir()} <= {".lock"}:
            return  # a run that could not begin leaves its lock
        if (path / "run.json").is_file():
            raise InputError(f"--output {path}: {_difference(stored_run(path)['settings'], settings)}")
        if path.exists():
            raise InputError(f"--output {path}: exists and is no run of this program; choose another folder")

    @classmethod
    def create(cls, path: Path, command: str, settings: Json) -> RunFolder:
        """A new run at `path`, which must not hold anything yet."""
        cls.check_new(path, settings)
        made = [one for one in (path, *path.absolute().parents) if not one.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--output {path}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        folder = cls(path, _locked(path))
        folder._made = made
        rounds = {"has_rounds": False} if command in ROUNDS else {}
        run = {"command": command, "format": FORMAT, "settings": settings, "versions": versions(), **rounds}
        write_json(path / "run.json", run)
        return folder

    @classmethod
    def resume(cls, path: Path) -> RunFolder:
        """The run at `path`; what a torn round left is still in it until `discard_torn`."""
        cls.stored_settings(path)
        check_places(path)
        return cls(path, _locked(path))

    @staticmethod
    def stored_settings(path: Path, command: str | None = None) -> Json:
        """The settings that the run at `path` was started with, by `command` if one is named.

        InputError, too, for a setting that is asked of them and is not there.
        """
        run = stored_run(path)
        if command not in (None, run["command"]):
            raise InputError(
                f"{path}: is a run of `gpo {run['command']}`, not of `gpo {command}`; give one of those"
            )
        return Stored(path, run["settings"])

    def last_checkpoint(self) -> Path | None:
        """The state after the last complete round; None before the first. InputError if it is not there."""
        last = [line["round"] for line in self.rounds()][-1:]
        return Checkpoints(self.path).at(last[0]) if last and last[0] > 0 else None

    def take_up(
        self, settings: Json, fingerprint: Json, rows: Sequence[Json] | None = None
    ) -> dict[str, int]:
        """Goes on with the run by these settings; returns the lines discarded from each of STREAMS.

        The policy's fingerprint and the rows are noted on a new run. InputError, and nothing is changed, if
        they are others, or if what a killed run left cannot be told from what it had committed.
        """
        run = stored_run(self.path)
        self.check_same(fingerprint, rows)
        stored = run.get("fingerprint", fingerprint)
        found = self._leftovers() if run["command"] in ROUNDS else None
        new = {**run, "settings": settings, "fingerprint": stored}
        if rows is not None and "rows" not in run:  # a new run, or one of an older version
            self._waiting.append(partial(write_lines, self.path / "rows.jsonl", rows))
            new["rows"] = rows_digest(rows)
        if new != run:
            self._waiting.append(partial(write_json, self.path / "run.json", new))
        if found is None:
            return dict.fromkeys(STREAMS, 0)
        self._waiting.append(partial(set_aside, self.path, found))
        return {name: found.lines[name] for name in STREAMS}

    def check_same(self, fingerprint: Mapping[str, Any], rows: Sequence[Json] | None = None) -> None:
        """InputError if what is given of the policy's fingerprint, or the rows, is not the run's own."""
        run = stored_run(self.path)
        stored = run.get("fingerprint", fingerprint)
        for key, value in fingerprint.items():
            if stored.get(key) != value:
                raise InputError(
                    f"--resume {self.path}: was sampled by a model with other {key} "
                    f"({stored.get(key)!r} there, {value!r} here); name that model, or start a new run"
                )
        if rows is not None:
            check_rows(self.path, run, rows)

    def _begin(self) -> None:
        """Makes the changes that waited: from here on the run is another than it was."""
        self._has_begun = True
        while self._waiting:
            self._waiting.pop(0)()

    def rounds(self) -> list[Json]:
        """The lines of the complete rounds."""
        kind = ROUNDS.get(stored_run(self.path)["command"], CommittedLine)
        return list(read_lines(self.path / "rounds.jsonl", kind))

    def discard_torn(self) -> dict[str, int]:
        """Cuts every file back to the last complete round; returns the lines cut from each."""
        found = self._leftovers()
        set_aside(self.path, found)
        return {name: found.lines[name] for name in STREAMS}

    def _leftovers(self) -> Leftovers:
        is_young = stored_run(self.path).get("has_rounds") is False
        return leftovers(self.path, self.rounds(), is_young=is_young)

    def repair(self) -> dict[str, int]:
        """Moves torn last lines to discarded/; returns their bytes, by file."""
        torn = {}
        for path in (self.path / f"{name}.jsonl" for name in ALONE):
            size = path.stat().st_size if path.exists() else 0
            if size > complete_size(path):
                torn[path] = size - complete_size(path)
        if torn:
            self._waiting.append(partial(cut_torn, self.path, list(torn)))
        return {path.name: num for path, num in torn.items()}

    def write(self, stream: str, record: Json) -> None:
        """Appends one line and hands it to the operating system."""
        self._begin()
        if stream not in self._files:
            self._files[stream] = (self.path / f"{stream}.jsonl").open("a", encoding="utf-8")
        self._files[stream].write(line_of(record))
        self._files[stream].flush()

    def commit_round(self, record: Json) -> None:
        """Writes the line that makes a round complete, after all else of it is on disk."""
        self._begin()
        for file in self._files.values():
            os.fsync(file.fileno())
        files = {name: self.path / f"{name}.jsonl" for name in STREAMS}
        sizes = {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
        self.write("rounds", {**record, "sizes": sizes})
        os.fsync(self._files["rounds"].fileno())
        self._note_rounds()

    def _note_rounds(self) -> None:
        """From the first round on, a rounds.jsonl without a line means that it was lost."""
        run = stored_run(self.path)
        if run.get("has_rounds") is False:
            write_json(self.path / "run.json", {**run, "has_rounds": True})

    def new_checkpoint(self, num_rounds: int) -> AbstractContextManager[Path]:
        """An empty folder to write a checkpoint into, which is moved into its place once it is whole."""
        self._begin()
        return Checkpoints(self.path).new(num_rounds)

    def prune_checkpoints(self, keep: int) -> None:
        """Drops all but the last `keep`; only after the commit, for until then the one before is needed."""
        self.warn_of(Checkpoints(self.path).prune((line["round"] for line in self.rounds()), keep))

    def warn_of(self, checkpoints: Iterable[Path]) -> None:
        """A DataWarning, once in a process, for each old checkpoint that stays since it is not all ours."""
        for one in checkpoints:
            if one not in self._named:
                note = "holds more than the run wrote, so it stays; remove it if you do not need it"
                warnings.warn(f"{one}: {note}", DataWarning, stacklevel=3)
                self._named.add(one)

    def save(self, name: str, write: Callable[[Path], None]) -> None:
        """What `write` puts into the folder that it is given, in the folder `name` of the run.

        It is written elsewhere first, so that a kill leaves what was there, and no link there is followed.
        """
        self._begin()
        with checksums.new_part(self.path, name) as part:
            write(part)
            checksums.drop_torn(self.path, name, part)
            for file in sorted(path for path in part.rglob("*") if path.is_file()):
                place = self.path / name / file.relative_to(part)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
            shutil.rmtree(part)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        """Ends the run. Bad input leaves everything as it was; once lines are written it is a RunError."""
        if error is None:
            self._begin()
        is_left = self._has_begun or (self._made is not None and not self._undone(error))
        self.close()
        if isinstance(error, InputError) and is_left:
            raise RunError(f"{error} (what is complete stays in {self.path})") from error

    def _undone(self, error: BaseException | None) -> bool:
        """Whether all that was made for a new run is gone again, as bad input should leave nothing."""
        run = {"run.json", ".lock"}
        if not isinstance(error, InputError) or set(os.listdir(self.path)) != run:
            return False
        for name in run:
            (self.path / name).unlink()
        for folder in self._made or ():
            folder.rmdir()
        return True


class SilentFolder(RunFolder):
    """A run as the other processes of it see it: what is there is read, and nothing is written."""

    def __init__(self, path: Path) -> None:
        self.path, self._has_begun, self._made, self._waiting = path, False, None, []
        self._lines = list(read_lines(path / "rounds.jsonl", CommittedLine))

    def rounds(self) -> list[Json]:
        return list(self._lines)

    def commit_round(self, record: Json) -> None:
        self._lines.append(record)

    def new_checkpoint(self, num_rounds: int) -> AbstractContextManager[Path]:  # noqa: ARG002
        return nullcontext(self.path)

    def take_up(
        self,
        settings: Json,  # noqa: ARG002
        fingerprint: Json,  # noqa: ARG002
        rows: Sequence[Json] | None = None,  # noqa: ARG002
    ) -> dict[str, int]:
        return dict.fromkeys(STREAMS, 0)

    def check_same(self, fingerprint: Mapping[str, Any], rows: Sequence[Json] | None = None) -> None:
        pass

    def write(self, stream: str, record: Json) -> None:
        pass

    def prune_checkpoints(self, keep: int) -> None:
        pass

    def close(self) -> None:
        pass


def is_running(path: Path) -> bool:
    """Whether a process writes the run at `path`: it holds the lock, which is asked for here for a moment."""
    file = path / ".lock"
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except (Timeout, PermissionError):  # of a run that is another user's it cannot be told
        return True
    lock.release()
    return False


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    found = {}
    for name in ("gpo", "torch", "transformers", "reasoning-gym", "mpmath", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _locked(path: Path) -> FileLock:
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, Timeout):
            raise InputError(
                f"{path}: another process is writing this run; wait for it, or choose another folder"
            ) from None
        raise InputError(
            f"{path}/.lock: cannot be locked ({error}); make the folder writable, on a disk with file locks"
        ) from None
    return lock


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why a folder that holds a run cannot take a new one."""
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if not changed:
        return "already holds this run; go on with it by --resume, or choose another folder"
    key = changed[0]
    return (
        f"belongs to a run with other settings ({key}: {old.get(key)!r} there, {new.get(key)!r} here); "
        "choose another folder"
    )
