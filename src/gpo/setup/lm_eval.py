"""`gpo eval --export lm-eval`: what makes EleutherAI's harness evaluate the same model on the same rows."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from gpo import DEMO_MODEL, tasks
from gpo.command_settings import EvalSettings
from gpo.record import Json
from gpo.setup.data import load_rows, source_name
from gpo.tasks import harness
from gpo.tasks.read import RAY
from gpo.types import InputError
from gpo.verifiers import answers, option


def check_export(settings: EvalSettings) -> None:
    """InputError, before anything is sampled, if what is to be exported cannot be."""
    if settings.export is None:
        return
    if settings.data and settings.data.startswith(RAY):
        raise InputError(f"--export: {settings.data} is read only once; give the file itself, without {RAY}")
    harness.check_verifier(_verifier(settings))


def export(settings: EvalSettings, path: Path) -> Json:
    """Writes the folder lm-eval in the run at `path`; returns the YAML's path and the command to run."""
    folder = path / "lm-eval"
    name = "gpo_" + "".join(c if c.isalnum() else "_" for c in source_name(settings))[-60:]
    prompt = tasks.prompt(settings.prompt, settings.task, settings.data_folder, settings.shots)
    rows = load_rows(settings, settings.split, settings.seed)
    verifier = _verifier(settings)
    asked = [
        harness.Asked(row.id, prompt(row), target(row.answer, verifier), str(row.columns.get("subject", "")))
        for row in rows
    ]
    file = harness.write(folder, name, verifier, asked, generation(settings))
    return {"task": name, "yaml": str(file), "command": shlex.join(command(settings, folder, name))}


def _verifier(settings: EvalSettings) -> str:
    return settings.verifier or (tasks.verifier(settings.task) if settings.task else "")


def target(answer: str, verifier: str) -> str:
    """The bare gold answer, as our verifiers read it out of a worked solution or an option's index."""
    if verifier == "option":
        return option.gold_letter(answer)
    return answer if verifier == "bbh" else answers.gold(answer)


def generation(settings: EvalSettings) -> Json:
    """The harness's generation_kwargs; without stop strings of its own it would stop at an empty line."""
    sampled = {"temperature": settings.temperature, "top_p": settings.top_p}
    if settings.top_k:
        sampled["top_k"] = settings.top_k
    is_greedy = settings.temperature == 0
    return {
        "until": [*settings.stop, *tasks.prompts.stops(settings.prompt, settings.task)],
        "max_gen_toks": settings.max_tokens,
        "do_sample": not is_greedy,
        **({} if is_greedy else sampled),
    }


def command(settings: EvalSettings, folder: Path, name: str) -> list[str]:
    """The harness's command line."""
    model = str(DEMO_MODEL) if settings.model == "demo" else settings.model
    arguments: Json = {"pretrained": model, "dtype": settings.dtype}
    arguments |= {"peft": settings.adapter} if settings.adapter else {}
    arguments |= {"trust_remote_code": True} if settings.trust_remote_code else {}
    given = ",".join(f"{key}={value}" for key, value in arguments.items())
    if settings.template_args:  # only JSON can hold them
        given = json.dumps(arguments | {"chat_template_args": settings.template_args})
    words = ["lm_eval", "--model", "hf", "--model_args", given, "--tasks", name]
    words += ["--include_path", str(folder.absolute()), "--seed", str(settings.seed)]
    words += ["--apply_chat_template"] if settings.chat else []
    words += ["--system_instruction", settings.system_prompt] if settings.system_prompt else []
    return words
