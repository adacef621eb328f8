"""The benchmarks of the paper by name: where their rows are, locally or on the hub, and what upstream has.

    rows, notes = read("gsm8k", "test", data_dir)

A data folder holds a folder for each benchmark with upstream's own files; without one the rows come from
the hub. `notes` say in what the rows differ from the upstream that is known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from gpo.tasks import schemas
from gpo.tasks.read import read_records
from gpo.tasks.row import Row
from gpo.tasks.tables import HUB, Record
from gpo.types import InputError


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a benchmark as upstream has it."""

    files: tuple[str, ...]
    """Patterns under the data folder; the first that matches counts, with all its files in order."""
    num_rows: int
    digest: str
    """`content_digest` of its rows."""
    hub: str = ""
    """Its name on the hub, if not our own."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is known of a benchmark."""

    title: str
    schema: schemas.Schema
    verifier: str
    hub: str
    """OWNER/NAME of the hub's data set."""
    configs: tuple[str, ...]
    """Its configurations on the hub, which are read one after the other."""
    splits: Mapping[str, Split]


MATH_SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra"),
    *("number_theory", "prealgebra", "precalculus"),
)
BBH_TASKS = (
    *("boolean_expressions", "causal_judgement", "date_understanding", "disambiguation_qa"),
    *("dyck_languages", "formal_fallacies", "geometric_shapes", "hyperbaton"),
    *("logical_deduction_five_objects", "logical_deduction_seven_objects"),
    *("logical_deduction_three_objects", "movie_recommendation", "multistep_arithmetic_two", "navigate"),
    *("object_counting", "penguins_in_a_table", "reasoning_about_colored_objects", "ruin_names"),
    *("salient_translation_error_detection", "snarks", "sports_understanding", "temporal_sequences"),
    *("tracking_shuffled_objects_five_objects", "tracking_shuffled_objects_seven_objects"),
    *("tracking_shuffled_objects_three_objects", "web_of_lies", "word_sorting"),
)


def _files(folder: str, split: str) -> tuple[str, ...]:
    """The layouts in which upstream and its copies on the hub store a split."""
    kinds = (f"{split}.jsonl", f"{split}-*.parquet", f"{split}.parquet", f"*/{split}-*.parquet")
    return tuple(f"{folder}/{kind}" for kind in kinds)


BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "gsm8k": Benchmark(
            "GSM8K",
            schemas.gsm8k,
            "number",
            "openai/gsm8k",
            ("main",),
            {
                "train": Split(_files("gsm8k", "train"), 7473, "871f60ed4a151643"),
                "test": Split(_files("gsm8k", "test"), 1319, "353d4795c7c27137"),
            },
        ),
        "math": Benchmark(
            "MATH",
            schemas.math,
            "math",
            "EleutherAI/hendrycks_math",
            MATH_SUBJECTS,
            {
                "train": Split(_files("math", "train"), 7500, "8ad72a5e5cf0a8f9"),
                "test": Split(_files("math", "test"), 5000, "b9764e19bb33147c"),
            },
        ),
        "math500": Benchmark(
            "MATH-500",
            schemas.math500,
            "math",
            "HuggingFaceH4/MATH-500",
            ("default",),
            {"test": Split(("math/math500_test.jsonl", *_files("math500", "test")), 500, "6d0733e27b750acc")},
        ),
        "bbh": Benchmark(
            "BIG-Bench Hard",
            schemas.bbh,
            "bbh",
            "lukaemon/bbh",
            BBH_TASKS,
            {"test": Split(("bbh/bbh/*.json", "bbh/*.json"), 6511, "c9fa6482973d0562")},
        ),
        "mmlu": Benchmark(
            "MMLU",
            schemas.mmlu,
            "option",
            "cais/mmlu",
            ("all",),
            {
                "test": Split(_files("mmlu", "test"), 14042, "97fff3fa9441e208"),
                "validation": Split(_files("mmlu", "validation"), 1531, "f5f5ef3adb214b0a"),
                "dev": Split(_files("mmlu", "dev"), 285, "68340c692f6a5021"),
            },
        ),
        "mmlu_pro": Benchmark(
            "MMLU-Pro",
            schemas.mmlu_pro,
            "option",
            "TIGER-Lab/MMLU-Pro",
            ("default",),
            {
                "test": Split(_files("mmlu_pro", "test"), 12032, "dec5bd95002edb1a"),
                "validation": Split(_files("mmlu_pro", "validation"), 70, "ae32265b0fb20fd2"),
            },
        ),
        "aime2024": Benchmark(
            "AIME 2024",
            schemas.aime,
            "math",
            "HuggingFaceH4/aime_2024",
            ("default",),
            {"test": Split(_files("aime2024", "test"), 30, "2357cea689909d7b", hub="train")},
        ),
        "aime2025": Benchmark(
            "AIME 2025",
            schemas.aime,
            "math",
            "math-ai/aime25",
            ("default",),
            {"test": Split(_files("aime2025", "test"), 30, "24c09e8ed8ffdc85")},
        ),
    }
)


def read(name: str, split: str, data_dir: str | None) -> tuple[list[Row], list[str]]:
    """All rows of a split, and notes on what differs from upstream as it is known here.

    `data_dir` None reads the hub. Raises InputError for an unknown split, a missing file or a schema that
    has changed, naming file, row and column.
    """
    benchmark = BENCHMARKS[name]
    if split not in benchmark.splits:
        have = ", ".join(benchmark.splits)
        raise InputError(f"{name}: has no split '{split}'; give one of {have}")
    known = benchmark.splits[split]
    sources = _hub_sources(benchmark, split) if data_dir is None else _local_sources(name, known, data_dir)
    rows = [
        benchmark.schema({**record, "subject": part} if name == "bbh" else record, where)
        for part, source in sources
        for where, record in _records(source)
    ]
    rows = [_named(row, name, split, number) for number, row in enumerate(rows, start=1)]
    _refuse_repeated_ids(rows)
    return rows, _differences(rows, known, f"{name} {split} from {data_dir or benchmark.hub}")


def _records(source: str) -> list[tuple[str, Record]]:
    try:
        return read_records(source)
    except InputError as error:
        if not source.startswith(HUB):
            raise
        raise InputError(f"{error}; or give --data-dir, a folder with upstream's files") from error


def content_digest(rows: Iterable[Row]) -> str:
    """Digest of the questions and gold answers, whatever their order and kind of file."""
    lines = sorted(f"{row.question}\x1f{row.answer}" for row in rows)
    return hashlib.blake2b("\x1e".join(lines).encode(), digest_size=8).hexdigest()


def usable(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows that have a gold answer, and a note that names the others."""
    without = [row.id for row in rows if not row.answer]
    notes = [f"left out {len(without)} rows whose gold answer is empty upstream: {', '.join(without)}"]
    return [row for row in rows if row.answer], notes if without else []


def spread(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """`limit` rows spread evenly over all, as upstream sorts some sets by subject."""
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[place * len(rows) // limit] for place in range(limit)]


def at_hand(data_dir: str) -> list[str]:
    """The benchmarks whose test split is in the folder."""
    folder = Path(data_dir)
    if not folder.is_dir():
        raise InputError(f"--data-dir {data_dir}: no such folder; name the one with the benchmarks' files")
    tests = {name: benchmark.splits["test"].files for name, benchmark in BENCHMARKS.items()}
    return [name for name, patterns in tests.items() if any(any(folder.glob(one)) for one in patterns)]


def _hub_sources(benchmark: Benchmark, split: str) -> list[tuple[str, str]]:
    split = benchmark.splits[split].hub or split
    return [(config, f"{HUB}{benchmark.hub}:{config}:{split}") for config in benchmark.configs]


def _local_sources(name: str, known: Split, data_dir: str) -> list[tuple[str, str]]:
    """(part, file) of every file of the split; BBH's parts are its tasks, which the files name."""
    folder = Path(data_dir)
    if not folder.is_dir():
        raise InputError(f"--data-dir {data_dir}: no such folder; name the one with the benchmarks' files")
    for pattern in known.files:
        if files := sorted(folder.glob(pattern)):
            break
    else:
        raise InputError(
            f"--data-dir {data_dir}: has no file for {name}; looked for {', '.join(known.files)}, so "
            "put one there or leave --data-dir out for the hub"
        )
    found = {file.stem for file in files}
    if name == "bbh" and (missing := [task for task in BBH_TASKS if task not in found]):
        raise InputError(
            f"--data-dir {data_dir}: {files[0].parent} lacks {', '.join(missing)} (.json); put them there"
        )
    return [(file.stem, str(file)) for file in files]


def _named(row: Row, name: str, split: str, number: int) -> Row:
    own = row.id.removeprefix(f"{split}/") or str(number)
    return replace(row, id=f"{name}/{split}/{own}")


def _refuse_repeated_ids(rows: Sequence[Row]) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        if (other := first.setdefault(row.id, row)) is not row:
            raise InputError(f"{row.source}: has the id '{row.id}' of {other.source}; remove one of them")


def _differences(rows: Sequence[Row], known: Split, what: str) -> list[str]:
    if content_digest(rows) == known.digest:
        return []
    if len(rows) != known.num_rows:
        return [f"{what}: {len(rows)} rows where upstream has {known.num_rows}; figures may not compare"]
    return [
        f"{what}: questions or answers differ from the known upstream "
        f"(checksum {content_digest(rows)}, not {known.digest}); figures may not compare"
    ]
