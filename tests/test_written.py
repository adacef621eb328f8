"""Files are written whole or not at all, and through no link that somebody put in their place."""

import contextlib
import os
from pathlib import Path

import pytest
from reported import Numbered

from gpo.cli import main
from gpo.export import write as write_export
from gpo.files import new_file, replaced, write_whole
from gpo.record import RunFolder, write_json, write_lines
from gpo.tasks import harness


def write_text(path: Path) -> None:
    write_whole(path, "new")


def write_object(path: Path) -> None:
    write_json(path, {"a": 1})


def write_rows(path: Path) -> None:
    write_lines(path, [Numbered(round=1)])


WRITERS = [write_text, write_object, write_rows]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["{}", "{}.part", ".{}.part"])
def test_the_target_of_a_link_is_never_written(tmp_path, write, name) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name.format("a.json")).symlink_to(victim)
    write(folder / "a.json")
    assert victim.read_text() == "precious"
    assert not (folder / "a.json").is_symlink()
    assert set(os.listdir(folder)) == {"a.json", name.format("a.json")}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.parquet", "config.yaml"])
def test_an_export_follows_no_link(tmp_path, name) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "victim")
    write_export({name: "a: 1" if name.endswith(".yaml") else [{"a": 1}]}, tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "precious"
    assert os.listdir(tmp_path / "out") == [name]


def test_the_files_for_the_harness_follow_no_link(tmp_path) -> None:
    (tmp_path / "victim").write_text("precious")
    for name in ("own.jsonl", "own.yaml", "score_math.py"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    harness.write(tmp_path, "own", "math", [harness.Asked("a", "b", "c", "d")], {})
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", ["report.html", "report.html.part", ".report.html.part"])
def test_a_report_follows_no_link(tmp_path, name) -> None:
    run = ["locate", "--task", "chain_sum", "--limit", "2", "--max-tokens", "64", "--min-step-tokens", "1"]
    main([*run, "--output", str(tmp_path / "run")])
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    with contextlib.suppress(SystemExit):  # a file that gpo did not write is refused, the link to it too
        main(["report", str(tmp_path / "run"), "-o", str(tmp_path / "report.html")])
    assert victim.read_text() == "precious"


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(TypeError), replaced(path) as file:
        file.writelines([b"half", None])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_long_name_can_be_written(tmp_path) -> None:
    write_whole(tmp_path / ("x" * 255), "a")
    assert (tmp_path / ("x" * 255)).read_text() == "a"
    write_whole(tmp_path / ("ü" * 127), "a")
    assert (tmp_path / ("ü" * 127)).read_text() == "a"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_a_new_file_takes_the_place_of_nothing(tmp_path, kind) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    if kind == "file":
        path.write_text("old")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
        if kind == "link":
            other.write_text("old")
    with pytest.raises(FileExistsError), new_file(path):
        pass
    assert not other.exists() or other.read_text() == "old"


def test_a_model_is_written_through_no_link_and_beside_what_else_is_there(tmp_path) -> None:
    (tmp_path / "victim").write_text("precious")
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        model = tmp_path / "run" / "model"
        model.mkdir()
        (model / "notes.txt").write_text("mine")
        (model / "model.safetensors").symlink_to(tmp_path / "victim")

        def write(path: Path) -> None:
            (path / "sub").mkdir()
            for name in ("model.safetensors", "sub/config.json"):
                (path / name).write_text("new")

        folder.save("model", write)
        folder.save("model", write)
    assert (tmp_path / "victim").read_text() == "precious"
    assert {name.name for name in model.iterdir()} == {"notes.txt", "model.safetensors", "sub"}
    assert (model / "model.safetensors").read_text() == (model / "sub" / "config.json").read_text() == "new"
    assert sorted(name for name in os.listdir(tmp_path / "run") if name != ".lock") == ["model", "run.json"]
