"""A model's chat template as it really behaves: what it makes of a question, and of an answer to it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from gpo.types import DataWarning, InputError

Message = Mapping[str, Any]

_OURS = {"conversation", "messages", "tokenize", "add_generation_prompt", "continue_final_message"}
"""Arguments of the chat template that a policy gives itself."""

_PROBES = ("What is two plus two?", "Name a colour.")
_ANSWER = "It is so."
_DATE = re.compile(r"strftime_now\(\s*['\"]([^'\"]+)")


class ChatTemplate:
    """The template of a transformers tokenizer with a system prompt and arguments; checked when first used.

    A template is a program of the model's author: whatever it raises, and whatever it leaves out, becomes an
    InputError here. Where it changes a question or writes today's date, a DataWarning says so once.
    """

    def __init__(self, tokenizer: Any, system_prompt: str | None, arguments: Mapping[str, Any]) -> None:
        """InputError if `arguments` holds what a policy gives itself."""
        if taken := _OURS & set(arguments):
            raise InputError(f"template_args: {min(taken)!r} is set by gpo; leave it out")
        self._tokenizer, self._system_prompt, self._arguments = tokenizer, system_prompt, dict(arguments)
        self._is_checked = self._has_warned = False

    def prompt(self, question: str) -> str:
        """The question as a user's turn, up to where the assistant begins."""
        text = self._render([self._user(question)], question)
        if not self._is_checked:
            self._check()
            self._is_checked = True
        if _squeezed(question) not in _squeezed(text) and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"the chat template changes the text of {question[:60]!r}, so the model does not see the "
                "question of the row; check such prompts before you trust the rewards",
                DataWarning,
                stacklevel=2,
            )
        return text

    @cached_property
    def generation_prompt(self) -> str:
        """What the template writes for the assistant to begin with; '' if it does not tell."""
        turns = [self._user(_PROBES[0])]
        whole, bare = self._render(turns, _PROBES[0]), self._render(turns, _PROBES[0], is_asking=False)
        return whole[len(bare) :] if whole.startswith(bare) else ""

    def answer(self, question: str, message: Message) -> str:
        """What the template writes of an assistant's message, from where the assistant begins.

        InputError if it does not begin as the prompt does, so that no model can have written it.
        """
        prompt = self._render([self._user(question)], question)
        whole = self._render([self._user(question), message], question, is_asking=False)
        if not whole.startswith(prompt):
            raise InputError(
                "the chat template begins an answer in one way and writes a finished one in another"
            )
        return whole[len(prompt) :]

    def _render(self, turns: list[Message], question: str, *, is_asking: bool = True) -> str:
        system = [] if self._system_prompt is None else [{"role": "system", "content": self._system_prompt}]
        arguments = {**self._arguments, "tokenize": False, "add_generation_prompt": is_asking}
        try:
            return str(self._tokenizer.apply_chat_template([*system, *turns], **arguments))
        except Exception as error:  # a program of somebody else may raise anything
            reason = " ".join(f"{error}".split())[:300] or type(error).__name__
            raise InputError(
                f"the chat template refuses the prompt {question[:60]!r}: {reason}; change the question, "
                "system_prompt or template_args"
            ) from error

    def _check(self) -> None:
        """InputError if the template drops the question, the system prompt or the assistant's turn."""
        first, second = (self._render([self._user(probe)], probe) for probe in _PROBES)
        if _squeezed(_PROBES[0]) not in _squeezed(first) and (first == second or not first.strip()):
            raise InputError(
                "the chat template ignores the user's message: every question gives the same prompt; use "
                "the template that belongs to the model, or ask without one (chat off)"
            )
        if self._system_prompt and _squeezed(self._system_prompt) not in _squeezed(first):
            raise InputError(
                "the chat template drops the system prompt; leave system_prompt out, or use a template that "
                "writes it"
            )
        _ = self.generation_prompt  # raises what it raises before anything is sampled
        self._check_asks(first)
        self._warn_of_date(first)

    def _check_asks(self, prompt: str) -> None:
        """A template may ignore add_generation_prompt only if nothing stands between prompt and answer."""
        turns = [self._user(_PROBES[0])]
        if self._render(turns, _PROBES[0], is_asking=False) != prompt:
            return
        try:
            whole = self._render([*turns, _assistant(_ANSWER)], _PROBES[0], is_asking=False)
        except InputError:  # it knows no answers, so it cannot write more than the model is to write
            return
        opening = whole[len(prompt) :].partition(_ANSWER)[0] if whole.startswith(prompt) else ""
        if opening.strip():
            raise InputError(
                f"the chat template ignores add_generation_prompt: an answer begins with {opening[:40]!r}, "
                "which no prompt has, so the model would continue the user's turn; use the template that "
                "belongs to the model"
            )

    def _warn_of_date(self, prompt: str) -> None:
        formats = _DATE.findall(str(self._tokenizer.chat_template))
        if any(datetime.now().strftime(form) in prompt for form in formats):  # as transformers does
            warnings.warn(
                "the chat template writes today's date into prompts, so a run resumed on another day "
                "has other prompts; if the template has an argument for the date, set it in template_args "
                "(Llama's is date_string)",
                DataWarning,
                stacklevel=2,
            )

    @staticmethod
    def _user(question: str) -> Message:
        return {"role": "user", "content": question}


def _assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def _squeezed(text: str) -> str:
    """The text without white space, which a template may strip."""
    return "".join(text.split())
