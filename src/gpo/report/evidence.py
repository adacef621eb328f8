"""All rollouts that were sampled at a trajectory's boundaries: answers counted, some of them as text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpo.curve import wilson
from gpo.record.lines import CurveLine, RolloutLine
from gpo.report import pivots
from gpo.seeds import digest

Json = dict[str, Any]
Read = Callable[[str], str | None]
"""A completion to its final answer, None where there is none."""

PER_SIDE = 8
"""Continuations of each outcome that are kept of a state as text, and as many again that answer otherwise."""

MAX_CHARACTERS = 6_000
"""Longest continuation; the rest is cut and the cut is shown."""

MAX_ANSWERS = 12
"""Answers of a state that are listed; the others are counted together."""

MAX_ANSWER = 120
"""Characters of an answer."""

SPECIAL_END = re.compile(r"(?:<\|[^|<>\s]*\|>\s*)+$")
"""Special tokens at the end of a text that was decoded with them."""

Place = tuple[int, str, str]
"""Round, problem, and the digest of the prefix: a state, under one policy."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A rollout at a state, as far as it is shown."""

    name: str
    """Digest of the whole completion."""
    is_right: bool
    answer: str | None
    num_tokens: int
    is_cut: bool
    text: str | None
    """What follows the state, None if it is not kept."""
    num_left: int
    """Characters that `text` lacks at its end."""
    num_shared: int
    """Tokens from the state on that the trajectory has too; of some trajectories at one state, the first."""


@dataclass
class StateSeen:
    """A state, the first trajectory that passes through it, and the rollouts from it in order of sampling."""

    line: CurveLine
    boundary: int
    keeps_text: bool
    seen: list[Seen] = field(default_factory=list)

    def wants(self, is_right: bool, answer: str | None, text: str) -> bool:
        """Whether a rollout is kept as text: if there are few of its outcome, or none with its answer."""
        if not self.keeps_text:
            return False
        side = [one for one in self.seen if one.is_right == is_right and one.text is not None]
        if any(one.text == text for one in side):
            return True  # which costs nothing: it is the same text
        is_new = all(one.answer != answer for one in side)
        num = len({one.text for one in side})
        # One more than is shown: the trajectory itself may be among them.
        return num <= PER_SIDE or (is_new and num <= 2 * PER_SIDE)


@dataclass
class Evidence:
    """The rollouts at the boundaries of some trajectories, offered one after the other."""

    success_at: float
    read: Read
    states: dict[Place, StateSeen] = field(default_factory=dict)
    own: dict[str, RolloutLine | None] = field(default_factory=dict)
    """The rollouts that are the trajectories themselves, by the digest of the completion."""

    @classmethod
    def wanted_by(cls, lines: Iterable[CurveLine], success_at: float, read: Read, room: float) -> Evidence:
        """To be filled by `offer` for every boundary of these trajectories, the most important first.

        Texts are kept of as many states as are expected to fill `room` characters.
        """
        evidence = cls(success_at, read)
        for line in lines:
            evidence.own[digest(line.completion_ids)] = None
            for boundary in nearest(line):
                evidence.states.setdefault(place(line, boundary), StateSeen(line, boundary, room > 0))
                num_left = min(MAX_CHARACTERS, sum(map(len, line.steps[boundary:])))
                room -= min(line.trials[boundary], 2 * PER_SIDE) * num_left
        return evidence

    def offer(self, rollout: RolloutLine) -> None:
        """Counts the rollout if it was sampled at a wanted state."""
        state = self.states.get((rollout.round, rollout.problem, digest(rollout.prefix_ids)))
        if state is None or rollout.purpose == "evaluation":
            return
        name = digest(rollout.prefix_ids + rollout.action_ids)
        if name in self.own and self.own[name] is None:
            self.own[name] = rollout
        is_right = rollout.reward >= self.success_at
        text = _after(rollout.text, state.line.given + "".join(state.line.steps[: state.boundary]))
        answer = self._answer(rollout.text) if rollout.finished else None
        shown = text[:MAX_CHARACTERS]
        state.seen.append(
            Seen(
                name=name,
                is_right=is_right,
                answer=answer,
                num_tokens=len(rollout.action_ids),
                is_cut=not rollout.finished,
                text=shown if state.wants(is_right, answer, shown) else None,
                num_left=len(text) - len(shown),
                num_shared=pivots.num_shared(rollout.action_ids, state.line, state.boundary),
            )
        )

    def _answer(self, text: str) -> str | None:
        answer = self.read(text)
        return None if answer is None else answer[:MAX_ANSWER]

    def said_by(self, line: CurveLine) -> str | None:
        """The trajectory's own answer, None where it has none."""
        own = self.own.get(digest(line.completion_ids))
        text = own.text if own else SPECIAL_END.sub("", line.given + "".join(line.steps))
        return self._answer(text) if line.finished else None

    def at(self, line: CurveLine, boundary: int) -> Json:
        """What was seen at the state before a step, but for the trajectory itself; {} if nothing was."""
        own = digest(line.completion_ids)
        state = self.states.get(place(line, boundary))
        others = [one for one in state.seen if one.name != own] if state else []
        if not others:
            return {}
        answers = Counter(one.answer for one in others)
        listed = [answer for answer, _ in answers.most_common(MAX_ANSWERS)]
        num_right = sum(one.is_right for one in others)
        return {
            "n": len(others),
            "right": num_right,
            "interval": wilson(num_right, len(others)),
            "answers": [_counted(answer, others) for answer in listed],
            "unlisted": sum(num for answer, num in answers.items() if answer not in listed),
            "texts": _texts(others, listed),
        }

    def pivots_of(self, line: CurveLine, *, is_right: bool) -> Json:
        """By step, where inside it the model was least sure, and where most of the other outcome left."""
        own = digest(line.completion_ids)
        leaving = {}
        for boundary in range(line.num_steps):
            state = self.states.get(place(line, boundary))
            if state and state.line is line:
                others = [one for one in state.seen if one.name != own and one.is_right != is_right]
                leaving[boundary] = [one.num_shared for one in others]
        rollout = self.own.get(own)
        # Those of the trajectory's own tokens; what was given before them has none.
        entropies = (*[None] * len(rollout.prefix_ids), *rollout.entropies) if rollout else ()
        return pivots.of(line, entropies, leaving)


def nearest(line: CurveLine) -> list[int]:
    """The boundaries before each step in order of their distance from the critical step."""
    middle = line.critical.index if line.critical else 0
    return sorted(range(line.num_steps), key=lambda boundary: (abs(boundary - middle), boundary))


def place(line: CurveLine, boundary: int) -> Place:
    return line.round, line.problem, digest(line.completion_ids[: line.bounds[boundary]])


def _counted(answer: str | None, others: Sequence[Seen]) -> Json:
    """How often it was the answer, the interval of its share, how often it was right, and cut."""
    mine = [one for one in others if one.answer == answer]
    counts = {"n": len(mine), "right": sum(one.is_right for one in mine)}
    cut = sum(one.is_cut for one in mine)
    share = wilson(len(mine), len(others))
    return {"answer": answer, **counts, "share": share, **({"cut": cut} if cut else {})}


def _texts(others: Sequence[Seen], listed: Sequence[str | None]) -> list[Json]:
    """The kept texts, the same one once; `a` is the row of its answer."""
    found: dict[tuple[bool, str], Json] = {}
    num: Counter[bool] = Counter()
    for one in others:
        if one.text is None:
            continue
        key = one.is_right, one.text
        if key in found:
            found[key]["n"] += 1
            continue
        is_new = all(shown["answer"] != one.answer for shown in found.values())
        if num[one.is_right] >= PER_SIDE and not is_new:
            continue
        num[one.is_right] += 1
        found[key] = {
            "text": one.text,
            "right": one.is_right,
            "tokens": one.num_tokens,
            "n": 1,
            "answer": one.answer,
        }
        found[key] |= {"left": one.num_left} if one.num_left else {}
        found[key] |= {"cut": True} if one.is_cut else {}
    for shown in found.values():
        answer = shown.pop("answer")
        shown["a"] = listed.index(answer) if answer in listed else None
    return list(found.values())


def _after(text: str, prefix: str) -> str:
    """The text after the prefix. Where special tokens make them differ, what follows their common part."""
    if text.startswith(prefix):
        return text[len(prefix) :]
    pairs = zip(text, prefix, strict=False)
    return text[next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(prefix), len(text))) :]
