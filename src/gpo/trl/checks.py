"""What a trainer must be like for its groups to be one state each; anything else is refused in one line."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from transformers import ProcessorMixin

from gpo.recipe import Recipe
from gpo.rope import switch_of
from gpo.rules import CRITIC_RULES
from gpo.tasks.splits import held_out_dataset
from gpo.types import DataWarning, InputError

_UNCUT = "the log-probabilities that are trained are those of the uncut distribution"
_ENGINE = "gpo samples with the trainer's own model"
_WHOLE = "only models that are whole in every process are supported, with or without DDP"


def check_recipe(recipe: Recipe, reset_share: float) -> None:
    """InputError if a recipe asks for what a trainer's batch cannot hold."""
    if not 0 <= reset_share <= 0.5 and reset_share != 1:
        raise InputError(
            f"reset_share is {reset_share}; give 0 to 0.5, as a fresh group gives at most one reset group, "
            "or 1 for a reset group in every place"
        )
    if reset_share and (recipe.rule == "base" or not recipe.resets or "resets" not in recipe.trained):
        raise InputError(
            f"reset_share is {reset_share}, but the recipe trains no resets; give 0 or change it"
        )
    if reset_share == 1 and recipe.explored not in ("all", "failed"):
        raise InputError(
            f"reset_share is 1, which samples one trajectory per prompt, and {recipe.explored!r} ones are "
            "known only among several; use explored 'all' or 'failed'"
        )
    if "explore" not in recipe.trained and reset_share < 1:
        raise InputError(
            "trained: lacks 'explore', but fresh groups have places in a trainer's batch; add it"
        )
    only_trained = {
        "splice": (recipe.splice, "leave it out"),
        "credit": (recipe.credit == "split", "use Recipe.named('pivot', credit='group') and reset_share=1"),
        "ladders": (recipe.ladders > 0, "leave it out"),
        "rule": (recipe.rule in CRITIC_RULES, "use 'entropy'"),
        "proposal": (recipe.proposal == "self", "use 'entropy'"),
    }
    for name, (is_asked, instead) in only_trained.items():
        if is_asked:
            value = getattr(recipe, name)
            raise InputError(f"{name} is {value!r} in the recipe, which only `gpo train` can do; {instead}")


def check_trainer(trainer: Any) -> None:
    """InputError if a setting of the trainer's cannot be honoured by the rollout function."""
    settings: list[tuple[str, Any, tuple[Any, ...], str]] = [
        ("use_vllm", trainer.use_vllm, (False,), _ENGINE),
        (
            "use_transformers_continuous_batching",
            trainer.use_transformers_continuous_batching,
            (False,),
            _ENGINE,
        ),
        ("generation_kwargs", trainer.args.generation_kwargs, (None, {}), _ENGINE),
        ("top_p", trainer.top_p, (1,), _UNCUT),
        ("top_k", trainer.top_k, (None, 0), _UNCUT),
        ("min_p", trainer.min_p, (None, 0), _UNCUT),
        ("repetition_penalty", trainer.repetition_penalty, (1,), _UNCUT),
        ("tools", trainer.tools, (None, []), "only single-turn text is supported"),
        ("fsdp", trainer.is_fsdp_enabled, (False,), _WHOLE),
        ("deepspeed", trainer.is_deepspeed_enabled, (False,), _WHOLE),
    ]
    for name, value, allowed, reason in settings:
        if value not in allowed:
            raise InputError(f"{name} is {value!r:.60} in the trainer, but {reason}; leave it out")
    if trainer.temperature <= 0:
        raise InputError(f"temperature is {trainer.temperature} in the trainer; give a positive number")
    if isinstance(trainer.processing_class, ProcessorMixin):
        raise InputError(
            "processing_class is a processor of images too; only text models are supported; pass the "
            "tokenizer alone"
        )


def check_split(dataset: Any, *, is_allowed: bool) -> None:
    """InputError if the rows to train on are for testing; a DataWarning where they are allowed."""
    found = held_out_dataset(dataset)
    if found and is_allowed:
        warnings.warn(
            f"train_dataset: trains on {found}; do not test the model on them", DataWarning, stacklevel=2
        )
    elif found:
        raise InputError(
            f"train_dataset: would train on {found}, and no model trained on these rows can be tested on "
            "them; pass the split 'train', or give rollout_func allow_test=True"
        )


def check_one_side(config: Any, prompt_lengths: Sequence[int], max_tokens: int) -> None:
    """InputError where a trainer's batch could mix rows that a LongRoPE model reads with other frequencies.

    `prompt_lengths` are those of the call's prompts, to which up to `max_tokens` are added.
    """
    switch = switch_of(config)
    if not switch or not prompt_lengths:
        return
    longest = max(prompt_lengths)
    if longest + max_tokens > switch and min(prompt_lengths) < switch:
        raise InputError(
            f"max_completion_length is {max_tokens} in the trainer: with a prompt of {longest} tokens that "
            f"passes {switch}, from where this LongRoPE model reads with other frequencies, and TRL would "
            f"mix both kinds in a batch; keep prompt and completion within {switch} tokens together"
        )


def group_starts(prompts: Sequence[Any], group_size: int) -> list[Any]:
    """[U] the prompts of a process's groups; InputError if a group would be shared with another process."""
    firsts = list(prompts[::group_size])
    repeated = [first for first in firsts for _ in range(group_size)]
    if len(repeated) != len(prompts) or repeated != list(prompts):
        raise InputError(
            f"num_generations is {group_size}, and this process has {len(prompts)} rows: a group would be "
            "shared by processes, which reset to different states; make per_device_train_batch_size x "
            "steps_per_generation a multiple of num_generations"
        )
    return firsts


def num_resets(num_groups: int, reset_share: float) -> int:
    """How many of a process's groups may be reset groups; InputError if a share above 0 is less than one."""
    num = math.floor(reset_share * num_groups + 1e-9)
    if reset_share and not num:
        raise InputError(
            f"reset_share is {reset_share}, less than one of this process's {num_groups} groups; make "
            f"per_device_train_batch_size x steps_per_generation at least {math.ceil(1 / reset_share)} x "
            "num_generations, or give 0"
        )
    return num
