"""Outputs that would land in a run, in a model, or on a file that gpo did not write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpo.commands.report import is_report
from gpo.record import outputs
from gpo.report import page
from gpo.types import InputError

OURS = b"<!doctype html>\n<html>\n<title>gpo report: a run</title>"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A run with a checkpoint, a model, an adapter, and files of several kinds."""
    monkeypatch.chdir(tmp_path)
    for folder in ("run/checkpoints/0001/model", "model", "adapter", "empty"):
        Path(folder).mkdir(parents=True)
    for name in (
        "run/run.json",
        "model/config.json",
        "model/model.safetensors",
        "adapter/adapter_config.json",
    ):
        Path(name).write_text("{}")
    Path("notes.html").write_text("<!doctype html><title>my notes</title>")
    Path("data.csv").write_text("a,b")
    Path("report.html").write_bytes(OURS)
    Path("empty.html").write_text("")
    os.mkfifo("pipe")
    os.link("run/run.json", "hard.html")
    Path("link.html").symlink_to("run/run.json")
    Path("dangling.html").symlink_to("run/new.html")
    Path("shortcut").symlink_to("run", target_is_directory=True)
    return tmp_path


FILES = {
    "run/run.json": "lies in the run folder",
    "run/new.html": "lies in the run folder",
    "run/checkpoints/0001/model/new.html": "lies in the run folder",
    "shortcut/new.html": "lies in the run folder",
    "empty/../run/new.html": "lies in the run folder",
    "link.html": "lies in the run folder",
    "dangling.html": "lies in the run folder",
    "hard.html": "is a file that gpo did not write",
    "notes.html": "is a file that gpo did not write",
    "data.csv": "is a file that gpo did not write",
    "empty.html": "is a file that gpo did not write",
    "model/new.html": "lies in the folder of a model",
    "model/config.json": "lies in the folder of a model",
    "adapter/new.html": "lies in the folder of a model",
    "run": "is a folder; name a file, such as run/report.html",
    "nowhere/new.html": "there is no folder",
    "pipe": "is a pipe",
    "/dev/null": "is a device",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_refused_and_left_as_it_was(name):
    before = Path("run/run.json").read_bytes()
    with pytest.raises(InputError, match=FILES[name]):
        outputs.check_file(Path(name), is_report, "report.html")
    assert Path("run/run.json").read_bytes() == before


@pytest.mark.parametrize("name", ["new.html", "report.html", "empty/new.html"])
def test_a_new_file_and_a_report_are_taken(name):
    outputs.check_file(Path(name), is_report, "report.html")


FOLDERS = {
    "run/export": "lies in the run folder",
    "run/checkpoints/0002": "lies in the run folder",
    "shortcut/a/b": "lies in the run folder",
    "run/x/located": "lies in the run folder",
    "model": "lies in the folder of a model",
    "model/export": "lies in the folder of a model",
    "adapter": "lies in the folder of a model",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_in_a_run_or_a_model_is_refused(name):
    with pytest.raises(InputError, match=FOLDERS[name]):
        outputs.check_folder(Path(name))


@pytest.mark.parametrize("name", ["out", "empty", "empty/a/b", "run/located"])
def test_a_folder_elsewhere_is_taken_and_so_is_the_run_inside_one_of_pairs(name):
    outputs.check_folder(Path(name))


def test_a_page_that_is_rendered_is_known_as_a_report():
    content = page.render("gpo report: <b>", {"runs": []}).encode()
    assert is_report(content[:65_536])
    assert not is_report(content.replace(b"gpo report: ", b"a page of "))
