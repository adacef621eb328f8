"""Two pretrained models from the package index, converted once into build/models."""

import os
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))


@pytest.fixture(scope="session", params=["smollm2", "gemma3"])
def folder(request: pytest.FixtureRequest) -> Path:
    """A converted model: 49,152 tokens and ChatML, or 262,144 tokens, sliding windows and no template."""
    import real_models

    return real_models.convert(request.param)


@pytest.fixture(scope="session")
def smollm2() -> str:
    import real_models

    return str(real_models.convert("smollm2"))
