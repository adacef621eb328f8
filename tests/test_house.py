"""The house keeps its floors: who may import whom, and what a bare import loads."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from gpo.cli import COMMANDS

SRC = Path(__file__).parent.parent / "src" / "gpo"

# Each room may import the rooms named here, and itself. See CONTRIBUTING.md.
FLOORS = {
    "seeds": set(),
    "types": {"seeds"},
    "protocols": {"types"},
    "files": {"types"},
    "masking": set(),
    "ending": {"types"},
    "console": {"ending", "masking", "visible"},
    "progress": {"console"},
    "limits": {"files"},
    "yaml_text": {"files"},
    "visible": set(),
    "marks": set(),
    "sentences": set(),
    "named": {"types"},
    "steps": {"types", "marks", "sentences", "named"},
    "curve": {"types"},
    "rules": {"types", "curve"},
    "levels": {"types", "curve"},
    "paths": {"types", "curve", "levels"},
    "pooled": {"types", "curve", "levels", "paths", "rules"},
    "search": {"types", "curve", "rules", "levels", "paths", "pooled"},
    "pool": {"types"},
    "self_judge": {"types"},
    "proposals": {"types", "curve", "named", "self_judge"},
    "step_rewards": {"types", "named", "settings", "proposals", "located", "learn"},
    "settings": {"types", "files", "limits", "yaml_text"},
    "flags": {"types", "settings", "yaml_text"},
    "stepping": {"types", "steps", "settings"},
    "recipes": set(),
    "recipe": {"types", "curve", "rules", "pool", "proposals", "settings", "stepping", "recipes"},
    "located": {"types", "curve", "rules", "paths", "search", "proposals", "pool", "recipe"},
    "explore": {"types", "curve", "rules", "paths", "search", "proposals", "pool", "recipe", "located"},
    "solving": {"types", "curve", "pool", "located", "explore", "proposals", "settings", "stepping"},
    "outlook": {"types", "recipe", "located", "explore"},
    "cost": {"types", "rules", "self_judge", "recipe", "explore", "steps"},
    "credit": {"types", "curve", "rules", "pool", "recipe", "located"},
    "ladder": {"types", "pool", "recipe", "located"},
    "gpo": {"types", "paths", "rules", "pool", "recipe", "located", "explore", "credit", "ladder"},
    "pairs": {"types", "curve", "rules", "pool", "settings", "gpo", "record"},
    "export": {"types", "files"},
    "values": {
        *("types", "files", "curve", "paths", "proposals", "checksums", "settings", "rates", "learn"),
        *("policies", "record", "pairs"),
    },
    "doctor": set(),
    "rates": set(),
    "evaluation": {"types", "pool", "rates"},
    "policies": {"types", "files", "marks", "masking", "checksums", "rope", "settings"},
    "verifiers": {"types", "marks", "named"},
    "tasks": {"types", "files", "settings"},
    "checksums": {"types", "files"},
    "rope": set(),
    "ranks": {"types"},
    "learn": {"types", "files", "checksums", "ranks", "rope", "settings"},
    "record": {
        "types",
        "proposals",
        "files",
        "checksums",
        "curve",
        "paths",
        "pool",
        "located",
        "explore",
        "evaluation",
        "gpo",
        "steps",
    },
    "report": {"types", "files", "visible", "curve", "rules", "search", "record"},
    "plot": {"types", "curve", "record", "report"},
    "objects": {
        *("types", "files", "curve", "rules", "pool", "recipe", "explore", "evaluation", "tasks"),
        *("pairs", "record", "report", "setup", "solving", "console", "verifiers", "cost"),
    },
    "command_settings": {
        *("settings", "recipes", "recipe", "step_rewards", "learn", "pairs", "policies", "tasks"),
    },
    "value_settings": {"settings", "policies", "tasks", "values", "command_settings"},
    "solve_settings": {"settings", "command_settings", "solving"},
    "setup": {
        *(
            "types",
            "curve",
            "rules",
            "proposals",
            "self_judge",
            "recipes",
            "recipe",
            "explore",
            "policies",
            "verifiers",
            "tasks",
            "record",
            "located",
            "values",
            "visible",
        ),
        *("settings", "command_settings", "value_settings", "solve_settings"),
    },
    "training": {
        *("types", "pool", "gpo", "evaluation", "recipe", "pairs", "ranks", "checksums"),
        *("proposals", "step_rewards", "rules"),
        *(
            "learn",
            "values",
            "policies",
            "tasks",
            "record",
            "report",
            "command_settings",
            "value_settings",
            "settings",
            "setup",
            "console",
            "cost",
            "outlook",
            "progress",
            "ending",
        ),
    },
    "trl": {
        *(
            "types",
            "files",
            "rope",
            "rules",
            "paths",
            "pool",
            "recipe",
            "located",
            "explore",
            "policies",
            "tasks",
        ),
        "verifiers",
    },
}
GROUND = {"types", "protocols", "seeds"}
TOP = {"commands", "cli", "__init__", "__main__"}


def room_of(path: Path) -> str:
    return path.relative_to(SRC).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The dotted names below `gpo` that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.removeprefix("gpo.") for name in names if name.startswith("gpo.")}
    return found


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def imported_files(path: Path) -> set[Path]:
    """The files that a file imports; the names that a package hands on are its own."""
    files = set()
    for name in imported(path):
        places = [SRC.joinpath(*name.split(".")), SRC.joinpath(*name.split(".")[:-1])]
        files |= {place.with_suffix(".py") for place in places if place.with_suffix(".py").is_file()}
    return files - {path}


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_a_room_imports_only_from_the_floors_below_it(path: Path) -> None:
    room = room_of(path)
    if room in TOP:
        return
    assert room in FLOORS, f"{path}: a room without a floor; give it one in CONTRIBUTING.md and here"
    ground = GROUND if "types" in FLOORS[room] else set()
    assert imported_rooms(path) - {room, "DEMO_MODEL"} <= FLOORS[room] | ground  # DEMO_MODEL is a path


def test_no_floor_rests_on_one_that_rests_on_it() -> None:
    assert set(TopologicalSorter(FLOORS).static_order()) == set(FLOORS)


def test_no_file_imports_one_that_imports_it() -> None:
    graph = {path: imported_files(path) for path in SRC.rglob("*.py")}
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


def test_files_and_functions_are_read_at_a_glance() -> None:
    lines = []
    for path in SRC.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, f"{path}: more than one idea?"
        nodes = ast.walk(ast.parse(path.read_text()))
        functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        lines += [(node.end_lineno or 0) - node.lineno + 1 for node in functions]
    lines.sort()
    assert lines[-1] <= 45
    assert lines[int(0.9 * len(lines))] <= 20


def test_commands_holds_a_file_for_each_command_and_what_three_of_them_share() -> None:
    files = {path.stem for path in (SRC / "commands").glob("*.py")}
    commands = {"evaluate" if name == "eval" else name for name in COMMANDS}
    assert files - commands == {"__init__", "sweep"}  # sample, locate and eval are sweeps, as solve is
    assert commands <= files


def test_what_make_names_is_there() -> None:
    named = (SRC.parents[1] / "Makefile").read_text().replace("\\\n", " ")
    core = re.search(r"^CORE := (.*)$", named, re.MULTILINE)
    assert core is not None
    scripts = re.findall(r"\b(?:scripts|benchmarks|tests\w*)/\w+\.py", named)
    paths = [f"tests/test_{name}.py" for name in core[1].split()] + scripts
    assert len(scripts) > 8
    assert [path for path in paths if not (SRC.parents[1] / path).exists()] == []


def test_every_floor_is_written_down_for_contributors() -> None:
    text = (SRC.parent.parent / "CONTRIBUTING.md").read_text()
    for room in FLOORS:
        assert f"`{room}" in text, f"CONTRIBUTING.md does not name the room {room}"


def loaded(code: str) -> set[str]:
    """Top-level modules in memory after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport sys; print('\\n'.join({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_gpo_loads_nothing_heavy() -> None:
    modules = loaded("import gpo; assert 'rounds' in dir(gpo)")
    assert not modules & {"torch", "transformers", "numpy", "pydantic", "datasets", "rich", "yaml"}


def test_help_loads_no_torch_and_no_settings() -> None:
    modules = loaded("from gpo.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not modules & {"torch", "transformers", "numpy", "pydantic", "datasets", "rich"}


def test_the_searches_and_rules_need_no_torch() -> None:
    assert "torch" not in loaded(
        "import gpo.gpo, gpo.tasks, gpo.verifiers, gpo.command_settings, gpo.record, gpo.evaluation"
    )


def test_every_public_name_can_be_had() -> None:
    import gpo

    for name in gpo.__all__:
        assert getattr(gpo, name) is not None
    with pytest.raises(AttributeError, match="module 'gpo' has no attribute 'nothing'"):
        _ = gpo.nothing
