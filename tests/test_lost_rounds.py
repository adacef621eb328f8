"""Resuming removes only what a committed round proves to be newer, and only what the run wrote."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from reported import Numbered

from gpo.cli import main
from gpo.record import RunFolder
from gpo.types import InputError

SMALL = ["--task", "chain_sum", "--max-tokens", "96"]
TRAIN = [*SMALL, "--min-step-tokens", "1", "--size", "64", "--problems-per-round", "4", "--group-size", "4"]
TRAIN += [
    "--recipe",
    "search",
    "--values",
    "2",
    "--max-located",
    "2",
    "--eval-problems",
    "4",
    "--eval-every",
    "0",
    "--rounds",
    "2",
]


def contents(folder: Path) -> dict[str, str]:
    """Every file below the folder but the lock, by a digest; folders and links by what they are."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.name != ".lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def refused(capsys, *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    main(["train", *TRAIN, "--output", str(folder / "train")])
    return folder


def copied(runs: Path, tmp_path: Path, command: str) -> Path:
    return Path(shutil.copytree(runs / command, tmp_path / command, symlinks=True))


def rounds_without(lines: list[bytes], how: str) -> bytes | None:
    return {
        "missing": None,
        "empty": b"",
        "torn in line one": lines[0][:-20],
        "line one without its end": lines[0][:-1],
        "only the first line": lines[0],
        "blank": b"\n",
        "zeros": bytes(len(lines[0])),
        "of another run": json.dumps(
            {"round": 1, "tokens": {}, "metrics": {}, "sizes": {"rollouts": 9, "curves": 4}}
        ).encode()
        + b"\n",
        "larger than the files": json.dumps(
            {"round": 2, "tokens": {}, "metrics": {}, "sizes": {"rollouts": 10**9, "curves": 0}}
        ).encode()
        + b"\n",
    }[how]


LOST = ["missing", "empty", "torn in line one", "line one without its end", "blank", "zeros"]
LOST += ["of another run", "larger than the files"]


@pytest.mark.parametrize("how", [*LOST, "only the first line"])
def test_a_run_whose_rounds_were_lost_is_refused_and_left_as_it_is(runs, tmp_path, capsys, how) -> None:
    run = copied(runs, tmp_path, "train")
    file = run / "rounds.jsonl"
    content = rounds_without(file.read_bytes().splitlines(keepends=True), how)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    before = contents(run)
    error = refused(capsys, "train", "--resume", str(run))
    assert str(run) in error
    assert contents(run) == before


def test_a_run_written_before_rounds_were_noted_is_refused_too(runs, tmp_path, capsys) -> None:
    run = copied(runs, tmp_path, "train")
    (run / "rounds.jsonl").unlink()
    about = json.loads((run / "run.json").read_text())
    del about["has_rounds"], about["format"]
    (run / "run.json").write_text(json.dumps(about))
    before = contents(run)
    assert "rounds.jsonl: holds no complete round, but rollouts.jsonl is there" in refused(
        capsys, "train", "--resume", str(run)
    )
    assert contents(run) == before


def test_a_run_killed_before_its_first_round_was_committed_goes_on(tmp_path) -> None:
    tail = b'{"round": 0}\n{"round": 0, "prob'
    RunFolder.create(tmp_path / "run", "train", {}).close()
    (tmp_path / "run/rollouts.jsonl").write_bytes(tail)
    with RunFolder.resume(tmp_path / "run") as folder:
        assert folder.take_up({}, {}) == {"rollouts": 2, "curves": 0}
    assert (tmp_path / "run/discarded/1/rollouts.jsonl").read_bytes() == tail
    assert (tmp_path / "run/rollouts.jsonl").read_bytes() == b""


FOREIGN = ("best", "0003.bak", "notes.txt", "00003", "³", "-001", "backup 1", "0001.safetensors")


def test_foreign_names_among_the_checkpoints_stay(runs, tmp_path) -> None:
    run = copied(runs, tmp_path, "train")
    checkpoints = run / "checkpoints"
    for name in FOREIGN:
        if "." in name:
            (checkpoints / name).write_text("mine")
        else:
            (checkpoints / name).mkdir()
            (checkpoints / name / "thesis.tex").write_text("mine")
    (checkpoints / "0001" / "notes.txt").write_text("mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (checkpoints / "elsewhere").symlink_to(outside)
    main(["train", "--resume", str(run), "--rounds", "4"])
    names = {path.name for path in checkpoints.iterdir()}
    assert names == {*FOREIGN, "elsewhere", "0001", "0003", "0004"}
    assert (checkpoints / "0001" / "notes.txt").read_text() == "mine"
    assert (outside / "precious").read_text() == "mine"


def write_checkpoint(folder: RunFolder, index: int) -> None:
    with folder.new_checkpoint(index) as part:
        (part / "model").mkdir()
        (part / "model" / "model.safetensors").write_bytes(b"weights")


def train_run(path: Path, num: int) -> Path:
    with RunFolder.create(path, "train", {}) as folder:
        folder.commit_round({"round": 0, "tokens": {}, "metrics": {}})
        for index in range(1, num + 1):
            folder.write("rollouts", Numbered(round=index))
            write_checkpoint(folder, index)
            folder.commit_round({"round": index, "tokens": {}, "metrics": {}})
    return path


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_link(path: Path) -> None:
    path.symlink_to(path.parent)


def a_folder_of_mine(path: Path) -> None:
    path.mkdir()
    a_file(path / "thesis.tex")


def an_empty_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("name", ["0003", "0004", "0009", "12345"])
@pytest.mark.parametrize("made", [a_file, a_link, a_folder_of_mine, an_empty_folder])
def test_what_has_the_name_of_a_newer_checkpoint_is_refused(tmp_path, name, made) -> None:
    run = train_run(tmp_path / "run", 2)
    made(run / "checkpoints" / name)
    before = contents(run)
    error = f"checkpoints/{name}: is not of this run's next round"
    with RunFolder.resume(run) as folder, pytest.raises(InputError, match=error):
        folder.discard_torn()
    assert contents(run) == before


def test_a_newer_checkpoint_is_kept_where_that_of_the_last_round_is_missing(tmp_path) -> None:
    run = train_run(tmp_path / "run", 3)
    lines = (run / "rounds.jsonl").read_bytes().splitlines(keepends=True)
    (run / "rounds.jsonl").write_bytes(b"".join(lines[:-1]))
    shutil.rmtree(run / "checkpoints" / "0002")
    before = contents(run)
    with (
        RunFolder.resume(run) as folder,
        pytest.raises(InputError, match="checkpoints/0002: is not there or has no model"),
    ):
        folder.discard_torn()
    assert contents(run) == before


def test_a_committed_round_without_its_checkpoint_is_refused(runs, tmp_path, capsys) -> None:
    run = copied(runs, tmp_path, "train")
    shutil.rmtree(run / "checkpoints" / "0002")
    before = contents(run)
    error = refused(capsys, "train", "--resume", str(run), "--rounds", "3")
    assert "checkpoints/0002: is not there or has no model" in error
    assert contents(run) == before


def test_lines_of_a_round_that_is_not_the_next_are_refused(tmp_path) -> None:
    run = train_run(tmp_path / "run", 4)
    lines = (run / "rounds.jsonl").read_bytes().splitlines(keepends=True)
    (run / "rounds.jsonl").write_bytes(b"".join(lines[:3]))
    before = contents(run)
    with (
        RunFolder.resume(run) as folder,
        pytest.raises(InputError, match=r"rollouts\.jsonl: has lines of round 4 beyond"),
    ):
        folder.discard_torn()
    assert contents(run) == before


def test_only_files_of_the_run_are_repaired(tmp_path) -> None:
    with RunFolder.create(tmp_path / "run", "locate", {}) as folder:
        folder.write("rollouts", Numbered(round=0))
        for name in ("rollouts.jsonl", "notes.jsonl", "mine.txt"):
            with (tmp_path / "run" / name).open("a") as file:
                file.write('{"no": "end"')
        assert folder.repair() == {"rollouts.jsonl": 12}
    assert (tmp_path / "run" / "notes.jsonl").read_text() == '{"no": "end"'
    assert (tmp_path / "run" / "discarded" / "1" / "rollouts.jsonl").read_text() == '{"no": "end"'


def test_a_run_copied_while_it_was_locked_can_be_resumed(tmp_path) -> None:
    run = train_run(tmp_path / "run", 1)
    with RunFolder.resume(run):
        shutil.copytree(run, tmp_path / "copy")
        with RunFolder.resume(tmp_path / "copy") as folder:
            assert folder.discard_torn() == {"rollouts": 0, "curves": 0}


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path) -> None:
    run = train_run(tmp_path / "run", 1)
    (run / ".lock").unlink()
    (run / ".lock").mkdir()
    with pytest.raises(InputError, match=r"\.lock: cannot be locked"):
        RunFolder.resume(run)


def test_a_run_of_a_newer_version_is_refused(runs, tmp_path, capsys) -> None:
    run = copied(runs, tmp_path, "train")
    about = json.loads((run / "run.json").read_text())
    about |= {"format": 3, "versions": {"gpo": "9.1.0"}}
    (run / "run.json").write_text(json.dumps(about))
    before = contents(run)
    for args in (["train", "--resume", str(run)], ["show", str(run)], ["watch", str(run)]):
        assert "run.json: was written by gpo 9.1.0" in refused(capsys, *args)
    assert contents(run) == before
