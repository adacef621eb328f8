"""The README's commands and Python run as they stand, or say why they do not."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gpo.cli import main

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_every_command_runs_or_says_why_not(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    num_run = 0
    for command in commands():
        if "# not run by the tests: " in command:
            continue
        words = shlex.split(command, comments=True)
        assert words[0] == "gpo", (
            f"{command!r} is neither a gpo command nor marked '# not run by the tests: why'"
        )
        main(words[1:])
        num_run += 1
    assert num_run >= 5
    capsys.readouterr()


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_runs(code, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "critical step" in result.stdout
