"""Pairs and labelled rows to weights: DPO, IPO, KTO, SimPO and ORPO, by TRL.

With x the prompt and prefix, y+ and y- the answers, r = log pi(y|x) - log pi_ref(y|x), |y| its tokens:

    DPO    -log s(beta (r+ - r-))                                             arXiv 2305.18290
    IPO    (r+ / |y+| - r- / |y-| - 1 / (2 beta))^2                           arXiv 2310.12036
    KTO    1 - s(beta (r+ - z)) and 1 - s(beta (z - r-)), z the batch's KL    arXiv 2402.01306
    SimPO  -log s(beta (log pi(y+|x) / |y+| - log pi(y-|x) / |y-|) - gamma)   arXiv 2405.14734
    ORPO   -log pi(y+|x) / |y+| - beta log s(log odds(y+) - log odds(y-))     arXiv 2403.07691

An added log-likelihood term on y+ keeps its probability from falling along with that of y-.
The reference is the model as it comes in, read once before training.
"""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PrinterCallback, TrainerCallback

from gpo.learn import trainer_checkpoints
from gpo.learn.optimisation import PreferenceOptimisation
from gpo.rope import switch_of
from gpo.seeds import derive_seed
from gpo.types import InputError, Labelled, Preference, TrainedRows

BETAS = {"dpo": 0.1, "ipo": 0.1, "kto": 0.1, "simpo": 2.0, "orpo": 0.1}
"""Each method's own default; SimPO's is that of its paper."""

TESTED = "1.16"
"""The minor version of TRL that the tests ran with."""

Watch = Callable[[int, int], None]
"""Called with (updates done, updates in all)."""

PER_UPDATE = {"loss": "loss", "rewards/margins": "margin", "rewards/accuracies": "accuracy"}
"""What is kept of every update: TRL's name and ours."""

Note = Callable[[int, dict[str, float]], None]
"""Called with (updates done, TRL's metrics of the last one)."""


def train(
    model: Any,
    tokenizer: Any,
    rows: TrainedRows,
    settings: PreferenceOptimisation,
    *,
    folder: Path,
    seed: int,
    watch: Watch | None = None,
    note: Note | None = None,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Trains the model in place; returns the means of TRL's metrics over the last epoch, and every update's.

    `folder` takes TRL's checkpoints; training continues from the last. Rows are shuffled by `seed`.
    InputError for a TRL outside the tested range and for what the method cannot do.
    """
    check_trl()
    check_rows(rows, settings)
    check_one_side(model.config, rows)
    progress = Progress(watch, note)
    with as_found(model):
        trainer = make_trainer(model, tokenizer, rows, settings, folder, seed)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(progress)
        trainer.add_callback(trainer_checkpoints.Keeping(folder))
        trainer.train(resume_from_checkpoint=trainer_checkpoints.last_whole(folder))
        logs = [line for line in trainer.state.log_history if "loss" in line]
        updates = trainer.state.global_step
    num_tokens = settings.epochs * sum(len(ids) for row in rows for ids in row.answers.values())
    counts = {"updates": updates, "rows": len(rows), "tokens": num_tokens}
    learned = {f"train/{name}": float(num) for name, num in counts.items()}
    per_update = [{ours: line[name] for name, ours in PER_UPDATE.items() if name in line} for line in logs]
    return learned | last_epoch(logs, settings.epochs), per_update


def check_trl() -> None:
    """InputError unless a TRL of the tested range is installed."""
    try:
        found = version("trl")
    except PackageNotFoundError:
        raise InputError("method: needs TRL, which is not installed; pip install 'gpo[trl]'") from None
    if found.split(".")[:2] != TESTED.split("."):
        raise InputError(
            f"method: trl {found} is outside the tested range {TESTED}.*; pip install 'trl=={TESTED}.*'"
        )


def check_rows(rows: TrainedRows, settings: PreferenceOptimisation) -> None:
    """InputError for rows that the method cannot train, a weight among them."""
    if not rows:
        raise InputError(f"method: {settings.method} has no rows to train on; build some with gpo pairs")
    kind = Labelled if settings.method == "kto" else Preference
    if not all(isinstance(row, kind) for row in rows):
        raise InputError(f"method: {settings.method} trains {kind.__name__} rows, but got others")
    if settings.method == "kto" and len(rows) < 2:
        raise InputError("method: kto estimates its reference point from other rows; give at least 2")


def check_one_side(config: Any, rows: TrainedRows) -> None:
    """InputError where TRL's batches would mix rows that a LongRoPE model reads with different frequencies.

    A batch is read with the frequencies of its longest row, so a shorter one would get a gradient that is
    not its own.
    """
    switch = switch_of(config)
    lengths = [len(row.prompt_ids) + len(ids) for row in rows for ids in row.answers.values()]
    num_past = sum(length > switch for length in lengths) if switch else 0
    if num_past not in (0, len(lengths)):
        raise InputError(
            f"max_length: {num_past} of {len(lengths)} sequences are longer than {switch} tokens, from where "
            "this LongRoPE model reads with other frequencies, and TRL would mix both kinds in a batch; "
            f"give --max-length {switch}"
        )


def make_trainer(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Any],
    settings: PreferenceOptimisation,
    folder: Path,
    seed: int,
) -> Any:
    """TRL's trainer of the method, on the rows' ids."""
    from gpo.learn import exact_ids

    os.environ["TQDM_DISABLE"] = "1"
    trainer, config = exact_ids.trainer_and_config(settings.method)
    # TRL gives a tokenizer without one a pad token, which is nothing to the user's own.
    tokenizer = copy.deepcopy(tokenizer)
    options = {**common(settings, model, folder, seed), **OWN[settings.method](settings, rows)}
    extra: dict[str, Any] = {}
    if settings.method == "kto":
        # KTO reads its rows in order, so that the answers of a batch stay those of its estimate.
        order = np.random.default_rng(derive_seed(seed, "rows")).permutation(len(rows))
        dataset = exact_ids.unpaired_dataset([rows[i] for i in order], settings.microbatch)
    else:
        dataset = exact_ids.paired_dataset(rows)
    if settings.method in ("dpo", "ipo"):
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        extra["data_collator"] = exact_ids.WithWeights(pad_token_id=pad)
    return trainer(
        model=model, args=config(**options), train_dataset=dataset, processing_class=tokenizer, **extra
    )


def common(settings: PreferenceOptimisation, model: Any, folder: Path, seed: int) -> dict[str, Any]:
    """What all of TRL's configs take."""
    is_cpu = next(model.parameters()).device.type == "cpu"
    return {
        "output_dir": str(folder),
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_updates,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.microbatch,
        "gradient_accumulation_steps": settings.minibatch // settings.microbatch,
        "max_grad_norm": settings.max_grad_norm,
        "weight_decay": settings.weight_decay,
        "adam_beta2": 0.99,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": settings.mixed_precision == "bf16",
        "seed": derive_seed(seed, "trl") % 2**31,
        "use_cpu": is_cpu,
        "dataloader_pin_memory": not is_cpu,
        "max_length": None if settings.method in ("dpo", "ipo", "kto") else 2**30,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "steps" if settings.save_every else "no",
        "save_steps": settings.save_every or 500,
        "disable_tqdm": True,
    }


def beta_of(settings: PreferenceOptimisation) -> float:
    return BETAS[settings.method] if settings.beta is None else settings.beta


def _dpo(settings: PreferenceOptimisation, _: Sequence[Any]) -> dict[str, Any]:
    losses, weights = ["sigmoid" if settings.method == "dpo" else "ipo"], [1.0]
    if settings.nll_weight:
        losses, weights = [*losses, "sft"], [*weights, settings.nll_weight]
    # The reference's log-probabilities are read once, so that no second model is held.
    reference = {"precompute_ref_log_probs": True, "precompute_ref_batch_size": settings.microbatch}
    return {"beta": beta_of(settings), "loss_type": losses, "loss_weights": weights, **reference}


def _kto(settings: PreferenceOptimisation, rows: Sequence[Labelled]) -> dict[str, Any]:
    """The rarer label weighs as much as the other in all (eq. 8 of arXiv 2402.01306)."""
    right = max(1, sum(row.is_right for row in rows))
    wrong = max(1, len(rows) - right)
    return {
        "beta": beta_of(settings),
        "desirable_weight": max(1.0, wrong / right),
        "undesirable_weight": max(1.0, right / wrong),
        "precompute_ref_log_probs": True,
        "precompute_ref_batch_size": settings.microbatch,
    }


def _simpo(settings: PreferenceOptimisation, _: Sequence[Any]) -> dict[str, Any]:
    gamma, nll = settings.simpo_gamma, settings.nll_weight
    return {"beta": beta_of(settings), "loss_type": "simpo", "simpo_gamma": gamma, "cpo_alpha": nll}


def _orpo(settings: PreferenceOptimisation, _: Sequence[Any]) -> dict[str, Any]:
    return {"beta": beta_of(settings)}


OWN: dict[str, Callable[[PreferenceOptimisation, Sequence[Any]], dict[str, Any]]] = {
    "dpo": _dpo,
    "ipo": _dpo,
    "kto": _kto,
    "simpo": _simpo,
    "orpo": _orpo,
}


class Progress(TrainerCallback):
    """Tells how far training is and what it measured, and stops it where a gradient is not finite."""

    def __init__(self, watch: Watch | None, note: Note | None) -> None:
        self.watch, self.note = watch, note

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.watch:
            self.watch(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        if self.note and "loss" in (logs or {}):
            self.note(
                state.global_step, {f"train/{k}": v for k, v in logs.items() if k not in ("epoch", "step")}
            )
        norm = (logs or {}).get("grad_norm", 0.0)
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient is {norm}; lower the learning rate or use float32")


def last_epoch(logs: Sequence[dict[str, float]], epochs: int) -> dict[str, float]:
    """Means of TRL's metrics over the last epoch, under `train/`; batches without a value are passed over."""
    last = [line for line in logs if line["epoch"] > epochs - 1] or list(logs)
    names = [name for name in last[0] if name not in ("epoch", "step", "learning_rate")]
    found = {}
    for name in names:
        values = [line[name] for line in last if not math.isnan(line.get(name, math.nan))]
        if values:
            found[f"train/{name}"] = sum(values) / len(values)
    return found


@contextmanager
def as_found(model: Any) -> Iterator[None]:
    """Takes back what TRL leaves on a model: a patched forward, a pad token, a copy of the adapter.

    Inside, nothing is said of options of transformers that TRL uses by their old names.
    """
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    configs = [config for config in (model.config.get_text_config(), model.generation_config) if config]
    pads = [config.pad_token_id for config in configs]
    found = {id(one): (one, dict(vars(one))) for one in (model, inner)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if "ref" in getattr(model, "peft_config", {}):
            model.delete_adapter("ref")
        for one, before in found.values():
            for name in vars(one).keys() - before.keys():
                del one.__dict__[name]
        for config, pad in zip(configs, pads, strict=True):
            config.pad_token_id = pad
        model.eval()
