"""The commands and Python of the README and of docs run as they stand, or say why they do not."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import lookalikes
import pytest

from gpo.cli import build_command, main
from gpo.setup.resume import new_settings

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))
import run_notebook  # noqa: E402
import site_pages  # noqa: E402

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WITHOUT_COMMANDS = {
    "faq.md",
    "index.md",
    "limits.md",
    "measured.md",
    "rules.md",
    "study.md",
    "trl.md",
    "your-model.md",
}
"""Pages with nothing to run here: text, Python, or what takes hours."""


NOT_RUN = "<!-- not run by the tests: "
"""Before a block whose commands are not run; what follows says why. Readers of the page do not see it."""


def blocks(page: Path, language: str) -> list[str]:
    text = re.sub(
        rf"^{NOT_RUN}\S[^\n]*-->\n```\w+\n.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def files(page: Path) -> dict[str, str]:
    """The files that a page shows: blocks with a title."""
    found = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.mark.parametrize(
    "page",
    [README, *(pytest.param(page, marks=pytest.mark.thorough) for page in PAGES[1:])],
    ids=lambda page: page.name,
)
def test_every_command_runs_or_says_why_not(page, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    lookalikes.write_all(tmp_path / "data")
    for name, content in files(page).items():
        (tmp_path / name).write_text(content)
    num_run = 0
    for command in commands(page):
        words = shlex.split(command, comments=True)
        assert words[0] == "gpo", (
            f"{command!r} is neither a gpo command nor in a block after '{NOT_RUN}why -->'"
        )
        main(words[1:])
        num_run += 1
    assert num_run >= (5 if page == README else page.name not in WITHOUT_COMMANDS)
    capsys.readouterr()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_files_that_are_shown_are_accepted(page, tmp_path) -> None:
    for name, content in files(page).items():
        if name.endswith(".yaml"):
            (tmp_path / name).write_text(content)
            command = re.match(r"# (gpo [a-z ]+[a-z])\n", content)
            assert command, f"{name}: its first line says which command it is for"
            cls = next(
                cls for cls in site_pages.settings_classes() if site_pages.command_of(cls) == command[1]
            )
            new_settings(cls, tmp_path / name, {})


@pytest.mark.parametrize("code", [code for page in PAGES for code in blocks(page, "python")])
def test_the_python_runs(code, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_the_tutorial_runs_top_to_bottom_and_shows_what_it_prints() -> None:
    stored = json.loads(run_notebook.NOTEBOOK.read_text())
    # In a process of its own, as a reader would; figures may differ by machine, what is printed may not.
    result = subprocess.run(
        [sys.executable, "-c", "import json, run_notebook as r; print(json.dumps(r.run(r.NOTEBOOK)))"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    fresh = json.loads(result.stdout.splitlines()[-1])
    pairs = list(zip(stored["cells"], fresh["cells"], strict=True))
    assert [cell["source"] for cell, _ in pairs] == [cell["source"] for _, cell in pairs]
    for old, new in pairs:
        if old["cell_type"] == "code":
            assert old["outputs"], "python scripts/run_notebook.py keeps what it prints"
            assert len(new["outputs"]) == 1


def test_the_settings_page_has_every_setting_of_every_command() -> None:
    page = site_pages.settings_page()
    for name in ("sample", "locate", "train", "eval", "pairs", "export", "demo"):
        settings = build_command(name).sections
        assert len(settings) > 2
        for key in settings:
            assert f"| `{key}` |" in page, f"{name}: {key}"
    assert (
        "| `verifier_limit_s` | `10.0` | number above 0, seconds | Processor seconds for one answer" in page
    )
    assert "| `repo` | - | text | For hub" in page


def test_the_navigation_leaves_out_pages_that_are_not_there() -> None:
    nav = [{"Home": "index.md"}, {"Do it": [{"Report": "report.md"}, {"Start": "start.md"}]}]
    assert site_pages.kept(nav, {"index.md", "start.md"}) == [
        {"Home": "index.md"},
        {"Do it": [{"Start": "start.md"}]},
    ]
