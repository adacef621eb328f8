"""HTTP calls to servers of one model: which one, how many at once, and what to do when a call fails.

A trajectory's states go to one server, whose prefix cache knows them; a new trajectory goes to the server
with the fewest rows open. A server that does not answer is set aside for a while and then tried again with
one call at a time. Calls that may succeed on another try are tried again, later and later.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2

from gpo.types import EngineError, InputError, derive_seed

KEY = "GPO_API_KEY"
"""The only place a key is taken from; it goes into a header and nowhere else."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CONNECT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_FAILURES_TO_REST, _FIRST_REST_S = 3, 0.5
_GONE = (502, 503, 504)

Json = dict[str, Any]
T = TypeVar("T")


class MalformedError(Exception):
    """An answer that is not what was asked for; worth another try, as a body may be damaged on its way."""


class RefusedError(Exception):
    """The server's own refusal (a 4xx): the same call will not do better."""


class _FailedError(Exception):
    """A call that may do better on another try; `pause_s` is what the server asks for."""

    def __init__(self, reason: str, *, is_gone: bool = False, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.is_gone, self.pause_s = is_gone, pause_s


@dataclass
class Replica:
    """One server: its rows in flight, its failures in a row, and until when it is left alone."""

    url: str
    client: httpx2.Client
    num_open: int = 0
    num_failures: int = 0
    rests_until: float = 0.0
    failing_since: float | None = None
    homes: int = 0
    """Trajectories that have come here first."""

    @property
    def is_down(self) -> bool:
        """Whether it is tried with one call at a time until it answers."""
        return self.num_failures >= _FAILURES_TO_REST

    def is_open_at(self, now: float) -> bool:
        """Whether it may be called: not while it rests, and while it is down only with one call."""
        return self.rests_until <= now and not (self.is_down and self.num_open)


@dataclass
class Patience:
    """How long to wait for an answer, how often to ask again, how long to wait for a server that is gone."""

    timeout_s: float = 600.0
    retries: int = 8
    gone_s: float = 300.0


@dataclass
class Replicas:
    """All servers of one model; safe to call from many threads. `slots` rows are open at each, at most."""

    replicas: list[Replica]
    slots: int
    patience: Patience
    counts: Counter[str] = field(default_factory=Counter)
    """Calls that failed, by reason; what was tried again."""
    _key: str = ""
    _homes: dict[str, Replica] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def at(cls, urls: Sequence[str], slots: int, patience: Patience) -> Replicas:
        """The servers at these base URLs, with the key of the environment if there is one."""
        key = os.environ.get(KEY, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=slots)
        timeout = httpx2.Timeout(patience.timeout_s, connect=_CONNECT_S, pool=None)
        made = [
            Replica(
                url,
                # A proxy of the environment is for hosts elsewhere.
                httpx2.Client(
                    headers=headers,
                    timeout=timeout,
                    limits=limits,
                    trust_env=httpx2.URL(url).host not in _LOOPBACK,
                ),
            )
            for url in map(_base, dict.fromkeys(urls))
        ]
        return cls(made, slots, patience, _key=key)

    def close(self) -> None:
        """Ends the pauses between tries and closes every connection."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for replica in self.replicas:
            replica.client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Json | None,
        parse: Callable[[Any], T],
        *,
        home: str = "",
        rows: int = 1,
        only: Replica | None = None,
    ) -> T:
        """What `parse` makes of the answer, after as many tries as it takes.

        `home` names the trajectory whose states stay together; `only` is the one server to ask.
        RefusedError with the server's words if it refuses the call; EngineError when patience ends.
        """
        attempt = 0
        while True:
            with self._claimed(home, rows, only) as replica:
                was_down = replica.is_down and only is None
                try:
                    found = self._once(replica, method, path, body, parse)
                except _FailedError as failure:
                    self._failed(replica, failure)
                    reason, pause_s = f"{replica.url}: {failure}", failure.pause_s
                else:
                    replica.num_failures, replica.failing_since = 0, None
                    return found
            # A server known to be down is waited for as long as patience lasts, however often it is tried.
            attempt += not was_down
            if attempt > self.patience.retries:
                raise EngineError(f"{reason}; gave up after {self.patience.retries} retries")
            self._closed.wait(max(pause_s, 0.0 if was_down else _pause(attempt, reason)))

    def _once(
        self, replica: Replica, method: str, path: str, body: Json | None, parse: Callable[[Any], T]
    ) -> T:
        try:
            response = replica.client.request(method, f"{replica.url}{path}", json=body)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _FailedError(f"{type(error).__name__} ({error})", is_gone=True) from None
        status = response.status_code
        if status == 429 or status in (408, 425) or status >= 500:
            raise _FailedError(f"answered {status}", is_gone=status in _GONE, pause_s=_retry_after(response))
        if status != 200:
            raise RefusedError(f"{replica.url}: answered {status}: {self._words(response)}")
        try:
            return parse(response.json())
        except (MalformedError, ValueError) as error:
            raise _FailedError(f"answered what cannot be read: {error}") from None

    def _words(self, response: httpx2.Response) -> str:
        """What the server says of its refusal, in one line; it may repeat the header that it was sent."""
        text = " ".join(response.text.split())[:300]
        return text.replace(self._key, "[key]") if self._key else text

    def _failed(self, replica: Replica, failure: _FailedError) -> None:
        with self._changed:
            self.counts[str(failure).partition(" (")[0].partition(": ")[0]] += 1
            if not failure.is_gone:
                return
            now = time.monotonic()
            if replica.rests_until > now:
                return  # one of many calls that broke off together: the server was lost once
            replica.num_failures += 1
            replica.failing_since = replica.failing_since or now
            if replica.is_down:
                rest_s = _FIRST_REST_S * 2.0 ** (replica.num_failures - _FAILURES_TO_REST)
                replica.rests_until = now + min(_LONGEST_PAUSE_S, rest_s)

    @contextmanager
    def _claimed(self, home: str, rows: int, only: Replica | None) -> Iterator[Replica]:
        with self._changed:
            while (replica := self._free(home, rows, only)) is None:
                self._changed.wait(self._next_wake())
            replica.num_open += rows
        try:
            yield replica
        finally:
            with self._changed:
                replica.num_open -= rows
                self._changed.notify_all()

    def _free(self, home: str, rows: int, only: Replica | None) -> Replica | None:
        """The server to ask now; None if there is none, or it has its hands full."""
        if self._closed.is_set():
            raise EngineError("the connection to the servers was closed")
        replica = only or self._home(home)
        if replica is None or replica.num_open == 0:
            return replica
        # A request of more rows than `slots` goes alone, above.
        return None if replica.num_open + rows > self.slots else replica

    def _home(self, name: str) -> Replica | None:
        now = time.monotonic()
        home = self._homes.get(name)
        if home and home.is_open_at(now):
            return home
        awake = [replica for replica in self.replicas if replica.is_open_at(now)]
        if not awake:
            self._check_patience(now)
            return None
        chosen = min(awake, key=lambda one: (one.is_down, one.num_open, one.homes))
        if home is None and name:
            chosen.homes += 1
            self._homes[name] = chosen
        return chosen  # while its home is down, a trajectory is a guest, and goes home when that is back

    def _check_patience(self, now: float) -> None:
        since = max(replica.failing_since or now for replica in self.replicas)
        if now - since > self.patience.gone_s:
            urls = ", ".join(replica.url for replica in self.replicas)
            raise EngineError(f"no answer from {urls} for {now - since:.0f} s")

    def _next_wake(self) -> float:
        """Seconds to the moment when a server that rests is tried again."""
        now = time.monotonic()
        return max(0.01, min((r.rests_until - now for r in self.replicas if r.rests_until > now), default=60))


def _pause(attempt: int, salt: str) -> float:
    """Doubling with every attempt, and spread by half so that callers do not come back all at once."""
    spread = derive_seed(salt, attempt, threading.get_ident()) % 1000 / 1000
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (attempt - 1)) * (0.5 + spread / 2)


def _retry_after(response: httpx2.Response) -> float:
    try:
        return min(_LONGEST_PAUSE_S, max(0.0, float(response.headers.get("Retry-After", "0"))))
    except ValueError:  # a date, which says no more than the doubling pauses do
        return 0.0


def _base(url: str) -> str:
    """The URL up to and without /v1; InputError if it is none, or carries what belongs in the environment."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise InputError("--server: not a URL; give one such as http://localhost:8000") from None
    if parsed.userinfo or parsed.query:
        raise InputError(f"--server {parsed.host}: give no key or password in the URL, but in {KEY}")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(f"--server {url!r}: must begin with http:// or https://")
    return str(parsed).rstrip("/").removesuffix("/v1").rstrip("/")
