"""A policy that samples from servers which read and write text alone.

Text is tokenized again on the other side, so a state can be sampled only where decoding and encoding give
its ids back; everything else is refused and counted. What such a server draws is tokenized here: which
tokens it drew, and how likely they were, is not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gpo.policies.completions import PATH, check_name, check_usage, choices_of, shown
from gpo.policies.replicas import Json, MalformedError, RefusedError, Replica
from gpo.policies.selftest import ANYTHING, QUESTION
from gpo.policies.server import ServerPolicy
from gpo.protocols import Splitter, Tokenizer
from gpo.seeds import derive_seed
from gpo.types import Ids, InputError, Request, Sample, State

_NUM_TOKENS, _NUM_DRAWS = 16, 4


class TextOnlyPolicy(ServerPolicy):
    """ServerPolicy for servers without token ids; log-probabilities are nan. No stop strings.

    `num_refused` step boundaries were merged away because their prefix is not kept as text.
    """

    num_refused = 0
    has_logprobs = False
    unreadable = "--text-only: such a server gives no log-probabilities; use --proposal none"

    @property
    def counts(self) -> dict[str, int]:
        return super().counts | {"prefixes refused": self.num_refused}

    def restartable(self, splitter: Splitter) -> Splitter:
        """The splitter without the bounds whose prefix comes back as other ids; these are counted."""

        def bounds_of(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
            first, *inner, last = splitter(ids, tokenizer)
            kept = [bound for bound in inner if self._keeps(tuple(ids[:bound]))]
            self.num_refused += len(inner) - len(kept)
            return [first, *kept, last]

        return bounds_of

    def _keeps(self, ids: Ids) -> bool:
        return tuple(self.tokenizer.encode(self.tokenizer.decode(ids))) == ids

    def _answer(self, request: Request) -> list[Sample]:
        state, room = request.state, self.room(request.state, request.most)
        if room < 1:
            return [Sample((), (), (), finished=False)] * request.num
        if not self._keeps(state.ids):
            raise InputError(
                f"--text-only: problem {state.problem.id}: its prompt, or a prefix of "
                f"{len(state.prefix_ids)} tokens, comes back as other ids when it is read as text; "
                "use a server that takes token ids"
            )
        # One call a row: many such servers know no `n`.
        return [self._draw(state, room, derive_seed("row", request.seed, i)) for i in range(request.num)]

    def _draw(self, state: State, room: int, seed: int) -> Sample:
        body = self._body(self.tokenizer.decode(state.ids), room, self.sampling.temperature, seed)

        def parse(answer: Any) -> Sample:
            check_usage(answer, "prompt_tokens", len(state.ids))
            text, is_finished = _text_of(answer)
            ids = self._drawn(text, room)
            end = (self._end_id(),) if is_finished else ()
            ids = (ids[: room - len(end)] + end)[:room]
            return Sample(ids, (math.nan,) * len(ids), (), is_finished)

        return self._call(body, parse, state, 1)

    def _drawn(self, text: str, room: int) -> Ids:
        """The text's ids; MalformedError for more than requested: the server ignores the limit."""
        ids = tuple(self.tokenizer.encode(text))
        if len(ids) > room and "\ufffd" not in text:  # half a character is one token, and several here
            raise MalformedError(f"choices[0].text has {len(ids)} tokens, more than {room}")
        return ids

    def _end_id(self) -> int:
        own = self._tokenizer.eos_token_id
        return int(own) if own in self.end_ids else self.end_ids[0]

    def _body(self, prompt: str, room: int, temperature: float, seed: int) -> Json:
        sampling = self.sampling
        cuts = {"top_p": sampling.top_p} if sampling.top_p < 1 else {}
        cuts |= {"top_k": sampling.top_k} if sampling.top_k else {}
        return {
            "model": self.served["id"],
            "prompt": prompt,
            "max_tokens": room,
            "temperature": temperature,
            "seed": seed >> 32,  # 31 bits, which is what some servers hold
            **cuts,
        }

    def _examine(self) -> None:
        if self.stop:
            raise InputError("--text-only: such a server does not say what ended a text; leave --stop out")
        for replica in self._replicas.replicas:
            self._examine_one(replica)

    def _examine_one(self, replica: Replica) -> None:
        prompt_ids = self.prompt_ids(QUESTION)
        prompt = self.tokenizer.decode(prompt_ids)

        def ask(text: str, temperature: float, seed: int, num_ids: int | None = None) -> str:
            def parse(answer: Any) -> str:
                check_name(answer, self.served)
                if num_ids is not None:
                    check_usage(answer, "prompt_tokens", num_ids)
                return _text_of(answer)[0]

            body = self._body(text, _NUM_TOKENS, temperature, seed << 32)
            return self._replicas.call("POST", PATH, body, parse, only=replica)

        try:
            whole = ask(prompt, 0.0, 0, len(prompt_ids))
            ids = self.tokenizer.encode(whole)
            half = self.tokenizer.decode(ids[: len(ids) // 2])
            rest = ask(prompt + half, 0.0, 0)
            draws = {ask(ANYTHING, 1.0, seed) for seed in range(_NUM_DRAWS)}
        except RefusedError as error:
            raise InputError(f"--server {error}") from None
        if not (half + rest).startswith(whole[: len(half) + 1]):
            raise InputError(
                f"--server {replica.url}: cannot continue an assistant's turn: resuming mid-completion "
                "gave a different continuation; turn its chat template off, or use another server"
            )
        if len(draws) == 1 and self.sampling.temperature > 0:
            raise InputError(
                f"--server {replica.url}: {_NUM_DRAWS} draws at temperature 1 are all alike: it ignores "
                "temperature or seed; use another server"
            )


def _text_of(answer: Any) -> tuple[str, bool]:
    row = choices_of(answer, 1)[0]
    text, reason = row.get("text"), row.get("finish_reason")
    if not isinstance(text, str):
        raise MalformedError(f"choices[0].text is {shown(text)}, not text")
    if reason not in ("stop", "length"):
        raise MalformedError(f"choices[0].finish_reason is {shown(reason)}, neither stop nor length")
    return text, reason == "stop"
