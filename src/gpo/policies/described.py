"""A policy as its folder describes it: tokenizer, template, config and headers, and no weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self, Unpack

import torch
from transformers import AutoModelForCausalLM

from gpo.policies.adapters import load_adapter
from gpo.policies.loading import (
    check_vocabulary,
    checked_source,
    load_config,
    load_tokenizer,
    one_line,
    source_of,
)
from gpo.policies.prompting import PromptedPolicy, Prompting, context_of, end_ids_of
from gpo.types import DataWarning, Ids


def load_description(name: str | Path, *, trust_remote_code: bool) -> tuple[Any, Ids, Any]:
    """Tokenizer, end tokens and config of a local folder or hub name; InputError if they cannot be had."""
    source = source_of("model", name)
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    config, generation = load_config(source, trust_remote_code=trust_remote_code)
    return tokenizer, end_ids_of(generation, tokenizer), config


class DescribedPolicy(PromptedPolicy):
    """Asks as every engine of the model does, and reads what was answered; it cannot sample.

    So prompts, rows and trajectories are made and checked before what takes minutes to load.
    """

    config: Any
    trust_remote_code: bool

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        adapter: str | Path | None = None,
        trust_remote_code: bool = False,
        has_weights: bool = True,
        **settings: Unpack[Prompting],
    ) -> Self:
        """The policy of a local folder or hub name, with an optional PEFT adapter.

        `has_weights` says that the weights will be loaded from there: a server has its own. InputError for
        what the tokenizer, the config and the headers of the files show to be wrong.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # it comes again with the weights
            return cls._checked_load(model, adapter, trust_remote_code, has_weights, settings)

    @classmethod
    def _checked_load(
        cls,
        model: str | Path,
        adapter: str | Path | None,
        trust_remote_code: bool,
        has_weights: bool,
        settings: Prompting,
    ) -> Self:
        source = checked_source("model", model) if has_weights else None
        adapter_source = checked_source("adapter", adapter) if adapter is not None else None
        tokenizer, end_ids, config = load_description(model, trust_remote_code=trust_remote_code)
        size = getattr(config.get_text_config(), "vocab_size", None)
        num_rows = size if isinstance(size, int) else None
        if source is not None and num_rows is not None:
            check_vocabulary(source, tokenizer, num_rows)
        made = cls(tokenizer, end_ids=end_ids, context=context_of(config), num_rows=num_rows, **settings)
        made.config, made.trust_remote_code = config, trust_remote_code
        if adapter_source is not None:
            with one_line("adapter", adapter_source):
                load_adapter(made.skeleton(), adapter_source)
        return made

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What all engines of this model share: everything but the weights."""
        return {key: value for key, value in self.described(None).items() if key != "weights"}

    @property
    def num_known(self) -> int:
        """How many ids may have been sampled: a model's embedding is often padded beyond its tokenizer."""
        return max(self.num_ids, self.num_rows or 0)

    def skeleton(self) -> Any:
        """The model without numbers: its modules, with the names and shapes of their weights."""
        build: Any = AutoModelForCausalLM.from_config
        with torch.device("meta"):
            return build(self.config, trust_remote_code=self.trust_remote_code)
