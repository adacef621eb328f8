"""`gpo export`: rows of a finished `gpo pairs` for another trainer, or for the hub."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.text import Text

from gpo import DEMO_MODEL, tasks
from gpo.command_settings import ExportSettings, PairsSettings
from gpo.console import Ui
from gpo.export import KINDS, Export, Source, export, write
from gpo.pairs.rows import FILES, KIND_OF, PairsSummary
from gpo.record import Json, outputs, read_as, read_lines, stored_settings
from gpo.settings import check_stored
from gpo.tasks.splits import check_training_rows, held_out_rows
from gpo.types import InputError


def run(settings: ExportSettings, ui: Ui) -> Json:
    """Writes the files; returns their names and the command that comes next."""
    pairs = Path(settings.run)
    source = source_of(pairs)
    check_training_rows(str(pairs), source.settings, is_allowed=settings.allow_test)
    folder = Path(settings.output) if settings.output else pairs / f"export-{settings.to}-{settings.rows}"
    if settings.output:
        outputs.check_folder(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output {folder}: already exists; choose another folder")
    made = (
        hub_export(settings, pairs, source)
        if settings.to == "hub"
        else one_export(settings, pairs, source, folder)
    )
    write(made.files, folder)
    address = None
    if settings.push:
        from gpo.export.hub import push

        address = push(folder, str(settings.repo), private=settings.private)
    ui.print(*made.notes, f"written to {folder}: {', '.join(made.files)}", "next:")
    ui.print(Text(made.command, no_wrap=True, overflow="ignore"))
    if address:
        ui.print(f"uploaded to {address}")
    return {
        "to": settings.to,
        "output": str(folder),
        "files": list(made.files),
        "command": made.command,
        "notes": list(made.notes),
        "address": address,
    }


def push(
    run: str | Path,
    repo: str,
    *,
    private: bool = False,
    license: str | None = None,
    allow_test: bool = False,
) -> str:
    """Uploads all rows of a finished `gpo pairs` as a data set of the hub; returns its address.

    `repo` is OWNER/NAME, made if it is not there; the card says how the rows were made. Your token is the one
    that huggingface_hub finds. InputError for a run without rows or with rows for testing (unless
    `allow_test`), and where the hub says no.
    """
    from gpo.export.hub import push as upload

    pairs = Path(run)
    settings = ExportSettings(run=str(run), to="hub", repo=repo, push=True, private=private, license=license)
    source = source_of(pairs)
    check_training_rows(str(pairs), source.settings, is_allowed=allow_test)
    with TemporaryDirectory() as folder:
        write(hub_export(settings, pairs, source).files, Path(folder) / "rows")
        return upload(Path(folder) / "rows", repo, private=private)


def one_export(settings: ExportSettings, pairs: Path, source: Source, folder: Path) -> Export:
    path = pairs / FILES[settings.rows]
    rows = records(pairs, settings.rows)
    if not rows:
        raise InputError(f"{path}: has no rows; build it with gpo pairs")
    return export(settings.to, settings.rows, rows, source, str(folder))


def records(pairs: Path, kind: str) -> list[Json]:
    """The rows of a kind, as they stand in their file."""
    return [line.record() for line in read_lines(pairs / FILES[kind], KIND_OF[kind])]


def hub_export(settings: ExportSettings, pairs: Path, source: Source) -> Export:
    from gpo.export.hub import hub

    if settings.repo is None:
        raise InputError("--repo: give OWNER/NAME, which the card needs")
    rows = {kind: records(pairs, kind) for kind in KINDS}
    if not any(rows.values()):
        raise InputError(f"{pairs}: has no rows; build them with gpo pairs")
    return hub(rows, source, settings.repo, settings.license)


def source_of(pairs: Path) -> Source:
    """What the run that built the rows says of them."""
    stored = stored_settings(pairs, "pairs")
    if not (pairs / "summary.json").is_file():
        raise InputError(f"{pairs}: is not finished; continue with gpo pairs --resume {pairs}")
    summary = read_as(pairs / "summary.json", PairsSummary)
    made = check_stored(PairsSettings, pairs, stored)
    model = str(DEMO_MODEL) if made.model == "demo" else made.model
    verifier = made.verifier or (tasks.verifier(made.task) if made.task else "")
    ends = summary.begin_text, summary.end_text
    return Source(model, stored, summary.record(), *ends, verifier, held_out_rows(stored))
