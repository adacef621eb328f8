"""A run's page, served on this machine alone while the run goes on.

Only 127.0.0.1 is listened on. A request has to name this machine (a page elsewhere that had its own name
resolved to 127.0.0.1 names itself) and the key in the address, which other users of the machine do not know.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gpo.report import page
from gpo.report.text import encoded
from gpo.types import InputError

Json = dict[str, Any]

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")
"""What a request may call this machine; the port may be another, as where it comes through ssh."""

LEAST_S = 1.0
REST = 4.0
"""The page is made again after REST times the seconds that it took, and never sooner than LEAST_S."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Followed:
    """The data of a page, made again when what they are made of has changed."""

    make: Callable[[], Json]
    stamp: Callable[[], str]
    """What differs when the files of the run have changed."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: tuple[str, Json] | None = None
    _next_s: float = 0.0

    def data(self) -> tuple[str, Json]:
        """The stamp and the data of that moment; InputError if the run cannot be read."""
        with self._lock:
            begun = time.monotonic()
            if self._known is None or (begun >= self._next_s and self._known[0] != self.stamp()):
                now = self.stamp()  # before reading: what is written in between is then read again
                self._known = now, self.make() | {"live": now}
                taken = time.monotonic() - begun
                self._next_s = begun + taken + max(LEAST_S, REST * taken)
            return self._known


class Handler(BaseHTTPRequestHandler):
    """Answers GET for the page and for its data; all else is refused."""

    server: Server
    server_version, sys_version = "gpo", ""
    timeout = 30

    def do_GET(self) -> None:
        names = self.headers.get_all("Host", [])
        if len(names) != 1 or (names[0].rpartition(":")[0] not in NAMES and names[0] not in NAMES):
            return self.answer(403, "This page is for this machine alone.")
        address = urlsplit(self.path)
        known = (f"/{self.server.followed.key}/", f"/{self.server.followed.key}/data")
        if address.path not in known:
            return self.answer(404, "Nothing is here: use the whole address that gpo report --live printed.")
        try:
            stamp, data = self.server.followed.data()
        except InputError as error:
            return self.answer(503, str(error))
        if address.path == known[0]:
            return self.answer(200, page.render("gpo live", data, is_live=True), "text/html")
        if parse_qs(address.query).get("since") == [stamp]:
            return self.answer(204, "")
        return self.answer(200, encoded(data), "application/json")

    def refused(self) -> None:
        self.answer(405, "Only GET is answered.")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_TRACE = do_CONNECT = refused

    def answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self.send_response(status)
        headers = HEADERS | {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        for name, value in (headers | ({"Allow": "GET"} if status == 405 else {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what asks may write anything into a request, and the terminal is for the run."""


class Server(ThreadingHTTPServer):
    """Serves what is followed until it is closed."""

    daemon_threads = True

    def __init__(self, followed: Followed, port: int) -> None:
        """InputError if the port cannot be had; 0 takes a free one."""
        self.followed = followed
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise InputError(f"--port {port}: cannot be served on ({error.strerror}); leave it out") from None

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.followed.key}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
