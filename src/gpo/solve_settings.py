"""The settings of `gpo solve`: those of a sweep, and how its tokens are spent."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from gpo.command_settings import SweepSettings
from gpo.solving.settings import Solving


class SolveSettings(SweepSettings, Solving):
    """Settings of `gpo solve`."""

    section = "Solving"

    @model_validator(mode="after")
    def _spendable(self) -> Self:
        if self.temperature == 0:
            raise ValueError("temperature: at 0 all attempts at a problem are alike; give more")
        each = self.tokens_each(self.max_tokens)
        if each < self.max_tokens:
            raise ValueError(
                f"problem_tokens: {each} would cut even a first answer; give at least --max-tokens, "
                f"{self.max_tokens}"
            )
        if self.budget_tokens is not None and self.budget_tokens < each:
            raise ValueError(
                f"budget_tokens: {self.budget_tokens} is less than the {each} of one problem; raise it, or "
                "give --problem-tokens"
            )
        if self.judged_by == "votes" and ":" in (self.verifier or ""):
            raise ValueError(
                f"verifier: {self.verifier!r} reads no final answers, so equal ones cannot be counted; give "
                "--judge verifier, --value PATH or another verifier"
            )
        return self

    @property
    def needs_answers(self) -> bool:
        """Where a built-in verifier judges; a function of the user's own may judge without one."""
        return self.judged_by == "verifier" and ":" not in (self.verifier or "")
