"""Old checkpoints are dropped only where nothing of the user's lies in them."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpo import checksums
from gpo.learn import trainer_checkpoints
from gpo.record import RunFolder
from gpo.types import DataWarning, InputError


def saved(folder: RunFolder, index: int) -> None:
    with folder.new_checkpoint(index) as part:
        (part / "model").mkdir()
        (part / "model" / "model.safetensors").write_bytes(b"weights")
        checksums.seal(part / "model")
        (part / "memory.json").write_text("{}")
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


def weights_of_mine(folder: Path) -> None:
    (folder / "model" / "model.safetensors").write_bytes(b"mine")


def no_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


STAYS = [
    weights_of_mine,
    no_sums,
    a_file_in_the_model,
    a_folder_in_the_model,
    a_link_in_the_model,
    a_file_beside_the_model,
]
STAYS += [a_file_deep_inside, spoiled_sums, sums_that_name_themselves]


@pytest.mark.parametrize("put", STAYS)
def test_a_checkpoint_with_something_of_the_users_stays_and_is_named_once(tmp_path, put) -> None:
    first = tmp_path / "run" / "checkpoints" / "0001"
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        told = two_rounds_then(folder, first, put)
    assert told == [f"{first}: holds more than the run wrote, so it stays; remove it if you do not need it"]
    assert sorted(path.name for path in first.parent.iterdir()) == ["0001", "0003"]
    assert (first / "model" / "model.safetensors").is_file()


def test_a_checkpoint_with_nothing_else_in_it_is_dropped(tmp_path) -> None:
    first = tmp_path / "run" / "checkpoints" / "0001"
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        assert two_rounds_then(folder, first, nothing) == []
    assert [path.name for path in first.parent.iterdir()] == ["0003"]


def torn(run: Path, put) -> Path:
    """A checkpoint that a kill left half written, with something put into its model."""
    left = run / "checkpoints" / f".checkpoint.{'0' * 16}.part"
    (left / "model").mkdir(parents=True)
    (left / "model" / "model.safetensors").write_bytes(b"wei")
    put(left)
    return left


@pytest.mark.parametrize("put", [nothing, a_file_in_the_model, a_link_in_the_model, a_file_beside_the_model])
def test_a_torn_checkpoint_is_removed_by_the_next_unless_it_holds_more(tmp_path, put) -> None:
    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        folder.commit_round({"round": 0, "tokens": {}, "metrics": {}})
        left = torn(tmp_path / "run", put)
        saved(folder, 1)
    assert left.exists() == (put is not nothing)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path) -> None:
    def write(folder: RunFolder) -> None:
        with folder.new_checkpoint(1) as part:
            (part / "model").mkdir()
            raise OSError("full")

    with RunFolder.create(tmp_path / "run", "train", {}) as folder:
        with pytest.raises(OSError, match="full"):
            write(folder)
        assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def trl_run(folder: Path, *numbers: int) -> Path:
    """TRL's checkpoints of these numbers as they are kept, in round 1 of a run."""
    keeping = trainer_checkpoints.Keeping(folder)
    for number in numbers:
        saved = folder / f"checkpoint-{number}"
        saved.mkdir(parents=True, exist_ok=True)
        (saved / "model.safetensors").write_bytes(b"weights")
        keeping.on_save(None, SimpleNamespace(global_step=number), None)
    return folder


def test_of_trl_s_checkpoints_the_last_stays_and_those_that_hold_more(tmp_path) -> None:
    folder = trl_run(tmp_path / "trainer" / "0001", 5)
    (folder / "checkpoint-5" / "notes.txt").write_text("mine")
    trl_run(folder, 10, 15)
    (folder / "checkpoint-15" / "model.safetensors").touch()
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-15", "checkpoint-5"]
    assert trainer_checkpoints.drop(folder) == [folder / "checkpoint-5"]
    assert (folder / "checkpoint-5" / "notes.txt").read_text() == "mine"


def test_trl_goes_on_from_the_last_whole_checkpoint(tmp_path) -> None:
    folder = trl_run(tmp_path / "0001", 5)
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "notes.txt").write_text("mine")
    assert trainer_checkpoints.last_whole(folder) == str(folder / "checkpoint-5")
    trl_run(folder, 10, 15)  # it is written over where it was torn, and what was there before stays
    assert (folder / "checkpoint-10" / "notes.txt").read_text() == "mine"
    (folder / "checkpoint-15" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"checkpoint-15/model\.safetensors: is not what was saved"):
        trainer_checkpoints.last_whole(folder)


def test_no_checkpoint_of_trl_leaves_no_folder(tmp_path) -> None:
    folder = trl_run(tmp_path / "run" / "trainer" / "0001", 5)
    assert trainer_checkpoints.drop(folder) == []
    assert list((tmp_path / "run").iterdir()) == []
    assert trainer_checkpoints.last_whole(folder) is None
