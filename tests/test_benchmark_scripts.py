"""The benchmarks are run by hand, and rarely: what they import has to be there all the same."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_every_benchmark_finds_what_it_imports() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "search" in names
    # In a process of its own, as other tests load modules of the same names.
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    result = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
