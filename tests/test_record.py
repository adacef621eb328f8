import json
import re

import pytest
from reported import Numbered

from gpo.record import RunFolder, finite, read_lines, read_records, stored_settings, write_json
from gpo.record.lines import DrawnLine, SampledLine
from gpo.record.new import check_new
from gpo.types import InputError

DRAWN = {
    "round": 0, "purpose": "explore", "problem": "1", "answer": "2", "text": "", "finished": True,
    "prompt_ids": [1], "prefix_ids": [], "action_ids": [9], "logprobs": [], "entropies": [],
    "reward": 1, "policy_version": 0, "row": 0, "seed": 1,
}  # fmt: skip


def new_run(path, **settings) -> RunFolder:
    return RunFolder.create(path, "train", {"seed": 0, **settings})


def write_round(run: RunFolder, index: int, lines: int = 2) -> None:
    for i in range(lines):
        run.write("rollouts", DrawnLine.made(DRAWN | {"round": index, "row": i}))
    run.write("curves", Numbered(round=index))


def write_checkpoint(run: RunFolder, index: int) -> None:
    with run.new_checkpoint(index) as part:
        (part / "model").mkdir()
        (part / "model" / "model.safetensors").write_bytes(b"weights")


def test_lines_come_back_as_they_were_written(tmp_path) -> None:
    with new_run(tmp_path / "run") as run:
        write_round(run, 0)
        run.commit_round({"round": 0, "tokens": {}, "metrics": {"reset/value": float("nan"), "naïve": 1.5}})
    lines = list(read_records(tmp_path / "run" / "rounds.jsonl"))
    assert lines[0]["metrics"] == {"reset/value": None, "naïve": 1.5}
    assert len(list(read_records(tmp_path / "run" / "rollouts.jsonl"))) == 2


def test_a_torn_round_is_counted_and_cut_away(tmp_path) -> None:
    path = tmp_path / "run"
    with new_run(path) as run:
        write_round(run, 0)
        run.commit_round({"round": 0, "tokens": {}, "metrics": {}})
        write_round(run, 1, lines=3)
        write_checkpoint(run, 1)
    with (path / "rollouts.jsonl").open("a") as file:
        file.write('{"round": 1, "ro')
    with (path / "rounds.jsonl").open("a") as file:
        file.write('{"round": 1, "siz')
    with RunFolder.resume(path) as run:
        assert run.discard_torn() == {"rollouts": 4, "curves": 1}
        assert run.discard_torn() == {"rollouts": 0, "curves": 0}
        assert [line["round"] for line in run.rounds()] == [0]
        run.commit_round({"round": 1, "tokens": {}, "metrics": {}})
        assert [line["round"] for line in run.rounds()] == [0, 1]
    assert len((path / "rollouts.jsonl").read_text().splitlines()) == 2
    assert list((path / "checkpoints").iterdir()) == []
    assert len((path / "discarded" / "1" / "rollouts.jsonl").read_text().splitlines()) == 4


def test_the_last_checkpoint_is_that_of_the_last_complete_round(tmp_path) -> None:
    path = tmp_path / "run"
    with new_run(path) as run:
        run.commit_round({"round": 0, "tokens": {}, "metrics": {}})
        assert run.last_checkpoint() is None
        for index in (1, 2, 3):
            write_checkpoint(run, index)
            run.commit_round({"round": index, "tokens": {}, "metrics": {}})
            run.prune_checkpoints(keep=2)
        assert run.last_checkpoint() == path / "checkpoints" / "0003"
    assert sorted(folder.name for folder in (path / "checkpoints").iterdir()) == ["0002", "0003"]


def test_a_folder_takes_one_run_and_one_process(tmp_path) -> None:
    with new_run(tmp_path / "run"):
        with pytest.raises(InputError, match="another process is writing this run"):
            RunFolder.resume(tmp_path / "run")
        with pytest.raises(InputError, match="already holds this run; continue it with --resume"):
            new_run(tmp_path / "run")
        with pytest.raises(InputError, match=r"other settings \(lr: None there, 1 here\)"):
            new_run(tmp_path / "run", lr=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="exists and is not a gpo run"):
        new_run(tmp_path / "other")
    with pytest.raises(InputError, match=r"holds no run\.json"):
        RunFolder.resume(tmp_path / "other")
    with pytest.raises(InputError, match="is a run of `gpo train`, not of `gpo locate`"):
        stored_settings(tmp_path / "run", "locate")


def test_a_run_that_was_damaged_is_refused(tmp_path) -> None:
    path = tmp_path / "run"
    with new_run(path) as run:
        write_round(run, 0)
        run.commit_round({"round": 0, "tokens": {}, "metrics": {}})
    (path / "rollouts.jsonl").write_text("{}")
    with (
        RunFolder.resume(path) as run,
        pytest.raises(InputError, match=r"rollouts\.jsonl: has 2 bytes where"),
    ):
        run.discard_torn()
    (path / "rounds.jsonl").write_text("[1]\n")
    with pytest.raises(InputError, match=r"rounds\.jsonl: row 1: is not what a run writes"):
        list(read_records(path / "rounds.jsonl"))
    (path / "run.json").write_text("[]")
    with pytest.raises(InputError, match=r"run\.json: is not what a run writes"):
        RunFolder.resume(path)


@pytest.mark.parametrize("place", ["file/run", "x" * 300])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, place) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made in"):
        check_new(tmp_path / place, {})


def test_a_broken_line_in_the_middle_is_named(tmp_path) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(InputError, match=r"rollouts\.jsonl: row 2: is not valid JSON"):
        list(read_records(path))


def test_files_are_written_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert finite({"a": [float("inf"), 1.5], "b": (float("nan"),)}) == {"a": [None, 1.5], "b": [None]}


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        (SampledLine, {"samples": [DRAWN]}, "samples.0.action_ids: has 9, and the model's ids are 0 to 6"),
        (DrawnLine, {"action_ids": [9, 6]}, "action_ids: has 9, and the model's ids are 0 to 6"),
        (
            DrawnLine,
            {"prefix_ids": [7], "action_ids": []},
            "prefix_ids: has 7, and the model's ids are 0 to 6",
        ),
        (
            DrawnLine,
            {"prompt_ids": [6, 7], "action_ids": [6]},
            "prompt_ids: has 7, and the model's ids are 0 to 6",
        ),
    ],
)
def test_an_id_that_the_model_does_not_have_is_named(tmp_path, kind, record, expected) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps({**DRAWN, "state": "s", "samples": [], **record}) + "\n")
    assert len(list(read_lines(path, kind))) == 1
    assert len(list(read_lines(path, kind, num_ids=10))) == 1
    with pytest.raises(InputError, match=re.escape(f"{path}: row 1: {expected}")):
        list(read_lines(path, kind, num_ids=7))
