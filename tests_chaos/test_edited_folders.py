"""Runs that were edited, cut or mixed up by hand: opened or refused in one line, and never made worse."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import driver
import pytest

READERS: dict[str, tuple[str, ...]] = {
    "show": ("show", "{run}"),
    "report": ("report", "{run}", "-o", "page.html"),
    "watch": ("watch", "{run}", "--once"),
    "resume": ("{command}", "--resume", "{run}"),
    "pairs": ("pairs", "--run", "{run}", "--output", "new"),
    "export": ("export", "{run}", "--to", "trl", "--output", "new"),
    "train": (
        "train", "--method", "dpo", "--pairs", "{run}", "--task", "chain_sum", "--max-tokens", "96",
        "--minibatch", "4", "--microbatch", "4", "--eval-problems", "0", "--output", "new",
    ),
}  # fmt: skip
FOR = {"pairs": ("locate",), "export": ("pairs",), "train": ("pairs",)}
"""Commands that take only runs of others."""

VALUES: tuple[Any, ...] = (
    None, True, -1, 7, 1.5, 10**30, 1e308, "", "x", "\u202e\x1b[31m",
    [], [None], [[]], {}, {"a": 1}, [10**20],
)  # fmt: skip

NUM = 400
"""Edits that are tried."""


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something stands, the first few of a list only."""
    if isinstance(value, dict):
        return [path] + [one for key in value for one in paths_of(value[key], (*path, key))]
    if isinstance(value, list):
        return [path] + [one for k in range(min(len(value), 3)) for one in paths_of(value[k], (*path, k))]
    return [path]


def at(value: Any, path: tuple[Any, ...], do: Callable[[Any, Any], None]) -> Any:
    """The value, after something was done at the path."""
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    do(holder, path[-1])
    return value


def edit_json(text: str, drawn: random.Random) -> str:
    """One field dropped, or with a value that it cannot have."""
    value = json.loads(text)
    paths = [path for path in paths_of(value) if path]
    if not paths:
        return "3"
    path, new = drawn.choice(paths), drawn.choice(VALUES)
    if drawn.random() < 0.3:
        return json.dumps(at(value, path, lambda holder, key: holder.pop(key)))
    return json.dumps(at(value, path, lambda holder, key: holder.__setitem__(key, new)))


def edit_lines(path: Path, drawn: random.Random) -> None:
    """One line edited, dropped, doubled or spoiled."""
    lines = path.read_text().splitlines()
    k = drawn.randrange(len(lines)) if lines else 0
    kind = drawn.choice(("field", "field", "field", "drop", "double", "spoil", "blank"))
    if not lines:
        lines = ["{}"]
    elif kind == "field":
        lines[k] = edit_json(lines[k], drawn)
    elif kind == "drop":
        del lines[k]
    elif kind == "double":
        lines.insert(k, lines[k])
    else:
        lines[k] = "" if kind == "blank" else lines[k][: len(lines[k]) // 2]
    path.write_text("".join(line + "\n" for line in lines))


def edit_whole(path: Path, drawn: random.Random) -> None:
    """A file cut, emptied, gone, spoiled, or a folder where it stood."""
    kind = drawn.choice(("cut", "empty", "gone", "bytes", "folder", "other", "link"))
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind != "gone":
        cut = content[: drawn.randrange(len(content) or 1)]
        path.write_bytes(
            {"cut": cut, "empty": b"", "other": b"\x89PNG\r\n\x1a\n"}.get(kind, b"\xff\x00" + cut)
        )


def edit(run: Path, drawn: random.Random) -> str:
    """Edits one file of the run; returns which."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and not path.name.startswith("."))
    path = drawn.choice(files)
    if path.suffix == ".jsonl" and drawn.random() < 0.7:
        edit_lines(path, drawn)
    elif path.suffix == ".json" and "model" not in path.parts and drawn.random() < 0.7:
        path.write_text(edit_json(path.read_text(), drawn))
    else:
        edit_whole(path, drawn)
    return str(path.relative_to(run))


def cases(finished: Path) -> list[tuple[str, str]]:
    names = [name for name in driver.RUNS if (finished / name).is_dir()]
    return [(name, reader) for name in names for reader in READERS if name in FOR.get(reader, names)]


@pytest.mark.parametrize("number", range(NUM))
def test_an_edited_run_is_opened_or_refused_in_one_line_and_never_made_worse(
    tmp_path, figures, finished, number
) -> None:
    drawn = random.Random(f"{driver.SEED} {number}")
    name, reader = drawn.choice(cases(finished))
    shutil.copytree(finished / name, tmp_path / "run")
    if name == "dpo":
        shutil.copytree(finished / "pairs", tmp_path / "pairs")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoints" / "best").write_text("mine")
    file = edit(tmp_path / "run", drawn)
    before = driver.contents(tmp_path)
    args = tuple(part.format(run="run", command=driver.RUNS[name][0]) for part in READERS[reader])
    ended = driver.run(*args, cwd=tmp_path)
    figures["edits of run folders by hand"] += 1
    figures["of them refused"] += ended.code == 2
    after = driver.contents(tmp_path)
    about = (number, name, reader, file, ended)
    assert ended.code == 0 or ended.is_refusal(), about
    assert "\x1b" not in ended.err + ended.out, about
    if ended.code == 2:
        assert after == before, about
    kept = (
        before
        if reader != "resume"
        else {k: v for k, v in before.items() if k.endswith(("notes.txt", "best"))}
    )
    assert kept.items() <= after.items(), about
