"""Limits on one HTTP call as a whole: how long it may take, and how much may come in.

A client's own timeouts are for one read each, so a server that sends a byte now and then, headers that never
end or a slow handshake pass them all. Here every wait on the socket gets what is left of the call's time.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

LONGEST_S = 1e6
"""Longest wait that a socket accepts."""


class TooLargeError(Exception):
    """More came in than the call's limit."""


@dataclass
class Limits:
    """When a call must be over, by time.monotonic, and how many bytes may still come in."""

    timeout_s: float
    num_bytes: int

    def __post_init__(self) -> None:
        self.ends_at = time.monotonic() + self.timeout_s

    def left_s(self, timeout_s: float | None, error: type[Exception]) -> float:
        """Seconds to wait at most now; raises `error` when the call's time is up."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise error(f"the call took longer than {self.timeout_s:g} s")
        return min(left, LONGEST_S if timeout_s is None else timeout_s)

    def count(self, num_bytes: int) -> None:
        """Takes them off what may come in; TooLargeError when there is nothing left."""
        self.num_bytes -= num_bytes
        if self.num_bytes < 0:
            raise TooLargeError


_ours = threading.local()


@contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Applies the limits to what this thread sends and receives."""
    _ours.limits = limits
    try:
        yield
    finally:
        del _ours.limits


def limit(client: httpx2.Client) -> httpx2.Client:
    """The client, whose connections keep to the limits of the thread that uses them, proxies included."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = _Backend()
    return client


def _left_s(timeout_s: float | None, error: type[Exception]) -> float | None:
    limits: Limits | None = getattr(_ours, "limits", None)
    return limits.left_s(timeout_s, error) if limits else timeout_s


class _Backend(httpcore2.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left_s = _left_s(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left_s, local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = self._inner.read(max_bytes, _left_s(timeout, httpcore2.ReadTimeout))
        if limits := getattr(_ours, "limits", None):
            limits.count(len(found))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:  # in parts, or a reader that takes a byte at a time would get the timeout for each
            part = rest[:65_536]
            self._inner.write(bytes(part), _left_s(timeout, httpcore2.WriteTimeout))
            rest = rest[len(part) :]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left_s = _left_s(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
