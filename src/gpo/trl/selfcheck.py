"""The check of a TRL version that no test has run: does it train exactly the tokens that were sampled?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpo.types import InputError, Rollout


class SelfCheck:
    """Looks once, through a hook on the model, at the first batch that TRL puts through it.

    It begins when the rewards are asked for: until then the model samples. What TRL computes first are the
    log-probabilities of the batch, or its loss; both are of prompt and completion together.
    """

    def __init__(self, version: str, advice: str) -> None:
        self._version, self._advice = version, advice
        self._hook: Any = None
        self.is_done = False

    def begin(self, model: Any, rollouts: Sequence[Rollout]) -> None:
        """Checks the rows of the next forward pass against these rollouts; InputError is raised by it."""
        if self.is_done or self._hook is not None:
            return
        sampled = {(*rollout.state.ids, *rollout.action_ids) for rollout in rollouts}

        def check(_: Any, args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
            self._hook.remove()
            self.is_done = True
            if wrong := self.wrong(sampled, args, given):
                raise InputError(f"gpo.trl: TRL {self._version} {wrong}; {self._advice}")

        self._hook = model.register_forward_pre_hook(check, with_kwargs=True)

    @staticmethod
    def wrong(sampled: set[tuple[int, ...]], args: tuple[Any, ...], given: Mapping[str, Any]) -> str | None:
        """What is wrong with a forward pass that should be of sampled rows; None if nothing is."""
        ids, mask = given.get("input_ids", args[0] if args else None), given.get("attention_mask")
        if ids is None or mask is None:
            return "puts a batch through the model in a way that cannot be checked"
        for row, kept in zip(ids.tolist(), mask.tolist(), strict=True):
            if tuple(one for one, is_kept in zip(row, kept, strict=True) if is_kept) not in sampled:
                return "trains other tokens than were sampled"
        return None
