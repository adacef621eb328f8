"""Rows of the demo model, exported; and one module that a target imports for audio alone."""

import importlib.machinery
import os
import sys
import types
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DISABLE_VERSION_CHECK"] = "1"  # LLaMA-Factory's own, against newer transformers
# LLaMA-Factory imports torchaudio whatever the data; its wheels lag behind torch's.
audio = types.ModuleType("torchaudio")
audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules.setdefault("torchaudio", audio)


@pytest.fixture(scope="session")
def pairs_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gpo.cli import main

    folder = tmp_path_factory.mktemp("offline")
    main(["pairs", "--task", "chain_sum", "--max-tokens", "96", "--min-step-tokens", "1", "--rule", "drop",
          "--limit", "16", "--output", str(folder / "pairs"), "--json"])  # fmt: skip
    return folder / "pairs"


@pytest.fixture
def exported(pairs_run, tmp_path, capsys):
    """Exports rows for a target; returns the folder and the rows as they were built."""
    from gpo.cli import main
    from gpo.pairs.rows import FILES
    from gpo.record import read_records

    def export(target: str, kind: str = "pairs") -> tuple[Path, list[dict]]:
        folder = tmp_path / f"{target}-{kind}"
        main(["export", str(pairs_run), "--to", target, "--rows", kind, "--output", str(folder)])
        capsys.readouterr()
        return folder, list(read_records(pairs_run / FILES[kind]))

    return export


@pytest.fixture
def tokenizer():
    from transformers import PreTrainedTokenizerFast

    from gpo import DEMO_MODEL

    return PreTrainedTokenizerFast.from_pretrained(DEMO_MODEL)
