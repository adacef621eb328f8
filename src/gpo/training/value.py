"""`gpo train --method value`: what finished runs counted, to a model of V; nothing is sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpo.console import Ui
from gpo.pairs.trajectories import check_same_prompts
from gpo.policies.fingerprint import files_digest
from gpo.progress import Progress
from gpo.record import Json, RunFolder, stored_settings, write_json
from gpo.record.rows import RowLine
from gpo.record.run_json import fingerprint_of
from gpo.setup import engine
from gpo.setup.located_run import sampled_as
from gpo.tasks.splits import check_training_rows
from gpo.training.weights import with_new_adapter
from gpo.types import InputError
from gpo.value_settings import ValueSettings
from gpo.values.backbone import Backbone
from gpo.values.fit import Fitted, fit, held_out
from gpo.values.head import Head
from gpo.values.model import Values
from gpo.values.rows import Counted, check_counts, read_counted
from gpo.values.saved import described, save

if TYPE_CHECKING:
    from gpo.policies.transformers import TransformersPolicy

SAMPLED = ("temperature", "top_p", "top_k", "stop", "max_tokens", "weights")
"""What runs must have alike besides vocabulary and template for their counts to be of the same values."""


def settings_of_runs(settings: ValueSettings) -> ValueSettings:
    """The settings with the model and sampling of the runs; InputError for runs that cannot be used."""
    check_counts(map(Path, settings.run))
    for run in settings.run:
        check_training_rows(f"--run {run}", stored_settings(Path(run)), is_allowed=settings.allow_test)
    return sampled_as(Path(settings.run[0]), settings)


class ValueParts:
    """What a value model is learned from, read and checked before weights load."""

    rows: Sequence[RowLine] | None = None

    def __init__(self, settings: ValueSettings, _: RunFolder | None = None) -> None:
        self.settings, self.runs = settings, [Path(run) for run in settings.run]
        asking = engine.load_asking(settings)
        self.fingerprint: Mapping[str, Any] = asking.fingerprint
        if settings.lora_rank:
            with_new_adapter(settings, asking.skeleton())
        self.theirs = [fingerprint_of(run) for run in self.runs]
        for run, theirs in zip(self.runs, self.theirs, strict=True):
            check_same_prompts(run, theirs, self.fingerprint, "whose values are learned")
            _check_alike(run, theirs, self.runs[0], self.theirs[0])
        self._check_files()
        self.counted = read_counted(self.runs, asking.num_known, states=settings.states, seed=settings.seed)
        held_out(self.counted, settings.value_hold_out, settings.seed)

    def _check_files(self) -> None:
        """InputError if vLLM sampled with other files of weights, which it names its weights by."""
        for run, theirs in zip(self.runs, self.theirs, strict=True):
            if stored_settings(run)["engine"] == "vllm":
                model = engine.model_of(self.settings)[0]
                _check_weights(run, str(theirs["weights"]).partition("+")[0], files_digest(model))

    def check_weights(self, ours: str) -> None:
        """InputError unless the runs that name their weights by the numbers in them have these."""
        for run, theirs in zip(self.runs, self.theirs, strict=True):
            if stored_settings(run)["engine"] == "transformers":
                _check_weights(run, theirs["weights"], ours)

    @property
    def num_tokens(self) -> int:
        """Tokens that are read once."""
        return sum(len(one.start.ids) + len(one.ids) for one in self.counted)


def _check_alike(run: Path, theirs: Json, first: Path, ours: Json) -> None:
    for name in SAMPLED:
        if theirs.get(name) != ours.get(name):
            raise InputError(
                f"--run {run}: was sampled with other {name} ({theirs.get(name)!r}) than {first} "
                f"({ours.get(name)!r}), so it counted other values; give runs of one model and sampling"
            )


def _check_weights(run: Path, theirs: object, ours: str) -> None:
    if theirs != ours:
        raise InputError(
            f"--run {run}: counted the values of a model with other weights ({theirs!r} there, {ours!r} "
            "here); name that model with --model, or locate with this one"
        )


@contextmanager
def loaded(parts: ValueParts) -> Iterator[TransformersPolicy]:
    """The policy whose values the runs counted."""
    policy = engine.load_policy(parts.settings)
    parts.check_weights(policy.fingerprint["weights"])
    yield policy


def learn(parts: ValueParts, policy: TransformersPolicy, folder: RunFolder, stored: Json, ui: Ui) -> Json:
    """Fits the model, saves it as `value` in the run's folder, prints and returns the summary."""
    settings = parts.settings
    folder.take_up(stored, policy.fingerprint)
    ui.log(told(parts))
    fingerprint, tuned, model = policy.fingerprint, [], None
    if settings.lora_rank:
        policy.model = model = with_new_adapter(settings, policy.model)
        tuned = [one for one in model.parameters() if one.requires_grad]
    backbone = Backbone(policy.model, policy.temperature, policy.context, settings.batch_tokens)
    head = Head(backbone.hidden_size, settings.head)
    fitted = watched(parts, partial(_fit, backbone, head, parts, tuned), ui)
    source, adapter = engine.model_of(settings)
    folder.save(
        "value",
        lambda path: save(
            path,
            Values(backbone, head),
            fitted,
            fingerprint=fingerprint,
            backbone=source,
            backbone_adapter=adapter,
            adapter=model,
            problems=questions(parts.counted),
        ),
    )
    summary = summary_of(folder.path, fitted)
    write_json(folder.path / "summary.json", summary)
    ui.print(*report(fitted), f"written to {folder.path}")
    return summary


def finished(path: Path) -> Fitted | None:
    """What the run at `path` came to; None if it did not end, or if its model is damaged."""
    if not (path / "summary.json").is_file():
        return None
    try:
        return Fitted(**vars(described(path).fitted))
    except InputError:
        return None


def summary_of(path: Path, fitted: Fitted) -> Json:
    return {"method": "value", "fitted": asdict(fitted), "tokens": {}, "run": str(path)}


def _fit(backbone: Backbone, head: Head, parts: ValueParts, tuned: Sequence[Any], watch: Any) -> Fitted:
    settings = parts.settings
    return fit(backbone, head, parts.counted, settings, tuned=tuned, seed=settings.seed, watch=watch)


def watched(parts: ValueParts, work: Any, ui: Ui) -> Fitted:
    """Does the work, and shows how far it is: completions read, then epochs."""
    with Progress(ui, "train", "completions", len(parts.counted)) as bar:

        def watch(stage: str, done: int, total: int) -> None:
            if stage == "reading":
                bar.at(done)
            else:
                bar.unit, bar.total, bar.note = "epochs", total, stage
                bar.at(done)

        found: Fitted = work(watch)
        return found


def questions(counted: Sequence[Counted]) -> list[str]:
    """The questions that were learned from, in order."""
    return sorted({one.problem.question for one in counted})


def told(parts: ValueParts) -> str:
    """What the run costs."""
    num = len(parts.counted)
    return f"the run samples nothing; it reads {num:,} completions, {parts.num_tokens:,} tokens with prompts"


def report(fitted: Fitted) -> list[str]:
    """What a person reads at the end."""
    lines = [
        f"learned from {fitted.trials:,.0f} trials in {fitted.completions:,} completions of "
        f"{fitted.problems:,} problems, of which {fitted.held_out:,} decided when to stop",
        f"held-out log loss {fitted.loss:.3f} nats a trial; one rate for all has {fitted.base_loss:.3f}",
    ]
    if fitted.say:
        lines.append(f"in a search its values are worth {fitted.say:g} rollouts at every step")
    if fitted.loss > fitted.base_loss - 0.005:
        lines.append(
            "note: it knows no more than one rate for all; learn from more problems, or try --head linear "
            "--lora-rank 16"
        )
    return lines
