"""A policy that samples with transformers: any causal language model, on one device, in this process.

Every state is prefilled once and its cache expanded to its samples. The log-probabilities are those of
a plain forward pass over the unpadded sequence, at the sampling temperature.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, Unpack

import torch
from transformers import PreTrainedModel

from gpo.checksums import unseal
from gpo.policies.decoding import Ending, Row, batches, decode
from gpo.policies.fingerprint import weights_digest
from gpo.policies.loading import load
from gpo.policies.prompting import PromptedPolicy, Prompting, context_of, end_ids_of
from gpo.policies.reader import read
from gpo.policies.weights import num_tokens
from gpo.rope import switch_of
from gpo.types import Ids, InputError, Request, Sample, State


class Settings(Prompting, total=False):
    """How a TransformersPolicy samples; see there."""

    batch_tokens: int


class TransformersPolicy(PromptedPolicy):
    """Samples from a causal language model that is held in memory.

    `model` may be in training mode: sampling switches to evaluation and back. The end tokens are those of the
    model's generation_config and of the tokenizer. `batch_tokens` bounds the tokens held in the key-value
    cache at once: rows x (longest prompt and prefix + longest continuation), but at least one row. The
    other settings are PromptedPolicy's. InputError if one is out of range or no end token is known.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        batch_tokens: int = 65_536,
        **settings: Unpack[Prompting],
    ) -> None:
        if batch_tokens < 1:
            raise InputError(f"batch_tokens is {batch_tokens}; give at least 1")
        end_ids = end_ids_of(getattr(model, "generation_config", None), tokenizer)
        context, num_rows = context_of(model.config), num_tokens(model)
        super().__init__(tokenizer, end_ids=end_ids, context=context, num_rows=num_rows, **settings)
        self.model = model
        self._batch_tokens = batch_tokens
        self._ending = Ending(self.end_ids, self.stop, self.tokenizer)
        self._stop = threading.Event()

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        adapter: str | Path | None = None,
        trust_remote_code: bool = False,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        **settings: Unpack[Settings],
    ) -> Self:
        """The policy of a local folder or hub name, with an optional PEFT adapter (folder or hub name).

        Code that comes with a model runs only with `trust_remote_code`. `device` None is the first GPU
        if there is one, `dtype` None the checkpoint's. InputError, in one line, if it cannot be loaded.
        """
        loaded, tokenizer = load(
            model, adapter=adapter, trust_remote_code=trust_remote_code, device=device, dtype=dtype
        )
        return cls(loaded, tokenizer, **settings)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its values depend on: weights, vocabulary, template, sampling settings."""
        return self.described(weights_digest(self.model))

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """Log-probabilities and entropies of continuations that were not sampled here: forward passes only.

        Each is conditioned on its state as in `sample`. InputError if one exceeds the model's context.
        """
        with evaluating(self.model), torch.inference_mode():
            return read(self.model, given, self.sampling, self.context, self._batch_tokens)

    def save(self, path: Path) -> None:
        """Writes model (its adapter alone, if it has one) and tokenizer to a folder that `load` reads."""
        unseal(path)
        self.model.save_pretrained(path)
        self._tokenizer.save_pretrained(path)

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its `num` samples, in order.

        Samples depend on the request alone, not on the others or on `batch_tokens`, except that kernels round
        differently for other shapes. A state that has used up the token limit gets empty unfinished samples.
        InputError if a prompt is empty or as long as the context; FloatingPointError if the model's logits
        are not finite.
        """
        rows = [self._row(request, index) for request in requests for index in range(request.num)]
        samples = [Sample((), (), (), finished=False)] * len(rows)
        open_rows = [k for k, row in enumerate(rows) if row.num_new > 0]
        self._stop.clear()
        with evaluating(self.model), torch.inference_mode():
            for batch in batches(
                [rows[k] for k in open_rows], self._batch_tokens, switch_of(self.model.config)
            ):
                chosen = [open_rows[k] for k in batch]
                wave = [rows[k] for k in chosen]
                decoded = decode(
                    self.model, wave, self.sampling, self._ending, self.context, self._stop, self._count
                )
                for k, sample in zip(chosen, decoded, strict=True):
                    samples[k] = sample
        remaining = iter(samples)
        return [[next(remaining) for _ in range(request.num)] for request in requests]

    def interrupt(self) -> None:
        """Makes a `sample` call in another thread raise StoppedError at its next token."""
        self._stop.set()

    def _count(self, num: int) -> None:
        self.num_drawn += num

    def _row(self, request: Request, index: int) -> Row:
        return Row(request.state.ids, self.room(request.state, request.most), request.seed, index)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside, afterwards training mode for exactly the modules that had it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
