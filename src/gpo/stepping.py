"""The settings of the splitters: what counts as a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gpo import steps
from gpo.protocols import Splitter
from gpo.settings import FirstIn, Reading

SplitterName = Literal["auto", "newline", "as-released", "sentence", "fixed"]


class Stepping(Reading):
    """How trajectories are cut into steps."""

    section = "Critical step"

    splitter: Annotated[SplitterName | str | Callable[..., Any], FirstIn("locate", "pairs")] = Field(
        "auto",
        description="How completions are cut into steps: `auto` cuts at sentences and lines, merged as "
        "suits the text's length; your own module:function or file.py:function takes a text and returns the "
        "character offsets at which steps begin",
    )
    min_step_tokens: Annotated[int | None, FirstIn("locate", "pairs")] = Field(
        None,
        ge=1,
        description="Steps shorter than this are merged with the next one; by default 30, and for `auto` "
        "5 to 30 or, in a long text, more",
    )
    max_steps: int = Field(
        steps.MAX_STEPS, ge=1, description="Maximum number of steps; the remaining text becomes the last one"
    )
    fixed_step_tokens: int = Field(
        steps.NUM_TOKENS, ge=1, description="Length of a step for the splitter `fixed`"
    )

    @model_validator(mode="after")
    def _known_splitter(self) -> Self:
        """Refuses an unknown splitter now, not when it is first used."""
        self.step_splitter()
        return self

    def step_splitter(self) -> Splitter:
        """What cuts a completion into steps."""
        if callable(self.splitter):
            return self.splitter
        return steps.by_name(
            self.splitter,
            min_tokens=self.min_step_tokens,
            max_steps=self.max_steps,
            num_tokens=self.fixed_step_tokens,
            thinking_marks=self.thinking_marks,
        )
