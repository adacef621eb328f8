"""The figures of the suite, printed at its end, and the runs that its tests break."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import driver

FIGURES: Counter[str] = Counter()


@pytest.fixture
def figures() -> Counter[str]:
    """Counts that the end of the session prints."""
    return FIGURES


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small finished run of every command that writes one, each named after its command."""
    folder = tmp_path_factory.mktemp("finished")
    driver.write_data(folder)
    for name, args in driver.RUNS.items():
        ended = driver.run(*args, "--output", name, cwd=folder)
        assert ended.code == 0, (name, ended)
    return folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = dict(FIGURES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    terminalreporter.write_line(f"GPO_CHAOS_SEED={driver.SEED} (set it to repeat this session)")
    for name, count in FIGURES.items():
        terminalreporter.write_line(f"{count:6,}  {name}")
