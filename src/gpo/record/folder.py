"""A run's folder, open for one process at a time: what is written into it, and what a resume takes up."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from gpo import checksums
from gpo.record.base import Json, Line
from gpo.record.checkpoints import Checkpoints
from gpo.record.files import line_of, read_lines, write_as, write_lines
from gpo.record.new import check_new, locked, versions
from gpo.record.rounds import TrainedLine
from gpo.record.rows import RowLine, check_rows, rows_digest
from gpo.record.run_json import FORMAT, RunFile, check_places, stored_run
from gpo.record.torn import STREAMS, Leftovers, complete_size, cut_torn, leftovers, set_aside
from gpo.types import DataWarning, InputError, RunError

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

    @classmethod
    def create(cls, path: Path, command: str, settings: Json) -> RunFolder:
        """A new run at `path`, which must not hold anything yet."""
        check_new(path, settings)
        made = [one for one in (path, *path.absolute().parents) if not one.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--output {path}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        folder = cls(path, locked(path))
        folder._made = made
        rounds = {"has_rounds": False} if command == "train" else {}
        about = {"command": command, "format": FORMAT, "settings": settings, "versions": versions()}
        write_as(path / "run.json", RunFile.made(about | rounds))
        return folder

    @classmethod
    def resume(cls, path: Path) -> RunFolder:
        """The run at `path`; what a torn round left is still in it until `discard_torn`."""
        stored_run(path)
        check_places(path)
        return cls(path, locked(path))

    def last_checkpoint(self) -> Path | None:
        """The state after the last complete round; None before the first. InputError if it is not there."""
        last = [line["round"] for line in self.rounds()][-1:]
        return Checkpoints(self.path).at(last[0]) if last and last[0] > 0 else None

    def take_up(
        self, settings: Json, fingerprint: Json, rows: Sequence[RowLine] | None = None
    ) -> dict[str, int]:
        """Goes on with the run by these settings; returns the lines discarded from each of STREAMS.

        The policy's fingerprint and the rows are noted on a new run. InputError, and nothing is changed, if
        they are others, or if what a killed run left cannot be told from what it had committed.
        """
        run = stored_run(self.path)
        self.check_same(fingerprint, rows)
        found = self._leftovers() if run.command == "train" else None
        new = {**run.record(), "settings": settings, "fingerprint": run.fingerprint or fingerprint}
        if rows is not None and run.rows is None:  # a new run, or one of an older version
            self._waiting.append(partial(write_lines, self.path / "rows.jsonl", rows))
            new["rows"] = rows_digest(rows)
        if new != run.record():
            self._waiting.append(partial(write_as, self.path / "run.json", RunFile.made(new)))
        if found is None:
            return dict.fromkeys(STREAMS, 0)
        self._waiting.append(partial(set_aside, self.path, found))
        return {name: found.lines[name] for name in STREAMS}

    def check_same(self, fingerprint: Mapping[str, Any], rows: Sequence[RowLine] | None = None) -> None:
        """InputError if what is given of the policy's fingerprint, or the rows, is not the run's own."""
        run = stored_run(self.path)
        stored = run.fingerprint or fingerprint
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
        return [line.record() for line in read_lines(self.path / "rounds.jsonl", TrainedLine)]

    def discard_torn(self) -> dict[str, int]:
        """Cuts every file back to the last complete round; returns the lines cut from each."""
        found = self._leftovers()
        set_aside(self.path, found)
        return {name: found.lines[name] for name in STREAMS}

    def _leftovers(self) -> Leftovers:
        is_young = stored_run(self.path).has_rounds is False
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

    def write(self, stream: str, line: Line) -> None:
        """Appends one line and hands it to the operating system."""
        self._begin()
        if stream not in self._files:
            self._files[stream] = (self.path / f"{stream}.jsonl").open("a", encoding="utf-8")
        self._files[stream].write(line_of(line))
        self._files[stream].flush()

    def commit_round(self, record: Json) -> None:
        """Writes the line that makes a round complete, after all else of it is on disk."""
        self._begin()
        for file in self._files.values():
            os.fsync(file.fileno())
        files = {name: self.path / f"{name}.jsonl" for name in STREAMS}
        sizes = {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
        self.write("rounds", TrainedLine.made({**record, "sizes": sizes}))
        os.fsync(self._files["rounds"].fileno())
        self._note_rounds()

    def _note_rounds(self) -> None:
        """From the first round on, a rounds.jsonl without a line means that it was lost."""
        run = stored_run(self.path)
        if run.has_rounds is False:
            write_as(self.path / "run.json", run.model_copy(update={"has_rounds": True}))

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
