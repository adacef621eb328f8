"""What every engine shares: questions to prompt ids, ids to text, what ends a completion and its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypedDict

from gpo.policies.fingerprint import template_digest, vocabulary_digest
from gpo.policies.sampler import Sampling
from gpo.policies.seen import Sight
from gpo.policies.template import ChatTemplate
from gpo.policies.traces import trace_of
from gpo.protocols import Capabilities, Tokenizer, Trace
from gpo.types import CompletionText, Ids, InputError, Problem, State


class Prompting(TypedDict, total=False):
    """How a policy asks and samples; see PromptedPolicy."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: Sequence[str]
    chat: bool
    system_prompt: str | None
    template_args: Mapping[str, Any]
    thinking_marks: Sequence[Sequence[str]]


class RawTokenizer:
    """gpo.protocols.Tokenizer over a transformers tokenizer: no special tokens added, none dropped.

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


class PromptedPolicy(Capabilities):
    """The half of a gpo.protocols.Policy that no engine does: prompts, texts, limits.

    A completion ends with one of `end_ids`, or as soon as its sampled text contains a string of `stop`; both
    are part of the sample. `max_tokens` limits prefix plus continuation, and `context` prompt plus
    completion. `system_prompt` and `template_args` (such as enable_thinking) go to the chat template;
    without a template, or with `chat` off, they are an error. With `chat` off a question is asked as it
    stands, as a base model needs it. `thinking_marks` are pairs that open and close what no reader sees,
    beside those of gpo.marks. InputError if a setting is out of range.
    """

    num_drawn = 0

    def __init__(
        self,
        tokenizer: Any,
        *,
        end_ids: Ids,
        context: int | None,
        num_rows: int | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        max_tokens: int = 1024,
        stop: Sequence[str] = (),
        chat: bool = True,
        system_prompt: str | None = None,
        template_args: Mapping[str, Any] | None = None,
        thinking_marks: Sequence[Sequence[str]] = (),
    ) -> None:
        if max_tokens < 1:
            raise InputError(f"max_tokens is {max_tokens}; give at least 1")
        if isinstance(stop, str) or "" in stop:
            raise InputError(f"stop is {stop!r}; give a list of strings, none of them empty")
        if not (chat and tokenizer.chat_template) and (system_prompt or template_args):
            why = "the tokenizer has no chat template" if chat else "no chat template is used (chat is off)"
            raise InputError(f"{why}; leave system_prompt and template_args out")
        self.version = 0
        self.sampling = Sampling(temperature, top_p, top_k)
        self.max_tokens = max_tokens
        self.context = context
        self.num_rows = num_rows
        """Rows of the model's embedding, which are the ids that it knows; None if that is not known."""
        self.end_ids = end_ids
        """Every token that ends a completion, ascending."""
        self.stop = tuple(stop)
        self.tokenizer: Tokenizer = RawTokenizer(tokenizer)
        self._tokenizer = tokenizer
        self._chat_template = tokenizer.chat_template if chat else None
        self._system_prompt = system_prompt
        self._template_args = dict(template_args or {})
        self.template = (
            ChatTemplate(tokenizer, system_prompt, self._template_args) if self._chat_template else None
        )
        """The chat template that questions are asked through; None where they are asked as they stand."""
        self.sight = Sight(tokenizer, partial(_generation_prompt, self.template), thinking_marks)
        """What a reader sees of a completion."""
        self._own = frozenset(vars(self))

    def face(self) -> PromptedPolicy:
        """What asks and reads as this policy does, without its engine: it can be sent to another process."""
        face = _Face.__new__(_Face)
        told = {name: getattr(self, name) for name in ("has_entropies", "has_logprobs", "unreadable")}
        vars(face).update({name: vars(self)[name] for name in self._own}, **told)
        return face

    @property
    def temperature(self) -> float:
        """What log-probabilities are relative to; 0 is greedy, whose log-probabilities are at 1."""
        return self.sampling.temperature

    @property
    def raw_tokenizer(self) -> Any:
        """The transformers tokenizer, as it was loaded."""
        return self._tokenizer

    @cached_property
    def num_ids(self) -> int:
        """One more than the largest token id that the tokenizer knows."""
        return int(max(self._tokenizer.get_vocab().values())) + 1

    def prompt_ids(self, question: str) -> Ids:
        """[L] the question as a user's turn of the chat template, up to where the assistant begins.

        Without a template it is the bare question, after a begin token if the tokenizer adds one. The
        begin token is never doubled. InputError if it is empty, does not leave room in the context, or
        the template refuses it.
        """
        if self.template:
            ids = self.tokenizer.encode(self.template.prompt(question))
        else:
            ids = self._raw_prompt(question)
        return self._checked(tuple(ids), question)

    def _raw_prompt(self, question: str) -> list[int]:
        bare, begin = self.tokenizer.encode(question), self._tokenizer.bos_token_id
        # A tokenizer may add other tokens, an end token too, that have no place in a prompt.
        adds_begin = begin is not None and self._tokenizer.encode(question)[:1] == [begin]
        return [begin, *bare] if adds_begin and bare[:1] != [begin] else bare

    def _checked(self, prompt_ids: Ids, question: str) -> Ids:
        if not prompt_ids:
            raise InputError(
                "the prompt is empty: the question has no text, and nothing is added to it; fill it in"
            )
        if beyond := [one for one in prompt_ids if self.num_rows is not None and one >= self.num_rows]:
            raise InputError(
                f"the prompt has token {self.tokenizer.decode(beyond[:1])!r} ({beyond[0]}), which the model "
                f"does not know: its embedding has {self.num_rows} rows; use its own tokenizer and template"
            )
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

    def completion_text(self, state: State, action_ids: Ids) -> CompletionText:
        """The text of a completion, prefix and continuation, and what a reader sees of it."""
        text = self.text(state.prefix_ids + action_ids)
        return CompletionText(text, self.sight.seen(state, action_ids, text))

    def trace(self, problem: Problem, completion: object) -> Trace:
        """A completion that somebody else wrote; see gpo.policies.traces."""
        return trace_of(self, problem, completion)

    def room(self, state: State, most: int | None = None) -> int:
        """Tokens that may follow, at most `most`, 0 or less if none; InputError for an unusable prompt."""
        self._checked(state.problem.prompt_ids, state.problem.question)
        room = self.max_tokens - len(state.prefix_ids)
        room = room if self.context is None else min(room, self.context - len(state.ids))
        return room if most is None else min(room, most)

    def described(self, weights: Any) -> dict[str, Any]:
        """The fingerprint of a policy with these weights: vocabulary, template, sampling settings."""
        return {
            "weights": weights,
            "vocabulary": vocabulary_digest(self._tokenizer),
            "template": template_digest(self._chat_template, self._system_prompt, self._template_args),
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "stop": list(self.stop),
            "max_tokens": self.max_tokens,
        }


class _Face(PromptedPolicy):
    has_entropies, has_logprobs, unreadable = True, True, ""


def _generation_prompt(template: ChatTemplate | None) -> str:
    return template.generation_prompt if template else ""


def context_of(config: Any) -> int | None:
    """Most tokens of prompt plus completion that the model has positions for; None if it needs none."""
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def end_ids_of(generation_config: Any, tokenizer: Any) -> Ids:
    """The end tokens of generation_config, which may list several, and of the tokenizer together."""
    configured = getattr(generation_config, "eos_token_id", None)
    found = {*(configured if isinstance(configured, list) else [configured]), tokenizer.eos_token_id} - {None}
    if not found:
        raise InputError(
            "neither the tokenizer nor generation_config names an end token, so no completion could end; "
            "set eos_token in tokenizer_config.json or eos_token_id in generation_config.json"
        )
    return tuple(sorted(found))
