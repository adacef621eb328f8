"""TRL's preference trainers on exact token ids, and pairs that weigh differently.

TRL 1.16 reads text or messages, which it tokenises again: sampled ids come out different, an end token is
added to every answer that lacks one, and messages that end in the assistant's turn are closed and another
turn is opened. So each trainer here is given ids. What is overridden, and checked by a test for each:

    DPO, KTO     `_prepare_dataset`, which would tokenise; their collators read ids already
    CPO, ORPO    `tokenize_row`, a public method
    ORPO         its log-likelihood term, which TRL takes over prompt and answer, is that of the answer
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from gpo.types import InputError, Labelled, Preference


class Exact:
    """The rows are ids, no one is told of the training, and the learning rate never starts at nothing."""

    args: Any
    optimizer: Any
    lr_scheduler: Any

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _send_telemetry(self) -> None:
        pass

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:  # noqa: ARG002
        """A linear rise whose first update has a rate already: a round of few updates would waste it."""
        warmup = max(1, self.args.warmup_steps)
        made = LambdaLR(optimizer or self.optimizer, lambda n: min(1.0, (n + 1) / warmup))
        self.lr_scheduler = made
        return made


class Weighted:
    """Each pair's loss times its weight; without weights TRL's own mean.

    TRL knows no weight of a pair, and its losses are means over a batch. So a batch with weights is read
    pair by pair: the loss is TRL's, whatever its form, and costs a forward pass for each.
    """

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        weights = inputs.pop("weight", None)
        loss = super().compute_loss  # type: ignore[misc]
        if weights is None:
            return loss(model, inputs, *args, **options)
        num = len(weights)
        parts = [
            float(weight) * loss(model, row_of(inputs, i, num), *args, **options)
            for i, weight in enumerate(weights)
        ]
        return sum(parts) / num


def row_of(inputs: Mapping[str, Any], i: int, num: int) -> dict[str, Any]:
    """Pair i of a batch of `num`; what has 2 `num` rows holds all chosen and then all rejected ones."""
    return {
        key: value[[i, num + i]] if isinstance(value, Tensor) and len(value) == 2 * num else value[i : i + 1]
        for key, value in inputs.items()
    }


class ExactDPO(Weighted, Exact, DPOTrainer):
    """DPO and IPO."""


class ExactKTO(Exact, KTOTrainer):
    """KTO."""


class WithWeights(DataCollatorForPreference):
    """TRL's collator, which leaves weights out, with them."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        if "weight" in examples[0]:
            batch["weight"] = [example["weight"] for example in examples]
        return batch


class RowsOfIds:
    """For the trainers whose rows are tokenised by a method of their own."""

    def tokenize_row(self, feature: Mapping[str, Any], model: Any = None) -> dict[str, Any]:  # noqa: ARG002
        prompt = list(feature["prompt_ids"])
        row = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for side in ("chosen", "rejected"):
            answer = list(feature[f"{side}_ids"])
            row |= {
                f"{side}_input_ids": prompt + answer,
                f"{side}_attention_mask": [1] * (len(prompt) + len(answer)),
                f"{side}_labels": [-100] * len(prompt) + answer,
            }
        return row


class OnlyTheAnswer:
    """ORPO's log-likelihood term over the chosen answer alone (eq. 6 of arXiv 2403.07691 conditions on x)."""

    def concatenated_forward(self, model: Any, batch: Mapping[str, Any]) -> tuple[Any, ...]:
        chosen, rejected, chosen_logits, rejected_logits, _, *rest = super().concatenated_forward(  # type: ignore[misc]
            model, batch
        )
        return (chosen, rejected, chosen_logits, rejected_logits, -chosen.mean(), *rest)


def experimental(name: str) -> tuple[type, type]:
    """(trainer on ids, config) of TRL's experimental `cpo` or `orpo`; InputError where it was dropped."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    try:
        module = importlib.import_module(f"trl.experimental.{name}")
        trainer, config = getattr(module, f"{name.upper()}Trainer"), getattr(module, f"{name.upper()}Config")
    except (ImportError, AttributeError) as error:
        method = {"cpo": "simpo", "orpo": "orpo"}[name]
        raise InputError(
            f"method: {method} needs trl.experimental.{name}, which this TRL does not have ({error}); "
            "install trl 1.16, or train with dpo, ipo or kto"
        ) from None
    bases = (Weighted, RowsOfIds, OnlyTheAnswer, Exact) if name == "orpo" else (Weighted, RowsOfIds, Exact)
    return type(f"Exact{name.upper()}", (*bases, trainer), {}), config


def trainer_and_config(method: str) -> tuple[type, type]:
    """The trainer on ids and TRL's config of a method."""
    if method in ("dpo", "ipo"):
        return ExactDPO, DPOConfig
    if method == "kto":
        return ExactKTO, KTOConfig
    return experimental({"simpo": "cpo", "orpo": "orpo"}[method])


def paired_dataset(rows: Sequence[Preference]) -> Dataset:
    """Pairs as TRL's columns; weights, of mean 1, only where they differ."""
    columns: dict[str, list[Any]] = {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "chosen_ids": [list(row.chosen_ids) for row in rows],
        "rejected_ids": [list(row.rejected_ids) for row in rows],
    }
    mean = sum(row.weight for row in rows) / len(rows)
    if any(row.weight != rows[0].weight for row in rows):
        columns["weight"] = [row.weight / mean for row in rows]
    return Dataset.from_dict(columns)


def unpaired_dataset(rows: Sequence[Labelled], batch: int) -> Dataset:
    """Unpaired rows as TRL's columns, in the order in which they are trained.

    KTO estimates its reference point from each batch's answers after the prompt of the row before (arXiv
    2402.01306, section 4.1), so they rotate within the batch.
    """
    answers = [list(row.completion_ids) for row in rows]
    parts = [answers[first : first + batch] for first in range(0, len(answers), batch)]
    return Dataset.from_dict(
        {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": answers,
            "KL_completion_ids": [answer for part in parts for answer in part[-1:] + part[:-1]],
            "label": [row.is_right for row in rows],
        }
    )
