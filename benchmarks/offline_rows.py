"""The rows that offline.py trains on: what each place makes of a budget of generated tokens, and its cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gpo
from gpo import pairs, steps
from gpo.gpo import Memory, Round, run_round
from gpo.pairs.filling import filled
from gpo.pairs.trajectories import of_round
from gpo.recipe import Recipe
from gpo.types import Labelled, Request, Sample, State

PLACES = ("prompt", "random", "entropy", "critical", "both", "unsolved")
"""The places of `gpo pairs --at`; `unsolved` is the prompt where its group is mixed, and the critical step of
a search where all failed."""
RIGHT_LINES = ", right lines"
"""After a place: right answers with a wrong line are left out, which takes the task's own lines to know."""
KNOWN = (*PLACES, "prompt" + RIGHT_LINES, "unsolved" + RIGHT_LINES)
RULES = {"critical": "drop", "both": "drop", "entropy": "entropy"}
CHUNK = 4
"""Problems that are sampled and searched at once; a budget is overspent by a part of what they cost."""


class Remembering:
    """A policy that samples what it was asked before only once: the places share their first rollouts.

    Every place still pays for them in its ledger.
    """

    def __init__(self, policy: gpo.TransformersPolicy) -> None:
        self.policy, self.known = policy, {}  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def sample(self, requests: list[Request]) -> list[list[Sample]]:
        new = [request for request in requests if request not in self.known]
        self.known.update(zip(new, self.policy.sample(new), strict=True))
        return [self.known[request] for request in requests]


@dataclass
class Collected:
    """Rows by trajectory, and the tokens that were spent when each was there."""

    pairs: list[list[pairs.Pair]] = field(default_factory=list)
    unpaired: list[pairs.Unpaired] = field(default_factory=list)
    tokens_at: list[int] = field(default_factory=list)
    tokens: int = 0

    def add(self, data: Round, options: pairs.Options, seed: int, fill: int) -> None:
        """The rows of a round, and what they cost."""
        located = filled(
            data.pool, of_round(data), options, fill, seed=seed, first_step=None, whole=lambda state: state
        )
        self.tokens += sum(data.tokens.values())
        rows = pairs.build(located, options, seed=seed)
        by_problem: dict[str, list[pairs.Pair]] = {}
        for pair in rows.pairs:
            by_problem.setdefault(pair.state.problem.id, []).append(pair)
        self.pairs += by_problem.values()
        self.tokens_at += [self.tokens] * len(by_problem)
        self.unpaired += rows.unpaired

    def right_lines(self, policy: Any) -> Collected:
        """Without the rows whose right answer, prefix included, has a wrong line."""
        some = [[one for one in pairs if all_right(policy, one.state, one.chosen)] for pairs in self.pairs]
        kept = [i for i, pairs in enumerate(some) if pairs]
        labelled = [
            one
            for one in self.unpaired
            if not one.answer.is_right or all_right(policy, one.trajectory.state_before(one.step), one.answer)
        ]
        return Collected([some[i] for i in kept], labelled, [self.tokens_at[i] for i in kept], self.tokens)


def all_right(policy: Any, state: State, answer: pairs.Answer) -> bool:
    """Whether the lines of an answer are the task's own."""
    gold = state.problem.columns["steps"]
    return policy.completion_text(state, answer.ids).strip().split("\n")[: len(gold)] == list(gold)


def recipe_of(place: str, explored: str, args: Any) -> Recipe:
    return Recipe(
        rule=RULES.get(place, "random"),
        problems_per_round=CHUNK,
        max_located=CHUNK,
        explored=explored,
        resets=False,
        search_traces=args.search_traces,
        splitter=steps.newline(min_tokens=1),
    )


def collect(policy: Any, verifier: Any, problems: list[Any], at: str, seed: int, args: Any) -> Collected:
    """Rows for `args.budget` generated tokens, from as many problems as that pays for."""
    found, memory = Collected(), Memory()
    passes = [("prompt", "mixed"), ("critical", "unsolved")] if at == "unsolved" else [(at, "failed")]
    for index in range(len(problems) // CHUNK):
        if found.tokens >= args.budget:
            return found
        batch = problems[index * CHUNK : (index + 1) * CHUNK]
        for place, explored in passes:
            data = run_round(
                policy,
                verifier,
                batch,
                recipe_of(place, explored, args),
                index=index,
                seed=seed,
                memory=memory,
            )
            memory = data.memory
            if place != passes[0][0]:  # the first rollouts are those of the first pass
                found.tokens -= data.tokens["explore"]
            found.add(data, pairs.Options(at=place, pairs_per_problem=args.per_problem), seed, args.fill)
    raise gpo.InputError(f"--problems: {len(problems)} are too few for {args.budget} tokens; give more")


def rows_of(found: Collected, method: str, comparison: str, num: int) -> tuple[list[Any], int]:
    """The rows of a comparison and the tokens they cost."""
    if comparison == "pairs":
        chosen = [one[0] for one in found.pairs[:num]]
        tokens = found.tokens_at[len(chosen) - 1]
    else:
        chosen, tokens = [pair for one in found.pairs for pair in one], found.tokens
        if method == "kto":
            return [one.labelled for one in found.unpaired], tokens
    made = [pair.preference for pair in chosen]
    if method != "kto":
        return made, tokens
    right = [Labelled(row.prompt_ids, row.chosen_ids, True) for row in made]
    return right + [Labelled(row.prompt_ids, row.rejected_ids, False) for row in made], tokens
