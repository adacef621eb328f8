"""A policy that samples with transformers: any causal language model, on one device, in this process.

Every state is prefilled once and its cache expanded to its samples. The log-probabilities are those of
a plain forward pass over the unpadded sequence, at the sampling temperature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import torch
from jinja2 import TemplateError
from transformers import PreTrainedModel

from gpo.policies.decoding import Ending, Row, batches, decode
from gpo.policies.fingerprint import template_digest, vocabulary_digest, weights_digest
from gpo.policies.loading import load
from gpo.policies.reader import read
from gpo.policies.sampler import Sampling
from gpo.types import Ids, InputError, Request, Sample, State, Tokenizer

_OURS = {"conversation", "messages", "tokenize", "add_generation_prompt", "continue_final_message"}
"""Arguments of the chat template that this policy gives itself."""


class Settings(TypedDict, total=False):
    """How a TransformersPolicy samples; see there."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: Sequence[str]
    batch_tokens: int
    chat: bool
    system_prompt: str | None
    template_args: Mapping[str, Any]


class RawTokenizer:
    """gpo.types.Tokenizer over a transformers tokenizer: no special tokens added, none dropped.

    Text that spells a special token becomes that token, as everywhere in transformers, so that decoding
    and encoding are inverse to each other; this holds for a question too. A data set whose questions
    spell "<|im_end|>" and mean the letters has to escape them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


class TransformersPolicy:
    """Samples from a causal language model that is held in memory.

    `model` may be in training mode: sampling switches to evaluation and back. A completion ends with any
    end token of the model's generation_config or of the tokenizer, or as soon as its sampled text contains
    a string of `stop`; both are part of the sample. `max_tokens` limits prefix plus continuation, and the
    model's context limits prompt plus completion. `batch_tokens` bounds the tokens held in the key-value
    cache at once: rows x (longest prompt and prefix + longest continuation), but at least one row.
    `system_prompt` and `template_args` (such as enable_thinking) go to the chat template, which does as it
    likes with them; without a template, or with `chat` off, they are an error. With `chat` off a question is
    asked as it stands, as a base model needs it. InputError if a setting is out of range or no
    end token is known.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        max_tokens: int = 1024,
        stop: Sequence[str] = (),
        batch_tokens: int = 65_536,
        chat: bool = True,
        system_prompt: str | None = None,
        template_args: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("max_tokens", max_tokens), ("batch_tokens", batch_tokens)):
            if value < 1:
                raise InputError(f"{name} is {value}; give at least 1")
        if isinstance(stop, str) or "" in stop:
            raise InputError(f"stop is {stop!r}; give a list of strings, none of them empty")
        if taken := _OURS & set(template_args or {}):
            raise InputError(f"template_args: {min(taken)!r} is not for the user to give")
        if not (chat and tokenizer.chat_template) and (system_prompt or template_args):
            why = "the tokenizer has no chat template" if chat else "no chat template is used (chat is off)"
            raise InputError(f"{why}; leave system_prompt and template_args out")
        self.version = 0
        self.model = model
        self.sampling = Sampling(temperature, top_p, top_k)
        self.max_tokens = max_tokens
        self.context = _context(model)
        self.tokenizer: Tokenizer = RawTokenizer(tokenizer)
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._chat_template = tokenizer.chat_template if chat else None
        self._system_prompt = system_prompt
        self._template_args = dict(template_args or {})
        self._ending = Ending(_end_ids(model, tokenizer), tuple(stop), self.tokenizer)

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
    def temperature(self) -> float:
        """What log-probabilities are relative to; 0 is greedy, whose log-probabilities are at 1."""
        return self.sampling.temperature

    @property
    def raw_tokenizer(self) -> Any:
        """The transformers tokenizer, as it was loaded."""
        return self._tokenizer

    @property
    def end_ids(self) -> Ids:
        """Every token that ends a completion, ascending."""
        return self._ending.token_ids

    def prompt_ids(self, question: str) -> Ids:
        """[L] the question as a user's turn of the chat template, up to where the assistant begins.

        Without a template it is the bare question, after a begin token if the tokenizer adds one. The
        begin token is never doubled. InputError if it is empty, does not leave room in the context, or
        the template refuses it.
        """
        if self._chat_template:
            ids = self.tokenizer.encode(self._render(question))
        else:
            ids = self._raw_prompt(question)
        return self._checked(tuple(ids), question)

    def _render(self, question: str) -> str:
        system = [] if self._system_prompt is None else [{"role": "system", "content": self._system_prompt}]
        turns = [*system, {"role": "user", "content": question}]
        arguments = {**self._template_args, "tokenize": False, "add_generation_prompt": True}
        try:
            return str(self._tokenizer.apply_chat_template(turns, **arguments))
        except (TemplateError, ValueError) as error:
            raise InputError(f"the chat template refuses the prompt {question[:60]!r}: {error}") from error

    def _raw_prompt(self, question: str) -> list[int]:
        bare, begin = self.tokenizer.encode(question), self._tokenizer.bos_token_id
        # A tokenizer may add other tokens, an end token too, that have no place in a prompt.
        adds_begin = begin is not None and self._tokenizer.encode(question)[:1] == [begin]
        return [begin, *bare] if adds_begin and bare[:1] != [begin] else bare

    def _checked(self, prompt_ids: Ids, question: str) -> Ids:
        if not prompt_ids:
            raise InputError("the prompt is empty: the question has no text, and nothing is added to it")
        if self.context is not None and len(prompt_ids) >= self.context:
            raise InputError(
                f"the prompt has {len(prompt_ids)} tokens and the model's context is {self.context}: "
                f"nothing can follow {question[:60]!r}; shorten it"
            )
        return prompt_ids

    def text(self, ids: Sequence[int]) -> str:
        """The text of completion ids without special tokens."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the values of its states depend on: weights, vocabulary, template, sampling settings."""
        return {
            "weights": weights_digest(self.model),
            "vocabulary": vocabulary_digest(self._tokenizer),
            "template": template_digest(self._chat_template, self._system_prompt, self._template_args),
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "stop": list(self._ending.strings),
            "max_tokens": self.max_tokens,
        }

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """Log-probabilities and entropies of continuations that were not sampled here: forward passes only.

        Each is conditioned on its state as in `sample`. InputError if one exceeds the model's context.
        """
        with _evaluating(self.model), torch.inference_mode():
            return read(self.model, given, self.sampling, self.context, self._batch_tokens)

    def save(self, path: Path) -> None:
        """Writes model (its adapter alone, if it has one) and tokenizer to a folder that `load` reads."""
        self.model.save_pretrained(path)
        self._tokenizer.save_pretrained(path)

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its `num` samples, in order.

        What is sampled depends on the request alone, not on the others or on `batch_tokens`, as far as
        the model's arithmetic does not: kernels round differently for other shapes. A state that has
        used up the token limit gets empty unfinished samples. InputError if a prompt is empty or as
        long as the context; FloatingPointError if the model's logits are not finite.
        """
        rows = [self._row(request, index) for request in requests for index in range(request.num)]
        samples = [Sample((), (), (), finished=False)] * len(rows)
        open_rows = [k for k, row in enumerate(rows) if row.num_new > 0]
        with _evaluating(self.model), torch.inference_mode():
            for batch in batches([rows[k] for k in open_rows], self._batch_tokens):
                chosen = [open_rows[k] for k in batch]
                decoded = decode(
                    self.model, [rows[k] for k in chosen], self.sampling, self._ending, self.context
                )
                for k, sample in zip(chosen, decoded, strict=True):
                    samples[k] = sample
        remaining = iter(samples)
        return [[next(remaining) for _ in range(request.num)] for request in requests]

    def _row(self, request: Request, index: int) -> Row:
        state = request.state
        self._checked(state.problem.prompt_ids, state.problem.question)
        limit = self.max_tokens - len(state.prefix_ids)
        if self.context is not None:
            limit = min(limit, self.context - len(state.ids))
        return Row(state.ids, limit, request.seed, index)


def _context(model: PreTrainedModel) -> int | None:
    """Most tokens of prompt plus completion that the model has positions for; None if it needs none."""
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _end_ids(model: PreTrainedModel, tokenizer: Any) -> Ids:
    """The end tokens of generation_config, which may list several, and of the tokenizer together."""
    config = getattr(model, "generation_config", None)
    configured = getattr(config, "eos_token_id", None)
    found = {*(configured if isinstance(configured, list) else [configured]), tokenizer.eos_token_id} - {None}
    if not found:
        raise InputError(
            "neither the tokenizer nor generation_config names an end token, so no completion could end; "
            "set eos_token in tokenizer_config.json or eos_token_id in generation_config.json"
        )
    return tuple(sorted(found))


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside, afterwards training mode for exactly the modules that had it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
