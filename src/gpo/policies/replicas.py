"""HTTP calls to servers of one model: which one, how many at once, and what to do when a call fails.

A trajectory's states go to one server, whose prefix cache knows them; a new trajectory goes to the server
with the fewest rows open. A server that does not answer is set aside for a while and then tried again with
one call at a time. Calls that may succeed on another try are tried again, later and later.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2

from gpo.files import JsonError, parse_json
from gpo.masking import KEY, secrets
from gpo.policies import calls
from gpo.policies.calls import Answer, CallError
from gpo.seeds import derive_seed
from gpo.types import EngineError

__all__ = ["KEY", "Json", "MalformedError", "Patience", "RefusedError", "Replica", "Replicas"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_FAILURES_TO_REST, _FIRST_REST_S = 3, 0.5
_GONE = (502, 503, 504)
_LONGEST_WORDS = 300
"""Characters of a server's own message that are shown."""

Json = dict[str, Any]
T = TypeVar("T")


class MalformedError(Exception):
    """An answer that is not what was asked for; worth another try, as a body may be damaged on its way."""


class RefusedError(Exception):
    """The server's own refusal (a 4xx): the same call will not do better."""


class _FailedError(Exception):
    """A call that may do better on another try, or elsewhere; `pause_s` is what the server asks for."""

    def __init__(
        self, reason: str, *, is_gone: bool = False, is_malformed: bool = False, pause_s: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.is_gone, self.is_malformed, self.pause_s = is_gone, is_malformed, pause_s


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
    """Limit of a whole call: connecting, sending, waiting, and the answer's last byte."""
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
    _homes: dict[str, Replica] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def at(cls, urls: Sequence[str], slots: int, patience: Patience) -> Replicas:
        """The servers at these base URLs, with the key of the environment if there is one."""
        bases = map(calls.base_of, dict.fromkeys(urls))
        made = [Replica(url, calls.client(url, slots, patience.timeout_s)) for url in dict.fromkeys(bases)]
        return cls(made, slots, patience)

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
        attempt, began, avoid = 0, time.monotonic(), None
        while True:
            with self._claimed(home, rows, only, avoid) as replica:
                was_down = replica.is_down and only is None
                try:
                    found = self._once(replica, method, path, body, parse)
                except _FailedError as failure:
                    self._failed(replica, failure)
                    reason, pause_s = f"{replica.url}: {failure}", failure.pause_s
                    avoid = replica if failure.is_malformed else None
                else:
                    replica.num_failures, replica.failing_since = 0, None
                    return found
            # A server known to be down is waited for as long as patience lasts, however often it is tried.
            attempt += not was_down
            if attempt > self.patience.retries:
                raise EngineError(f"{reason}; gave up after {self.patience.retries} retries")
            if only and time.monotonic() - began > self.patience.gone_s:
                raise EngineError(f"{reason}; gave up after {self.patience.gone_s:g} s")
            self._closed.wait(max(pause_s, 0.0 if was_down else _pause(attempt, reason)))

    def _once(
        self, replica: Replica, method: str, path: str, body: Json | None, parse: Callable[[Any], T]
    ) -> T:
        try:
            answer = calls.fetch(
                replica.client, method, f"{replica.url}{path}", body, self.patience.timeout_s
            )
        except CallError as error:
            raise _FailedError(str(error), is_gone=error.is_gone) from None
        status = answer.status
        if status in (408, 425, 429) or status >= 500:
            raise _FailedError(f"answered {status}", is_gone=status in _GONE, pause_s=_retry_after(answer))
        if 300 <= status < 400:
            raise RefusedError(f"{replica.url}: answered {status}: it is elsewhere; give that URL")
        if status != 200:
            raise RefusedError(f"{replica.url}: answered {status}: {_words(answer)}")
        try:
            return parse(_content(answer))
        except (MalformedError, JsonError) as error:
            reason = secrets(short=True).mask(f"returned a malformed response: {error}")
            raise _FailedError(reason, is_malformed=True) from None

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
    def _claimed(
        self, home: str, rows: int, only: Replica | None, avoid: Replica | None
    ) -> Iterator[Replica]:
        with self._changed:
            while (replica := self._free(home, rows, only, avoid)) is None:
                self._changed.wait(self._next_wake())
            replica.num_open += rows
        try:
            yield replica
        finally:
            with self._changed:
                replica.num_open -= rows
                self._changed.notify_all()

    def _free(self, home: str, rows: int, only: Replica | None, avoid: Replica | None) -> Replica | None:
        """The server to ask now; None if there is none, or it has its hands full."""
        if self._closed.is_set():
            raise EngineError("the connection to the servers was closed")
        replica = only or self._home(home, avoid)
        if replica is None or replica.num_open == 0:
            return replica
        # A request of more rows than `slots` goes alone, above.
        return None if replica.num_open + rows > self.slots else replica

    def _home(self, name: str, avoid: Replica | None) -> Replica | None:
        now = time.monotonic()
        home = self._homes.get(name)
        if home and home is not avoid and home.is_open_at(now):
            return home
        awake = [replica for replica in self.replicas if replica.is_open_at(now)]
        awake = [replica for replica in awake if replica is not avoid] or awake
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


def _content(answer: Answer) -> Any:
    """What the body says in JSON; JsonError or MalformedError for what it may not be."""
    if secrets().are_in(answer.text):
        raise MalformedError("it repeats the key that it was sent")
    try:
        return parse_json(answer.content)
    except JsonError as error:
        if answer.content.lstrip()[:1] == b"<":
            raise MalformedError("an HTML page, not JSON") from None
        raise MalformedError(f"no JSON: {error}") from None


def _words(answer: Answer) -> str:
    """What the server says of its refusal, in one line; masked before it is cut."""
    text = secrets(short=True).mask(" ".join(answer.text.split()))
    return text if len(text) <= _LONGEST_WORDS else f"{text[:_LONGEST_WORDS]} ..."


def _retry_after(answer: Answer) -> float:
    try:
        return min(_LONGEST_PAUSE_S, max(0.0, float(answer.retry_after)))
    except ValueError:  # a date, which says no more than the doubling pauses do
        return 0.0
