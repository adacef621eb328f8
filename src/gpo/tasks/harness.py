r"""The same evaluation for EleutherAI's lm-evaluation-harness: its YAML and the rows as JSON Lines.

The harness asks the same prompts and scores as its own tasks do: the last number of the text (its gsm8k), the
letter after "answer is" (its mmlu_pro), what follows "the answer is" (its bbh), and math-verify (its
minerva_math). It differs from ours by design, see docs/benchmarks.md: it reads the thinking part too, it
scores completions that the token limit cut, and it knows fewer ways to mark an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from gpo.files import write_whole
from gpo.types import InputError

_IGNORED = [",", r"\$", r"(?s).*#### ", r"\.$"]
FILTERS: Mapping[str, Mapping[str, Any]] = {
    "number": {
        "name": "flexible-extract",
        "regex": {"regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1},
        "metric": {"ignore_case": True, "ignore_punctuation": False, "regexes_to_ignore": _IGNORED},
    },
    "option": {
        "name": "custom-extract",
        "regex": {"regex_pattern": r"answer is \(?([A-Z])\)?"},
        "metric": {"ignore_case": True, "ignore_punctuation": True},
    },
    "bbh": {
        "name": "get-answer",
        "regex": {"regex_pattern": r"(?<=the answer is )(.*)(?=\.)"},
        "metric": {"ignore_case": True},
    },
}
"""By verifier: the harness's filter of this name, and how its exact_match compares."""

SCORE_MATH = '''"""math-verify on the last boxed answer, else on the whole text."""

from math_verify import parse, verify


def process_results(doc, results):
    text = results[0]
    boxed = text.rfind("\\\\boxed")
    found = parse(text[boxed:] if boxed >= 0 else text)
    gold = parse("\\\\boxed{" + doc["target"] + "}")
    return {"exact_match": float(bool(found) and verify(gold, found))}
'''


@dataclass(frozen=True, slots=True)
class Asked:
    """One problem as the harness is to ask it."""

    id: str
    prompt: str
    target: str
    subject: str


def check_verifier(verifier: str) -> None:
    """InputError for a verifier that lm-eval has no equivalent of."""
    known = (*FILTERS, "math")
    if verifier not in known:
        raise InputError(
            f"--export lm-eval: lm-eval has no equivalent of the verifier '{verifier}', only of "
            f"{', '.join(known)}; leave the flag out"
        )


def write(
    folder: Path, name: str, verifier: str, asked: Sequence[Asked], generation: Mapping[str, Any]
) -> Path:
    """Writes NAME.yaml and NAME.jsonl, and for mathematics its scorer; returns the YAML's path.

    `generation` are the harness's generation_kwargs. InputError for a verifier that it has no equivalent of.
    """
    check_verifier(verifier)
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / f"{name}.jsonl"
    write_whole(rows, "".join(json.dumps(asdict(one)) + "\n" for one in asked))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(rows.absolute())}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{target}}",
        "generation_kwargs": dict(generation),
        "num_fewshot": 0,
        **_scoring(verifier),
    }
    text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True)
    if verifier == "math":
        write_whole(folder / "score_math.py", SCORE_MATH)
        text += "process_results: !function score_math.process_results\n"
    path = folder / f"{name}.yaml"
    write_whole(path, text)
    return path


def _scoring(verifier: str) -> dict[str, Any]:
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    if verifier == "math":
        return {"metric_list": [metric]}
    known = FILTERS[verifier]
    steps = [{"function": "regex", **known["regex"]}, {"function": "take_first"}]
    return {
        "filter_list": [{"name": known["name"], "filter": steps}],
        "metric_list": [metric | known["metric"]],
    }
