"""The commands and Python of the README and of docs run as they stand, or say why they do not."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import lookalikes
import pytest

from gpo.cli import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_runs_or_says_why_not(page, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    lookalikes.write_all(tmp_path / "data")
    num_run = 0
    for command in commands(page):
        if "# not run by the tests: " in command:
            continue
        words = shlex.split(command, comments=True)
        assert words[0] == "gpo", (
            f"{command!r} is neither a gpo command nor marked '# not run by the tests: why'"
        )
        main(words[1:])
        num_run += 1
    assert num_run >= (5 if page == README else 1)
    capsys.readouterr()


@pytest.mark.parametrize("code", [code for page in PAGES for code in blocks(page, "python")])
def test_the_python_runs(code, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
