"""Old checkpoints are dropped only where nothing of the user's lies in them."""

import warnings
from pathlib import Path

import pytest

from gpo import checksums
from gpo.record import RunFolder
from gpo.types import DataWarning


def saved(folder: RunFolder, index: int) -> None:
    part = folder.new_checkpoint()
    (part / "model").mkdir()
    (part / "model" / "model.safetensors").write_bytes(b"weights")
    checksums.seal(part / "model")
    (part / "memory.json").write_text("{}")
    checksums.seal(part)
    folder.finish_checkpoint(part, index)
    folder.commit_round({"round": index, "tokens": {}, "metrics": {}})


def two_rounds_then(folder: RunFolder, first: Path, put) -> list[str]:
    """Warnings of pruning to one checkpoint after two rounds and something put into the first."""
    folder.commit_round({"round": 0, "tokens": {}, "metrics": {}})
    saved(folder, 1)
    put(first)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for index in (2, 3):
            saved(folder, index)
            folder.prune_checkpoints(keep=1)
    return [str(one.message) for one in told if one.category is DataWarning]


def nothing(_: Path) -> None:
    pass


def a_file_in_the_model(folder: Path) -> None:
    (folder / "model" / "notes.md").write_text("mine")


def a_folder_in_the_model(folder: Path) -> None:
    (folder / "model" / "quantized").mkdir()


def a_link_in_the_model(folder: Path) -> None:
    (folder / "model" / "data").symlink_to(folder.parent)


def a_file_beside_the_model(folder: Path) -> None:
    (folder / "results.csv").write_text("mine")


def a_file_deep_inside(folder: Path) -> None:
    (folder / "model" / "a" / "b").mkdir(parents=True)
    (folder / "model" / "a" / "b" / "c").write_text("mine")


def spoiled_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("mine")


def sums_that_name_themselves(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  SHA256SUMS\n{'0' * 64}  model/SHA256SUMS\n")


STAYS = [a_file_in_the_model, a_folder_in_the_model, a_link_in_the_model, a_file_beside_the_model]
STAYS += [a_file_deep_inside, spoiled_sums, sums_that_name_themselves]


@pytest.mark.parametrize("put", STAYS)
def test_a_checkpoint_with_something_of_the_users_stays_and_is_named_once(tmp_path, put) -> None:
    first = tmp_path / "run" / "checkpoints" / "0001"
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        told = two_rounds_then(folder, first, put)
    assert told == [
        f"{first}: holds files that the run did not write, so it stays; remove it if you do not need them"
    ]
    assert sorted(path.name for path in first.parent.iterdir()) == ["0001", "0003"]
    assert (first / "model" / "model.safetensors").read_bytes() == b"weights"


def test_a_checkpoint_with_nothing_else_in_it_is_dropped(tmp_path) -> None:
    first = tmp_path / "run" / "checkpoints" / "0001"
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        assert two_rounds_then(folder, first, nothing) == []
    assert [path.name for path in first.parent.iterdir()] == ["0003"]
