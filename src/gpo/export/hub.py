"""Rows as a data set of the hub: Parquet, and a card that says what they are and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from gpo.export.rows import Export, Json, Source
from gpo.types import InputError

ABOUT = {
    "pairs": "a right and a wrong continuation of one state; `prompt` is question and prefix",
    "unpaired": "continuations of such states, each with its label (for KTO)",
    "steps": "trajectories step by step, with a label and the value after each (for process reward models)",
    "sft": "right answers, each after the state it was sampled from (for rejection-sampling fine-tuning)",
}

STATED = (
    *("task", "split", "data", "splitter", "min_step_tokens", "max_steps", "rule", "search", "search_traces"),
    *("values", "group_size", "explored", "temperature", "top_p", "top_k", "max_tokens", "system_prompt"),
    *("success_at", "seed", "at", "target", "pairs_per_problem", "rows_per_problem", "length_ratio"),
    *("weight", "min_credibility", "label_at", "fill", "hold_out"),
)
"""Settings that a reader of the data needs."""


def hub(rows: Mapping[str, Sequence[Json]], source: Source, repo: str, license_name: str | None) -> Export:
    """A Parquet file of each kind of rows that there are, and the card."""
    kept = {kind: list(found) for kind, found in rows.items() if found}
    files: dict[str, Any] = {f"data/{kind}.parquet": found for kind, found in kept.items()}
    files["README.md"] = card({kind: len(found) for kind, found in kept.items()}, source, repo, license_name)
    first = next(iter(kept))
    return Export(files, f'python -c "import datasets; print(datasets.load_dataset({repo!r}, {first!r}))"')


def card(counts: Mapping[str, int], source: Source, repo: str, license_name: str | None) -> str:
    """The data set's README with the hub's metadata block."""
    metadata: Json = {
        "tags": ["gpo", "preference", "reasoning"],
        "task_categories": ["text-generation"],
        "configs": [
            {"config_name": kind, "data_files": [{"split": "train", "path": f"data/{kind}.parquet"}]}
            for kind in counts
        ],
    }
    if license_name:
        metadata["license"] = license_name
    summary = source.summary
    # Where a model lies on its maker's machine is nobody's concern.
    model = Path(source.model).name if Path(source.model).is_dir() else source.model
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n",
            f"# {repo}\n",
            f"Rows for offline training, built by [gpo](https://arxiv.org/abs/2509.16456) from "
            f"{summary['trajectories']} trajectories of `{model}`. Every answer was sampled from that "
            "model; ids stand beside the text, which holds the chat template and special tokens.\n",
            *_caution(source),
            "| rows | number | what they are |\n|---|---|---|",
            *(f"| {kind} | {num} | {ABOUT[kind]} |" for kind, num in counts.items()),
            "\n## How they were made\n",
            "| setting | value |\n|---|---|",
            f"| model | {_cell(model)} |",
            f"| verifier | {_cell(source.verifier)} |",
            *(
                f"| {name} | {_cell(source.settings[name])} |"
                for name in STATED
                if source.settings.get(name) is not None
            ),
            "\n## What was left out\n",
            *([f"- {num} {name}" for name, num in summary["left_out"].items()] or ["Nothing."]),
            "\n## What they cost\n",
            "| generated tokens for | number |\n|---|---|",
            *(f"| {name} | {num:,} |" for name, num in summary["tokens"].items()),
            f"| total | {sum(summary['tokens'].values()):,} |\n",
        ]
    )


def _caution(source: Source) -> list[str]:
    """What the card says of rows that come from a test split."""
    if source.held_out is None:
        return []
    return [
        f"**Test data: the questions are those of {_cell(source.held_out)}. A model trained on these rows "
        "cannot be tested on them.**\n"
    ]


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Uploads the folder to a data set of the hub, made if it is not there; returns its address.

    The token is the one that huggingface_hub finds. InputError in one line where the hub says no.
    """
    try:
        api = HfApi()
        made = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder, repo_id=repo, repo_type="dataset", commit_message="Rows built by gpo"
        )
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--repo {repo}: cannot be uploaded ({reason})") from None
    return str(made)
