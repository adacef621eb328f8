"""How the tokens for a problem are spent, and what judges an answer."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gpo.settings import First, Success
from gpo.stepping import Stepping

Strategy = Literal["majority", "best-of-n", "beam", "restart", "bandit"]
Judge = Literal["verifier", "value", "votes"]

COMPLETIONS = 8
"""Completions of full length that a problem may take by default."""


class Solving(Stepping, Success):
    """How the tokens for a problem are spent, and what judges an answer."""

    section = "Solving"

    strategy: First[Strategy] = Field(
        "bandit",
        description="Sample whole answers (majority, best-of-n), grow and prune partial ones (beam), go back "
        "to before the weakest step (restart), or choose between going on, going back and starting afresh "
        "(bandit)",
    )
    judge: First[Judge | None] = Field(
        None,
        description="What judges an answer: the verifier, which may know the gold answer and ends a problem "
        "once it is solved; the value model; or the votes of equal answers; by default value with --value, "
        "else votes",
    )
    value: First[str | None] = Field(
        None, description="Value model, from `gpo train --method value`; names steps, too"
    )
    problem_tokens: First[int | None] = Field(
        None,
        ge=1,
        description="Maximum number of generated tokens for one problem; by default 8 x max-tokens",
    )
    beam: int = Field(2, ge=1, le=1000, description="Partial answers that the strategy `beam` keeps")
    branches: int = Field(4, ge=2, le=1000, description="Continuations of each of these that it compares")
    beam_step_tokens: int = Field(
        64, ge=1, description="Maximum length of such a continuation, which ends with a step"
    )
    tries: int = Field(
        2, ge=1, description="Times that the strategy `restart` goes back before it starts afresh"
    )

    @model_validator(mode="after")
    def _judged(self) -> Self:
        """Refuses a strategy without the judge that it needs."""
        judge = self.judged_by
        if judge == "value" and self.value is None:
            raise ValueError("judge: 'value' needs a value model; give --value PATH")
        if self.strategy == "beam" and self.value is None:
            raise ValueError("strategy: 'beam' needs a value model; give --value PATH, or use restart")
        if self.strategy == "best-of-n" and judge == "votes":
            raise ValueError(
                "strategy: 'best-of-n' needs a judge; give --value PATH or --judge verifier, or use majority"
            )
        if self.strategy == "majority" and (self.judge or "votes") != "votes":
            raise ValueError(f"judge: 'majority' counts votes; use best-of-n with {self.judge}")
        return self

    @property
    def judged_by(self) -> Judge:
        """What judges an answer."""
        is_valued = self.value is not None and self.strategy != "majority"
        return self.judge or ("value" if is_valued else "votes")

    def tokens_each(self, max_tokens: int) -> int:
        """Most tokens of one problem, with completions of at most `max_tokens`."""
        return self.problem_tokens or COMPLETIONS * max_tokens
