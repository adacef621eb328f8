"""A pool of policies in Ray actors, one machine's or a cluster's, as one policy that streams.

Every actor holds a whole policy and samples waves. One that is free takes the next wave from one queue, so
slow machines get less, and a new wave lies ready while one is sampled. Samples are named by their requests:
an actor that died is started again and its waves with it, and nothing depends on who sampled what.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from gpo.policies.prompting import PromptedPolicy
from gpo.protocols import ForwardingPolicy, Policy
from gpo.types import Ids, InputError, Request, Sample, State

WAVES = 2
"""That an actor has at once: one that it samples and one that waits for it."""


class Worker:
    """What an actor runs: a policy of its own."""

    def __init__(self, make: Callable[[], Policy]) -> None:
        self.policy = make()

    def face(self) -> tuple[Any, dict[str, Any]]:
        """The policy without its engine, for prompts and texts, and its fingerprint."""
        policy = self.policy
        return policy.face() if isinstance(policy, PromptedPolicy) else policy, policy.fingerprint

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        return self.policy.sample(requests)

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        return self.policy.read(given)


Asked = tuple[Request, "Future[list[Sample]]"]


class RayPolicy(ForwardingPolicy):
    """`num` actors, each with the policy that `make` makes there; `slots` rows are a wave of one.

    `make` is sent to the actors, so what it names has to be there: the package, and a model that every
    machine can load. Joins the cluster that `ray start` began or RAY_ADDRESS names, else starts one on this
    machine. `num_gpus` and `num_cpus` are what each
    actor keeps, by default a GPU where there is any. InputError if that is more than there is.
    """

    def __init__(
        self,
        make: Callable[[], Policy],
        num: int,
        *,
        slots: int,
        num_gpus: float | None = None,
        num_cpus: float = 1.0,
        start_s: float = 600.0,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise InputError("actors: need Ray; install it with pip install 'gpo[ray]'") from None
        self._ray = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
        total = ray.cluster_resources()
        num_gpus = float("GPU" in total) if num_gpus is None else num_gpus
        for name, each in (("CPU", num_cpus), ("GPU", num_gpus)):
            if num * each > total.get(name, 0):
                raise InputError(
                    f"actors: {num} with {each:g} {name} each need {num * each:g}; the cluster has "
                    f"{total.get(name, 0):g}; use fewer actors, or less for each"
                )
        actor = ray.remote(Worker).options(
            num_gpus=num_gpus, num_cpus=num_cpus, max_restarts=-1, max_task_retries=-1
        )
        self._actors = [actor.remote(make) for _ in range(num)]
        face, self._fingerprint = self._started(start_s)
        super().__init__(face)
        self._wave, self.slots = slots, slots * num
        self._queue: deque[Asked] = deque()
        self._num_rows = 0
        self._load = [0] * num
        self._lock = threading.Lock()

    def _started(self, start_s: float) -> tuple[Any, dict[str, Any]]:
        """What the first actor says of its policy, once all are there."""
        faces = [actor.face.remote() for actor in self._actors]
        try:
            return self._ray.get(faces, timeout=start_s)[0]  # type: ignore[no-any-return]
        except self._ray.exceptions.RayActorError as error:
            raise InputError(f"actors: cannot be started ({str(error).strip().splitlines()[-1]})") from None
        except self._ray.exceptions.GetTimeoutError:
            raise InputError(f"actors: are not ready after {start_s:g} s; look at `ray status`") from None

    @property
    def fingerprint(self) -> dict[str, Any]:
        return self._fingerprint

    def sample(self, requests: Sequence[Request]) -> list[list[Sample]]:
        """For each request its samples, in order, by all actors together."""
        return [future.result() for future in self._submitted(requests)]

    def submit(self, request: Request) -> Future[list[Sample]]:
        """The samples of this request, once they are there."""
        return self._submitted([request])[0]

    def read(self, given: Sequence[tuple[State, Ids]]) -> list[Sample]:
        """Shared out over the actors, each of which reads after the waves that it has."""
        num = len(self._actors)
        shares = [actor.read.remote(given[i::num]) for i, actor in enumerate(self._actors) if given[i::num]]
        samples: list[Any] = [None] * len(given)
        for i, found in enumerate(self._ray.get(shares)):
            samples[i::num] = found
        return samples

    def close(self) -> None:
        """Ends the actors; the cluster stays as it is."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _submitted(self, requests: Sequence[Request]) -> list[Future[list[Sample]]]:
        futures: list[Future[list[Sample]]] = [Future() for _ in requests]
        with self._lock:
            self._queue.extend(zip(requests, futures, strict=True))
            self._num_rows += sum(request.num for request in requests)
        self._hand_out()
        return futures

    def _hand_out(self) -> None:
        """Waves for the actors that have fewest, the fullest first; a wave that lies ready has to be full."""
        while True:
            with self._lock:
                i = self._load.index(min(self._load))
                enough = self._wave if self._load[i] else 1
                if self._load[i] >= WAVES or self._num_rows < enough:
                    return
                wave = self._next_wave()
                self._load[i] += 1
            requests = [request for request, _ in wave]
            found = self._actors[i].sample.remote(requests).future()
            found.add_done_callback(lambda done, i=i, wave=wave: self._settle(done, i, wave))

    def _next_wave(self) -> list[Asked]:
        wave = [self._queue.popleft()]
        num = wave[0][0].num
        while self._queue and num + self._queue[0][0].num <= self._wave:
            wave.append(self._queue.popleft())
            num += wave[-1][0].num
        self._num_rows -= num
        return wave

    def _settle(self, done: Future[list[list[Sample]]], i: int, wave: Sequence[Asked]) -> None:
        with self._lock:
            self._load[i] -= 1
        error = done.exception()
        self._hand_out()
        for k, (_, future) in enumerate(wave):
            if error is None:
                future.set_result(done.result()[k])
            else:
                future.set_exception(self._cause(error))

    def _cause(self, error: BaseException) -> BaseException:
        """What went wrong in the actor, as it would be raised here."""
        cause = getattr(error, "cause", None)
        return cause if isinstance(cause, InputError | FloatingPointError) else error
