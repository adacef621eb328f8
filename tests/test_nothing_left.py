"""A command that ends with exit code 2 has changed nothing, and left nothing."""

import json
import shutil
from pathlib import Path

import pytest
from reported import Numbered
from test_lost_rounds import contents, refused

from gpo.cli import main
from gpo.record import RunFolder
from gpo.types import InputError, RunError

LOCATE = ["locate", "--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--limit", "3"]
LOCATE += ["--group-size", "2", "--values", "2", "--split", "train"]


@pytest.fixture(scope="module")
def located(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "located"
    main([*LOCATE, "--output", str(path)])
    return path


WRONG = "reward: input should be less than or equal to 1, got '7'"
UNKNOWN = "has 99999, and the model's ids are 0 to 336"


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("rollouts", {"reward": 7}, WRONG),
        ("curves", {"reward": 7}, WRONG),
        ("rollouts", {"prefix_ids": [99999]}, f"prefix_ids: {UNKNOWN}"),
        ("curves", {"completion_ids": [99999] * 200}, f"completion_ids: {UNKNOWN}"),
        ("curves", {"prompt_ids": [3, 99999]}, f"prompt_ids: {UNKNOWN}"),
    ],
)
def test_pairs_of_a_damaged_run_leave_nothing(located, tmp_path, capsys, name, change, told) -> None:
    run = Path(shutil.copytree(located, tmp_path / "run"))
    line = json.loads((run / f"{name}.jsonl").read_text().splitlines()[0])
    (run / f"{name}.jsonl").write_text(json.dumps(line | change) + "\n")
    output = tmp_path / "new" / "pairs"
    error = refused(capsys, "pairs", "--run", str(run), "--output", str(output))
    assert f"{name}.jsonl: row 1: {told}" in error
    assert not output.parent.exists()
    before = contents(run)
    assert f"{name}.jsonl: row 1: {told}" in refused(capsys, "locate", "--resume", str(run))
    assert contents(run) == before


def test_a_refused_resume_has_neither_settings_nor_repairs(located, tmp_path, capsys) -> None:
    run = Path(shutil.copytree(located, tmp_path / "run"))
    with (run / "rollouts.jsonl").open("a") as file:
        file.write('{"no": 1}\n{"torn": ')
    before = contents(run)
    with pytest.raises(SystemExit) as stopped:
        main(["locate", "--resume", str(run), "--budget-tokens", "99999"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "rollouts.jsonl: row " in error
    assert "field required" in error
    assert contents(run) == before


def interrupted(path: Path, command: str, begin) -> None:
    """A new run that meets bad input after `begin`."""
    with RunFolder.create(path, command, {}) as folder:
        begin(folder)
        raise InputError("bad row")


def test_bad_input_takes_a_new_folder_away_and_keeps_one_that_was_there(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a" / "b" / "run", tmp_path / "empty"):
        with pytest.raises(InputError, match="bad row"):
            interrupted(path, "locate", lambda folder: folder.take_up({}, {}, []))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_once_lines_are_written_bad_input_is_no_refusal(tmp_path) -> None:
    with pytest.raises(RunError, match=r"bad row \(what is complete stays in"):
        interrupted(tmp_path / "run", "locate", lambda folder: folder.write("rollouts", Numbered(round=0)))
    assert (tmp_path / "run" / "rollouts.jsonl").exists()
    assert (tmp_path / "run" / "run.json").exists()


def test_a_folder_with_more_in_it_is_kept(tmp_path) -> None:
    with pytest.raises(RunError, match="bad row"):
        interrupted(tmp_path / "run", "pairs", lambda folder: (folder.path / "located").mkdir())
    assert (tmp_path / "run" / "run.json").exists()
