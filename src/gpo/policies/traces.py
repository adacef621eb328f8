"""Completions that somebody else wrote, as the ids that the model would have gone on with from its prompt.

Text is tokenised by itself, behind the ids of the prompt, as a model that writes it would have begun: at a
token of its own. What a trace repeats of the prompt's end is taken once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gpo import marks
from gpo.policies.seen import Sight
from gpo.policies.template import ChatTemplate
from gpo.protocols import Tokenizer, Trace
from gpo.types import Ids, InputError, Problem

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Names under which servers and data sets keep what was thought beside the content."""

_LEAST_REPEATED = 16
"""Characters of a prompt without any mark; a shorter one may be how the answer begins."""


class Prompted(Protocol):
    """What a trace is read with: the parts of a policy that ask, and that read what is answered."""

    tokenizer: Tokenizer
    sight: Sight
    template: ChatTemplate | None
    end_ids: Ids

    @property
    def num_ids(self) -> int: ...


def trace_of(policy: Prompted, problem: Problem, completion: object) -> Trace:
    """The ids of a completion: text, one assistant message (or a list of that one), or token ids.

    An end token may be its last token and nothing else. InputError says what is wrong and what to give.
    """
    if isinstance(completion, list) and completion and not any(isinstance(i, Mapping) for i in completion):
        return Trace(_ended(policy, _known_ids(policy, completion)))
    is_text = isinstance(completion, str)
    text = str(completion) if is_text else _text_of(policy, problem, _only_message(completion))
    rest, repeated = without_prompt(text, problem.prompt_ids, policy)
    if not rest.strip():
        raise InputError("it is empty; give what the model wrote")
    ids = _ended(policy, tuple(policy.tokenizer.encode(_without_space_at_end(rest, policy))))
    whole = policy.sight.before(problem.prompt_ids) + rest
    return Trace(ids, repeated, marks.ends_unopened(whole, policy.sight.pairs))


def without_prompt(text: str, prompt_ids: Ids, policy: Prompted) -> tuple[str, str]:
    """The text without what it repeats of the prompt's end, and what that is: at least a mark, or all of it.

    White space may differ. InputError if the prompt has ended the thinking that the text begins with.
    """
    body, prompt = text.lstrip(), policy.tokenizer.decode(prompt_ids)
    for start in range(len(prompt)):
        if not body.startswith(prompt[start : start + 32].rstrip()) or prompt[start].isspace():
            continue
        end = prompt[start:]
        kept = end.rstrip()
        is_chance = not has_structure(end, policy) and (start > 0 or len(end) < _LEAST_REPEATED)
        if body.startswith(kept) and not is_chance:
            rest, space = body[len(kept) :], end[len(kept) :]
            return (rest[len(space) :] if rest.startswith(space) else rest.lstrip()), end
    _check_open(body, policy.sight.before(prompt_ids), policy)
    return text, ""


def _check_open(body: str, generation_prompt: str, policy: Prompted) -> None:
    first = next(marks.marks(body, policy.sight.pairs), None)
    begins = first is not None and first.action == "hide" and first.start == 0
    if first and begins and marks.end_of_any(generation_prompt, policy.sight.pairs):
        raise InputError(
            f"it begins with {body[: first.end]!r}, but the prompt has ended the thinking already; set "
            "template_args as they were when it was written, such as enable_thinking=true"
        )


def has_structure(text: str, policy: Prompted) -> bool:
    """Whether a text holds a thinking mark or a special token, and so is not a coincidence."""
    if any(True for _ in marks.marks(text, policy.sight.pairs)):
        return True
    return any(one in policy.sight.special_ids for one in policy.tokenizer.encode(text))


def _without_space_at_end(text: str, policy: Prompted) -> str:
    """Templates write a line break after the end token, which no model writes."""
    ids = policy.tokenizer.encode(text.rstrip())
    return text.rstrip() if ids and ids[-1] in policy.end_ids else text


def _known_ids(policy: Prompted, completion: Sequence[Any]) -> Ids:
    for place, one in enumerate(completion):
        if type(one) is not int:
            raise InputError(
                f"place {place} is {str(one)[:40]!r} and no token id; give text, one assistant message or a "
                "list of token ids"
            )
        if not 0 <= one < policy.num_ids:
            raise InputError(
                f"place {place} is {one}, and the vocabulary has ids from 0 to {policy.num_ids - 1}; give "
                "the ids of this model's tokenizer, or the text"
            )
    return tuple(completion)


def _ended(policy: Prompted, ids: Ids) -> Ids:
    for place, one in enumerate(ids[:-1]):
        if one in policy.end_ids:
            raise InputError(
                f"token {place} of {len(ids)} is the end token {policy.tokenizer.decode([one])!r}, after "
                "which the model writes nothing; cut it there"
            )
    return ids


def _only_message(completion: object) -> Mapping[str, Any]:
    """The one assistant message of a completion."""
    given = completion if isinstance(completion, list) else [completion]
    turns = [turn for turn in given if isinstance(turn, Mapping)]
    if not turns or len(turns) < len(given):
        raise InputError("give text, one assistant message or a list of token ids")
    roles = [str(turn.get("role")) for turn in turns]
    if roles != ["assistant"]:
        raise InputError(
            f"it has {len(turns)} messages ({', '.join(roles[:5])}); give one assistant message, and what "
            "comes before it in the prompt"
        )
    return turns[0]


def _text_of(policy: Prompted, problem: Problem, message: Mapping[str, Any]) -> str:
    """A message as the text that the model wrote; its thinking is joined as the chat template joins it."""
    content, thought = _parts(message)
    found = {name: message[name] for name in message if name not in ("role", "content") and message[name]}
    thoughts = {name: value for name, value in found.items() if name in REASONING}
    if others := found.keys() - thoughts.keys():
        raise InputError(f"its message has {min(others)!r}, which is not text to search; remove it")
    texts = [*thoughts.values(), *([thought] if thought else [])]
    if not texts:
        return content
    if not all(isinstance(text, str) and text.strip() == texts[0].strip() for text in texts):
        names = ", ".join(sorted(thoughts)) or "content"
        raise InputError(f"its message has reasoning twice, or not as text ({names}); keep one")
    name = next(iter(thoughts), REASONING[0])
    return joined(policy, problem, name, texts[0], content)


def _parts(message: Mapping[str, Any]) -> tuple[str, str]:
    """The text and the thinking of a message's content, which is a text or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list) or not content:
        raise InputError(f"its message has the content {str(content)[:40]!r}; give the text of an answer")
    texts: dict[str, list[str]] = {"text": [], "thinking": []}
    for part in content:
        kind, text = _part(part)
        if kind not in texts or not isinstance(text, str):
            raise InputError(f"its message has a part {str(part)[:40]!r}, which is not text; remove it")
        texts[kind].append(text)
    return "".join(texts["text"]), "\n".join(texts["thinking"])


def _part(part: object) -> tuple[str, object]:
    """Whether a part of a content is text or thinking, and what it says."""
    if not isinstance(part, Mapping):
        return "text", part
    kind = str(part.get("type"))
    return {"reasoning": "thinking"}.get(kind, kind), part.get(kind) or part.get("text")


def joined(policy: Prompted, problem: Problem, name: str, thought: str, content: str) -> str:
    """Thinking and content as the chat template writes them behind its prompt, up to the content's end.

    Templates differ in the name that they read, so `name` is tried first and then the others. InputError
    if none is written whole.
    """
    advice = (
        f"its message has {name!r}, which this model's chat template does not write in front of the content; "
        "give one text, with the marks that the model writes around its thinking"
    )
    if policy.template is None or not content.strip():
        raise InputError(advice if policy.template is None else "its message has reasoning but no answer")
    thinking = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": content}]
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": content, one: thought} for one in dict.fromkeys((name, *REASONING))
    ]
    for message in [*messages, {"role": "assistant", "content": thinking}]:
        try:
            text = policy.template.answer(problem.question, message)
        except InputError:  # this is not the form that the template reads
            continue
        before, found, after = text.partition(thought.strip())
        between, said, _ = after.partition(content.strip())
        # A template that knows no parts may write them as a program would.
        if found and said and not set("{}'\"") & set(before + between):
            return before + found + between + said
    raise InputError(advice)
