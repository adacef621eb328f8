"""A policy that samples from servers: the completions endpoint with token ids, as vLLM has it.

Every request is one call with `n` rows and a seed of its own, so that what comes back does not depend on the
order of the calls, on the server that answers or on what failed before.
"""

from __future__ import annotations

import math
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from gpo.policies.completions import PATH, Ask, body_of, check_name, prompt_logprobs_of, samples_of
from gpo.policies.described import load_description
from gpo.policies.prompting import PromptedPolicy, Prompting, context_of
from gpo.policies.replicas import Json, Patience, RefusedError, Replicas
from gpo.policies.selftest import Examined, served
from gpo.policies.streaming import SLOTS, Workers, all_of
from gpo.types import DataWarning, Ids, InputError, Request, Sample, State

T = TypeVar("T")


class ServerPolicy(PromptedPolicy):
    """Samples from the servers at `urls`, which all serve one model under the name `served_model`.

    `tokenizer`, `end_ids` and `context` are the model's own. `slots` rows are in flight at each server. Every
    server is examined at the start; InputError says what one cannot do. Log-probabilities are nan where the
    servers give them at another temperature or after a cut, and a DataWarning says so. No entropies.
    """

    has_entropies = False

    def __init__(
        self,
        urls: Sequence[str],
        tokenizer: Any,
        *,
        end_ids: Ids,
        context: int | None,
        served_model: str | None = None,
        slots: int = SLOTS,
        patience: Patience | None = None,
        **settings: Unpack[Prompting],
    ) -> None:
        super().__init__(tokenizer, end_ids=end_ids, context=context, **settings)
        if not urls:
            raise InputError("--engine server: needs --server URL, once or more")
        self._replicas = Replicas.at(urls, slots, patience or Patience())
        self._workers, self._lock = Workers(slots * len(self._replicas.replicas)), threading.Lock()
        self.slots = slots * len(self._replicas.replicas)
        self._end = weakref.finalize(self, _end, self._replicas, self._workers)
        try:
            self.served = self._served(served_model)
            self._examine()
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(
        cls,
        urls: Sequence[str],
        model: str | Path,
        *,
        trust_remote_code: bool = False,
        served_model: str | None = None,
        slots: int = SLOTS,
        patience: Patience | None = None,
        **settings: Unpack[Prompting],
    ) -> Self:
        """The policy of servers of `model`, a local folder or hub name; its weights are not read."""
        tokenizer, end_ids, config = load_description(model, trust_remote_code=trust_remote_code)
        return cls(
            urls,
            tokenizer,
            end_ids=end_ids,
            context=context_of(config),
            served_model=served_model,
            slots=slots,
            patience=patience,
            **settings,
        )

    @property
    def counts(self) -> dict[str, int]:
        """What had to be tried again so far, by reason."""
        return dict(self._replicas.counts)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """As of every policy; the weights are the served model's name and what the server says of it."""
        return self.described(self.served)

    def close(self) -> None:
        """Closes the connections; what is in flight fails."""
        self._end()

    def submit(self, request: Request) -> Future[list[Sample]]:
        """A future of this request's `num` samples."""
        return self._workers.submit(lambda: self._counted(self._answer(request)))

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its `num` samples, in order, with `slots` rows in flight.

        A state that has used up the token limit gets empty unfinished samples. InputError if a prompt is
        empty, too long or refused; EngineError if the servers are gone for longer than patience lasts.
        """
        return all_of([self.submit(request) for request in requests])

    @property
    def has_logprobs(self) -> bool:
        return self._knows_logprobs

    @property
    def unreadable(self) -> str:
        if self.sampling.temperature in (0, 1):
            return ""
        return (
            f"--engine server: gives log-probabilities of given text at temperature 1, not "
            f"{self.sampling.temperature}; use --proposal none, or --temperature 1"
        )

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """Log-probabilities of continuations that were not sampled here, one call for each.

        InputError at a temperature other than 1 or 0, as servers read prompts at 1, and where a server
        gives none.
        """
        if given and self.unreadable:
            raise InputError(self.unreadable)
        return all_of([self._workers.submit(partial(self._read, *one)) for one in given])

    def _read(self, state: State, ids: Ids) -> Sample:
        if not ids:
            return Sample((), (), (), finished=True)
        whole = state.ids + ids
        if self.context is not None and len(whole) >= self.context:
            raise InputError(f"a trajectory has {len(whole)} tokens; the model's context is {self.context}")
        body = body_of(Ask(whole, 1, 1, 0), self, self.served["id"], self.sampling) | {"prompt_logprobs": 0}
        logprobs = self._call(body, lambda answer: prompt_logprobs_of(answer, whole), state, 1)
        return Sample(ids, logprobs[len(state.ids) - 1 :], (), finished=True)

    def _counted(self, samples: list[Sample]) -> list[Sample]:
        with self._lock:
            self.num_drawn += sum(len(one.action_ids) for one in samples)
        return samples

    def _answer(self, request: Request) -> list[Sample]:
        room = self.room(request.state, request.most)
        if room < 1:
            return [Sample((), (), (), finished=False)] * request.num
        # Greedy rows are all alike, and vLLM refuses to draw one twice.
        num = 1 if self.sampling.temperature == 0 else request.num
        ask = Ask(request.state.ids, room, num, request.seed)
        body = body_of(ask, self, self.served["id"], self.sampling)
        samples = self._call(body, lambda answer: samples_of(answer, ask, self), request.state, num)
        if not self._knows_logprobs:
            samples = [_without_logprobs(one) for one in samples]
        return samples * (request.num // num)

    def _call(self, body: Json, parse: Callable[[Any], T], state: State, rows: int) -> T:
        def parsed(answer: Any) -> T:
            check_name(answer, self.served)
            return parse(answer)

        try:
            return self._replicas.call("POST", PATH, body, parsed, home=state.problem.id, rows=rows)
        except RefusedError as error:
            raise InputError(f"--server {error} (problem {state.problem.id})") from None

    def _served(self, name: str | None) -> dict[str, Any]:
        """What all servers say of the model; it bounds the context too."""
        said = [served(self._replicas, replica, name) for replica in self._replicas.replicas]
        for one, replica in zip(said, self._replicas.replicas, strict=True):
            if one != said[0]:
                raise InputError(f"--server {replica.url}: serves {one}, but the first server {said[0]}")
        length = said[0]["max_model_len"]
        if isinstance(length, int):
            self.context = min(length, self.context or length)
        return said[0]

    def _examine(self) -> None:
        examined = [Examined(self._replicas, one, self, self.served) for one in self._replicas.replicas]
        for one in examined:
            one.check()
        is_scaled = self.sampling.temperature not in (0, 1)
        is_cut = self.sampling.top_p < 1 or self.sampling.top_k > 0
        self._knows_logprobs = not (is_scaled or is_cut) or self.sampling.temperature == 0
        if not self._knows_logprobs and not (is_scaled and is_cut):
            self._knows_logprobs = all(one.gives_raw_logprobs() == is_cut for one in examined)
        if not self._knows_logprobs:
            mode = "raw_logprobs" if is_cut else "processed_logprobs"
            warnings.warn(
                "log-probabilities are left out: the server's are not those at the sampling temperature "
                + (
                    "before top_p and top_k, which no mode of it gives"
                    if is_scaled and is_cut
                    else f"before any cut; start it with --logprobs-mode {mode}"
                ),
                DataWarning,
                stacklevel=2,
            )


def _without_logprobs(sample: Sample) -> Sample:
    return Sample(sample.action_ids, (math.nan,) * len(sample.action_ids), (), sample.finished)


def _end(replicas: Replicas, workers: Workers) -> None:
    workers.close()
    replicas.close()
