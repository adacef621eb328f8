"""One torch thread: the tests' models are tiny, and two threads that wait for a core are slower than one."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# A busy machine is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def pairs_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished `gpo pairs` of the demo model on 16 problems; its locate is in the folder `located`."""
    from gpo.cli import main

    folder = tmp_path_factory.mktemp("offline")
    main(["pairs", "--task", "chain_sum", "--max-tokens", "96", "--min-step-tokens", "1", "--rule", "drop",
          "--limit", "16", "--output", str(folder / "pairs"), "--json"])  # fmt: skip
    return folder / "pairs"
