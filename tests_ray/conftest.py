"""These tests use the toys of the ordinary suite, and so do the actors."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = str(ROOT / "tests")
sys.path.insert(0, TESTS)
os.environ["PYTHONPATH"] = os.pathsep.join([TESTS, str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
