"""A run's folder: one JSON line per rollout, curve and round, written as they come; resume.

    run.json             settings, seed and versions
    rollouts.jsonl       every rollout that was sampled, with the round and purpose it was sampled for
    curves.jsonl         every located trajectory: its steps, counts and critical step
    rounds.jsonl         one line per complete round: metrics, token ledger, where the others stood
    problems.jsonl       of `gpo sample` and `gpo locate`, which have no rounds: one line per finished problem
    checkpoints/NNNN/    the model after NNNN rounds, and the optimizer's state

A line of rounds.jsonl commits its round: it is written last, after the checkpoint, and holds the
sizes of the other files. What lies beyond those sizes is of a round that was torn; resuming counts
and discards it, and the round is sampled anew from the same seed. Where there are no rounds every line
stands for itself: nothing but a torn last line is ever cut, and a rollout that is there is not sampled again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from gpo.types import CriticalStep, InputError, Problem, Rollout, State, Tokenizer, ValueCurve

Json = dict[str, Any]

STREAMS = ("rollouts", "curves")
"""The files that a round line commits."""

REQUIRED = {
    "problems.jsonl": {"problem", "place", "rates", "tokens"},
    "rounds.jsonl": {"round", "tokens", "sizes"},
    "curves.jsonl": {"steps", "successes", "trials", "critical", "values", "advantages", "intervals"},
}
"""Keys without which a line of these files is not one of ours."""


def rollout_record(rollout: Rollout, **labels: Any) -> Json:
    """The JSON line of a rollout; `labels` are its round and purpose."""
    return {
        **labels,
        "problem": rollout.state.problem.id,
        "question": rollout.state.problem.question,
        "answer": rollout.state.problem.answer,
        "prompt_ids": rollout.state.problem.prompt_ids,
        "prefix_ids": rollout.state.prefix_ids,
        "action_ids": rollout.action_ids,
        "logprobs": [round(x, 6) for x in rollout.logprobs],
        "entropies": [round(x, 6) for x in rollout.entropies],
        "text": rollout.text,
        "finished": rollout.finished,
        "reward": rollout.reward,
        "policy_version": rollout.policy_version,
    }


def rollout_of(record: Json) -> Rollout:
    """The rollout of a line that `rollout_record` wrote; its problem has no task and no other columns."""
    problem = Problem(
        record["problem"], tuple(record["prompt_ids"]), record["answer"], "", record.get("question", "")
    )
    return Rollout(
        state=State(problem, tuple(record["prefix_ids"])),
        action_ids=tuple(record["action_ids"]),
        logprobs=tuple(math.nan if x is None else x for x in record["logprobs"]),
        entropies=tuple(record["entropies"]),
        text=record["text"],
        finished=record["finished"],
        reward=record["reward"],
        policy_version=record["policy_version"],
    )


def curve_record(
    curve: ValueCurve,
    critical: CriticalStep | None,
    estimate: Mapping[str, Any],
    tokenizer: Tokenizer,
    **labels: Any,
) -> Json:
    """The JSON line of a located trajectory; `estimate` has its values, advantages and intervals."""
    rollout = curve.rollout
    if rollout is None:
        raise ValueError("a curve is recorded with the rollout it belongs to")
    ids = rollout.completion_ids
    return {
        **labels,
        "problem": rollout.state.problem.id,
        "question": rollout.state.problem.question,
        "answer": rollout.state.problem.answer,
        "prompt_ids": rollout.state.problem.prompt_ids,
        "completion_ids": ids,
        "reward": rollout.reward,
        "finished": rollout.finished,
        "given": tokenizer.decode(ids[: curve.bounds[0]]),
        "steps": [tokenizer.decode(ids[a:b]) for a, b in zip(curve.bounds, curve.bounds[1:], strict=False)],
        "bounds": curve.bounds,
        "successes": curve.successes,
        "trials": curve.trials,
        **estimate,
        "critical": asdict(critical) if critical else None,
    }


class RunFolder:
    """The folder of one run, open for one process at a time."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path, self._lock = path, lock
        self._files: dict[str, IO[str]] = {}

    @staticmethod
    def check_new(path: Path, settings: Json) -> None:
        """Raises InputError unless `path` is free for a new run."""
        parent = next(folder for folder in (path, *path.absolute().parents) if os.path.exists(folder))
        if not parent.is_dir() or not os.access(parent, os.W_OK) or len(path.name) > 255:
            raise InputError(f"--output {path}: cannot be made in {parent}; choose another folder")
        if path.is_dir() and not any(path.iterdir()):
            return
        if (path / "run.json").is_file():
            raise InputError(f"--output {path}: {_difference(RunFolder.stored_settings(path), settings)}")
        if path.exists():
            raise InputError(f"--output {path}: exists and is no run of this program; choose another folder")

    @classmethod
    def create(cls, path: Path, command: str, settings: Json) -> RunFolder:
        """A new run at `path`, which must not hold anything yet."""
        cls.check_new(path, settings)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--output {path}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        folder = cls(path, _locked(path))
        write_json(path / "run.json", {"command": command, "settings": settings, "versions": versions()})
        return folder

    @classmethod
    def resume(cls, path: Path) -> RunFolder:
        """The run at `path`; what a torn round left is still in it until `discard_torn`."""
        cls.stored_settings(path)
        return cls(path, _locked(path))

    @staticmethod
    def stored_settings(path: Path, command: str | None = None) -> Json:
        """The settings that the run at `path` was started with, by `command` if one is named."""
        if not (path / "run.json").is_file():
            raise InputError(
                f"{path}: holds no run.json, so it is no run folder; give one that --output named"
            )
        run = read_json(path / "run.json")
        if not isinstance(run, dict) or not {"command", "settings"} <= run.keys():
            raise InputError(
                f"{path}/run.json: is not what a run writes, so it was damaged since; restore it or "
                "start a new run"
            )
        if command not in (None, run["command"]):
            raise InputError(
                f"{path}: is a run of `gpo {run['command']}`, not of `gpo {command}`; give one of those"
            )
        settings: Json = run["settings"]
        return settings

    def last_checkpoint(self) -> Path | None:
        """The state after the last complete round; None before the first."""
        last = [line["round"] for line in self.rounds()][-1:]
        return self.path / "checkpoints" / f"{last[0]:04d}" if last and last[0] > 0 else None

    def extend(self, settings: Json) -> None:
        """Takes over settings that were changed on resuming, so that the next resume knows them."""
        path = self.path / "run.json"
        write_json(path, {**read_json(path), "settings": settings})

    def belongs_to(self, fingerprint: Json) -> None:
        """Notes the policy's fingerprint on a new run; on a resumed one, InputError if it is another's."""
        run = read_json(self.path / "run.json")
        stored = run.setdefault("fingerprint", fingerprint)
        for key, value in fingerprint.items():
            if stored.get(key) != value:
                raise InputError(
                    f"--resume {self.path}: was sampled by a model with other {key} "
                    f"({stored.get(key)!r} there, {value!r} here); name that model, or start a new run"
                )
        write_json(self.path / "run.json", run)

    def rounds(self) -> list[Json]:
        """The lines of the complete rounds."""
        return list(read_lines(self.path / "rounds.jsonl"))

    def discard_torn(self) -> dict[str, int]:
        """Cuts every file back to the last complete round; returns the lines cut from each."""
        rounds = self.rounds()
        sizes = rounds[-1]["sizes"] if rounds else dict.fromkeys(STREAMS, 0)
        cut = {name: _truncate(self.path / f"{name}.jsonl", sizes[name]) for name in STREAMS}
        _truncate(self.path / "rounds.jsonl", _complete_size(self.path / "rounds.jsonl"))
        last = rounds[-1]["round"] if rounds else 0
        for folder in (self.path / "checkpoints").glob("*"):
            if not folder.name.isdigit() or int(folder.name) > last:
                shutil.rmtree(folder)
        return cut

    def repair(self) -> dict[str, int]:
        """Cuts a torn last line off every file of lines; returns the bytes cut, where there were any."""
        cut = {}
        for path in sorted(self.path.glob("*.jsonl")):
            size, whole = path.stat().st_size, _complete_size(path)
            if size > whole:
                os.truncate(path, whole)
                cut[path.name] = size - whole
        return cut

    def write(self, stream: str, record: Json) -> None:
        """Appends one line and hands it to the operating system."""
        if stream not in self._files:
            self._files[stream] = (self.path / f"{stream}.jsonl").open("a", encoding="utf-8")
        self._files[stream].write(_line(record))
        self._files[stream].flush()

    def commit_round(self, record: Json) -> None:
        """Writes the line that makes a round complete, after all else of it is on disk."""
        for file in self._files.values():
            os.fsync(file.fileno())
        files = {name: self.path / f"{name}.jsonl" for name in STREAMS}
        sizes = {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
        self.write("rounds", {**record, "sizes": sizes})
        os.fsync(self._files["rounds"].fileno())

    def new_checkpoint(self) -> Path:
        """An empty folder to write a checkpoint into."""
        part = self.path / "checkpoints" / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        return part

    def finish_checkpoint(self, part: Path, num_rounds: int) -> None:
        """Moves a whole checkpoint into its place; the round that it belongs to is committed next."""
        os.replace(part, self.path / "checkpoints" / f"{num_rounds:04d}")

    def prune_checkpoints(self, keep: int) -> None:
        """Drops all but the last `keep`; only after the commit, for until then the one before is needed."""
        found = sorted((self.path / "checkpoints").iterdir(), key=lambda folder: int(folder.name))
        for folder in found[:-keep]:
            shutil.rmtree(folder)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SilentFolder(RunFolder):
    """A run as the other processes of it see it: what is there is read, and nothing is written."""

    def __init__(self, path: Path) -> None:
        self.path, self._lines = path, list(read_lines(path / "rounds.jsonl"))

    def rounds(self) -> list[Json]:
        return list(self._lines)

    def commit_round(self, record: Json) -> None:
        self._lines.append(record)

    def new_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "part"

    def discard_torn(self) -> dict[str, int]:
        return dict.fromkeys(STREAMS, 0)

    def extend(self, settings: Json) -> None:
        pass

    def belongs_to(self, fingerprint: Json) -> None:
        pass

    def write(self, stream: str, record: Json) -> None:
        pass

    def finish_checkpoint(self, part: Path, num_rounds: int) -> None:
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
    for name in ("gpo", "torch", "transformers", "reasoning-gym", "math-verify", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def read_json(path: Path) -> Json:
    try:
        content: Json = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); restore it or start a new run") from None
    return content


def write_json(path: Path, content: Json) -> None:
    """Writes the file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(finite(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def write_lines(path: Path, records: Iterable[Json]) -> None:
    """Writes a JSONL file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(map(_line, records))
    os.replace(part, path)


def read_lines(path: Path) -> Iterator[Json]:
    """The records of a JSONL file; a last line without its end was torn and is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{path}: row {number}: is not valid JSON ({error}); restore it or start a new run"
                ) from None
            missing = REQUIRED.get(path.name, set()) - record.keys() if isinstance(record, dict) else {"keys"}
            if missing:
                raise InputError(
                    f"{path}: row {number}: is not what a run writes (it has no {min(missing)}), so it was "
                    "damaged since; restore it or start a new run"
                )
            yield record


def finite(content: Any) -> Any:
    """The same content with None for nan and infinity, which JSON does not know."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def _line(record: Json) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"


def _complete_size(path: Path) -> int:
    """Bytes up to and including the last line end; read from the end, for the file may be large."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65_536)
            file.seek(start)
            if (place := file.read(end - start).rfind(b"\n")) >= 0:
                return start + place + 1
            end = start
    return 0


def _truncate(path: Path, size: int) -> int:
    """Cuts the file to `size` bytes; returns how many lines, whole or torn, that removed."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise InputError(
            f"{path}: has {found} bytes where the run wrote {size}, so it was damaged since; restore it "
            "or start a new run"
        )
    if found == 0:
        return 0
    with path.open("rb+") as file:
        file.seek(size)
        beyond = file.read()
        file.truncate(size)
    return beyond.count(b"\n") + bool(beyond and not beyond.endswith(b"\n"))


def _locked(path: Path) -> FileLock:
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{path}: another process is writing this run; wait for it, or choose another folder"
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
