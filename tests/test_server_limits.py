"""Servers that never end: every call has a deadline as a whole, and its answer a bound. No clock is read."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gpo import DEMO_MODEL
from gpo.policies import calls
from gpo.policies.calls import CallError
from gpo.policies.replicas import Patience, Replicas
from gpo.policies.server import ServerPolicy
from gpo.types import EngineError, InputError

BODY = {"n": 1, "max_tokens": 4, "prompt": [1, 2]}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Raw:
    """Accepts connections and hands each, once a request has come, to `answer`; counts bytes and calls."""

    def __init__(self, answer: Callable[[Raw, socket.socket], None], *, reads: bool = True) -> None:
        self.answer, self.reads = answer, reads
        self.num_bytes = self.num_calls = self.num_broken = 0
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.num_calls += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self.reads:
                    connection.recv(65_536)
                self.answer(self, connection)
            except OSError:
                self.num_broken += 1
            with suppress(OSError):  # closing with part of the request unread would reset the connection
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                while connection.recv(65_536):
                    pass

    def send(self, connection: socket.socket, content: bytes) -> None:
        connection.sendall(content)
        self.num_bytes += len(content)

    def drip(self, connection: socket.socket, content: bytes) -> None:
        """A byte now and then, until the other side hangs up."""
        for one in content:
            self.send(connection, bytes([one]))
            if self.over.wait(0.02):
                return

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.listener.close()


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def a_byte_now_and_then(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Content-Length: 1000000\r\n\r\n")
    raw.drip(to, b" " * 1_000_000)


def headers_a_byte_now_and_then(raw: Raw, to: socket.socket) -> None:
    raw.drip(to, HEAD + b"X-Long: " + b"a" * 90_000)


def headers_without_end(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD)
    while True:
        raw.send(to, b"X-Again: " + b"a" * 1000 + b"\r\n")


def continues_without_end(raw: Raw, to: socket.socket) -> None:
    while True:
        raw.send(to, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def chunks_without_end(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        raw.send(to, chunk(b" " * 60_000))


def chunks_of_one_byte(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        raw.send(to, chunk(b" ") * 5000)


def a_chunked_body_whose_end_never_comes(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b'{"choices": []}'))
    raw.drip(to, b"0" * 100_000)


def trailers_without_end(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"{}") + b"0\r\n")
    raw.drip(to, b"X-Trailer: a\r\n" * 100_000)


def a_body_until_the_connection_closes(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Connection: close\r\n\r\n")
    while True:
        raw.send(to, b"[" * 60_000)


def two_hundred_megabytes(raw: Raw, to: socket.socket) -> None:
    raw.send(to, HEAD + b"Content-Length: 200000000\r\n\r\n")
    for _ in range(3334):
        raw.send(to, b" " * 60_000)


def an_error_without_end(raw: Raw, to: socket.socket) -> None:
    raw.send(to, b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        raw.send(to, chunk(b"no " * 20_000))


def silence(raw: Raw, to: socket.socket) -> None:
    raw.over.wait(60)


def a_slow_busy(raw: Raw, to: socket.socket) -> None:
    raw.send(to, b"HTTP/1.1 429 Too Many\r\nContent-Length: 100000\r\n\r\n")
    raw.drip(to, b" " * 100_000)


def compressed(encoding: str, bomb: bytes) -> Callable[[Raw, socket.socket], None]:
    def answer(raw: Raw, to: socket.socket) -> None:
        raw.send(to, HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode())
        raw.send(to, bomb)

    return answer


def called(url: str, timeout_s: float = 200) -> CallError:
    client = calls.client(url, 1, timeout_s)
    try:
        with pytest.raises(CallError) as failed:
            calls.fetch(client, "POST", f"{url}/v1/completions", BODY, timeout_s)
    finally:
        client.close()
    return failed.value


SLOW = [
    a_byte_now_and_then,
    headers_a_byte_now_and_then,
    a_chunked_body_whose_end_never_comes,
    trailers_without_end,
    silence,
    a_slow_busy,
]


@pytest.mark.parametrize("answer", SLOW, ids=lambda one: one.__name__)
def test_a_server_that_sends_something_now_and_then_is_given_up_at_the_deadline(answer) -> None:
    with Raw(answer) as raw:
        failure = called(raw.url, timeout_s=0.5)
    assert "took longer than 0.5 s" in str(failure) or "timed out" in str(failure)
    assert failure.is_gone
    assert raw.num_bytes < 90_000  # it would have sent more


FAST = [
    headers_without_end,
    continues_without_end,
    chunks_without_end,
    chunks_of_one_byte,
    a_body_until_the_connection_closes,
    two_hundred_megabytes,
]


@pytest.mark.parametrize("answer", FAST, ids=lambda one: one.__name__)
def test_a_body_or_headers_beyond_the_bound_are_not_read_and_the_connection_ends(answer, monkeypatch) -> None:
    monkeypatch.setattr(calls, "LEAST_BYTES", 60_000)
    with Raw(answer) as raw:
        failure = called(raw.url)
    assert "answered too much" in str(failure) or "RemoteProtocolError" in str(failure)
    assert raw.num_bytes < 16_000_000  # what the sockets hold beside


BOMB = b"\0" * 50_000_000


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(BOMB)),
        ("GZIP", gzip.compress(gzip.compress(BOMB))),
        ("gzip, gzip", gzip.compress(gzip.compress(BOMB))),
        ("deflate", zlib.compress(BOMB)),
        ("br", b"\xff" * 100),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("x-unheard-of", b"{}"),
    ],
)
def test_a_compressed_body_is_not_unpacked_as_none_was_asked_for(encoding, bomb) -> None:
    with Raw(compressed(encoding, bomb)) as raw:
        assert "answered with a compressed body" in str(called(raw.url))


def test_an_errors_body_is_read_as_far_as_it_is_shown() -> None:
    with Raw(an_error_without_end) as raw:
        client = calls.client(raw.url, 1, 20)
        answer = calls.fetch(client, "POST", f"{raw.url}/v1/completions", BODY, 20)
        client.close()
    assert (answer.status, len(answer.content)) == (400, calls.WORDS_BYTES)
    assert raw.num_bytes < 16_000_000


def test_a_slow_handshake_is_given_up_too() -> None:
    with Raw(silence, reads=False) as raw:
        failure = called(raw.url.replace("http:", "https:"), timeout_s=0.5)
    assert failure.is_gone


def test_a_server_that_does_not_read_is_given_up_too() -> None:
    body = {"n": 1, "max_tokens": 1, "prompt": "x" * 50_000_000}
    with Raw(silence, reads=False) as raw:
        client = calls.client(raw.url, 1, 0.5)
        with pytest.raises(CallError, match=r"Timeout|timed out|took longer"):
            calls.fetch(client, "POST", raw.url, body, 0.5)
        client.close()


def test_the_bound_grows_with_what_is_asked_for() -> None:
    assert calls.most_bytes(None) == 1_048_576
    assert calls.most_bytes({"n": 8, "max_tokens": 2048, "prompt": [1] * 500}) == 1_048_576 + 512 * 8 * 2548
    assert calls.most_bytes({"max_tokens": 16, "prompt": "text"}) == 1_048_576 + 512 * 20


def test_a_call_that_is_large_and_quick_enough_is_taken() -> None:
    content = json.dumps({"filler": "x" * 1_000_000}).encode()

    def answer(raw: Raw, to: socket.socket) -> None:
        raw.send(to, HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)

    with Raw(answer) as raw:
        client = calls.client(raw.url, 1, 60)
        assert calls.fetch(client, "POST", raw.url, BODY, 60).content == content
        client.close()


@pytest.mark.parametrize("answer", [a_byte_now_and_then, chunks_without_end, silence])
def test_at_the_start_an_endless_server_is_an_error_of_one_line(answer) -> None:
    patience = Patience(timeout_s=0.3, retries=1, gone_s=60)
    with Raw(answer) as raw, pytest.raises(EngineError, match="gave up after 1 retries") as failed:
        ServerPolicy.load([raw.url], DEMO_MODEL, max_tokens=8, patience=patience)
    assert raw.url in str(failed.value)
    assert "\n" not in str(failed.value)


def test_at_the_start_patience_ends_the_tries() -> None:
    patience = Patience(timeout_s=0.2, retries=1000, gone_s=0)
    with Raw(silence) as raw, pytest.raises(EngineError, match="gave up after 0 s"):
        ServerPolicy.load([raw.url], DEMO_MODEL, max_tokens=8, patience=patience)
    assert raw.num_calls == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_however_often_it_is_given(status) -> None:
    def answer(raw: Raw, to: socket.socket) -> None:
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {raw.url}/v1/models\r\nContent-Length: 0\r\n\r\n"
        raw.send(to, head.encode())

    with Raw(answer) as raw, pytest.raises(InputError, match=f"answered {status}: it is elsewhere"):
        ServerPolicy.load([raw.url], DEMO_MODEL, max_tokens=8)
    assert raw.num_calls == 1


@pytest.fixture
def _no_proxies(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("HTTP_PROXY", "nonsense://x", "$HTTP_PROXY: not the address of a proxy"),
        ("http_proxy", "nonsense://x", "$HTTP_PROXY: not the address of a proxy"),
        ("HTTPS_PROXY", "http://host:99999", "$HTTPS_PROXY: port 99999 is not between 1 and 65535"),
        ("HTTPS_PROXY", "http://host:port", "$HTTPS_PROXY: not a URL"),
        ("ALL_PROXY", "http://", "$ALL_PROXY: not the address of a proxy"),
        ("ALL_PROXY", "socks5://localhost:1080", "$ALL_PROXY: a SOCKS proxy needs pip install socksio"),
        ("HTTP_PROXY", "http://user:hidden-word@a..b", "$HTTP_PROXY: not a URL"),
        ("HTTP_PROXY", "ftp://user:hidden-word@host", "$HTTP_PROXY: not the address of a proxy"),
        ("HTTP_PROXY", "http://user:hidden-word@ho st", "$HTTP_PROXY: not a URL"),
        ("HTTP_PROXY", "http://[::1", "$HTTP_PROXY: not a URL"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem", "$SSL_CERT_FILE: cannot be read"),
        ("SSL_CERT_FILE", "/etc/hostname", "$SSL_CERT_FILE: cannot be read"),
        ("SSL_CERT_FILE", "/etc", "$SSL_CERT_FILE: cannot be read"),
    ],
)
def test_an_environment_that_no_call_can_use_is_one_line(name, value, reason, monkeypatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        Replicas.at(["http://gpu1.example:8000"], 1, Patience())
    assert reason in str(refused.value)
    assert "hidden-word" not in str(refused.value)


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize(
    "value",
    ["*", ",,,", "[::1", "http://", "10.0.0.0/8, .example, ::1/64", "host:99999", "%", "a b", "*.*", "é"],
)
def test_whatever_no_proxy_says_is_taken(value, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", value)
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:3128")
    taken = Replicas.at(["http://gpu1.example:8000"], 1, Patience())
    assert [one.url for one in taken.replicas] == ["http://gpu1.example:8000"]
    taken.close()


@pytest.mark.usefixtures("_no_proxies")
def test_a_server_on_this_machine_needs_no_proxy_whatever_the_environment_says(monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    for url in ("http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"):
        taken = Replicas.at([url], 1, Patience())
        assert [one.url for one in taken.replicas] == [url]
        taken.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must begin with http"),
        ("gpu1", "must begin with http"),
        ("gpu1:8000", "must begin with http"),
        ("//gpu1:8000", "must begin with http"),
        ("ftp://gpu1", "must begin with http"),
        ("ws://gpu1", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("http:///v1", "must begin with http"),
        ("http://", "must begin with http"),
        ("http:gpu1", "must begin with http"),
        ("http://gpu1:99999", "port 99999 is not between"),
        ("http://gpu1:0", "port 0 is not between"),
        ("http://gpu1:-1", "port -1 is not between"),
        ("http://gpu1:80:80", "not a URL"),
        ("http://gpu1:eighty", "not a URL"),
        ("http://[::1", "not a URL"),
        ("http://[::g]:8000", "not a URL"),
        ("http://gpu 1:8000", "not a URL"),
        ("http://gpu\n1:8000", "not a URL"),
        ("http://gpu1/\0", "not a URL"),
        ("http://a..b", "not a URL"),
        ("http://" + "a" * 64 + ".de", "not a URL"),
        ("http://" + "a." * 40_000, "not a URL"),
        ("http://%67pu1", "not a URL"),
        ("http://gpu1|ls", "not a URL"),
        ("http://\u202egpu1", "not a URL"),
    ],
)
def test_an_odd_url_is_refused_in_one_line_with_what_to_give(url, reason) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        Replicas.at([url], 1, Patience())
    assert str(refused.value).isprintable()
    assert "http://localhost:8000" in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://gpu1:8000", "http://gpu1:8000"),
        (" http://gpu1:8000/ ", "http://gpu1:8000"),
        ("HTTP://GPU1:8000/v1", "http://gpu1:8000"),
        ("http://gpu1:8000/v1/", "http://gpu1:8000"),
        ("http://gpu1:8000/v1//", "http://gpu1:8000"),
        ("http://gpu1/v1/completions", "http://gpu1"),
        ("http://gpu1/v1/chat/completions/", "http://gpu1"),
        ("http://gpu1/v1/models", "http://gpu1"),
        ("https://api.example/v2/abc123/openai/v1", "https://api.example/v2/abc123/openai"),
        ("https://api.example/v1/accounts/abc/openai", "https://api.example/v1/accounts/abc/openai"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("http://[fe80::1]:8000", "http://[fe80::1]:8000"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
        ("http://gpu1.", "http://gpu1."),
        ("http://gpu_1:8000", "http://gpu_1:8000"),
    ],
)
def test_a_url_is_taken_up_to_its_version(url, base) -> None:
    assert calls.base_of(url) == base


def test_the_same_server_twice_is_one_server() -> None:
    found = Replicas.at(["http://localhost:1", "http://localhost:1/v1", "http://localhost:1/"], 1, Patience())
    assert [replica.url for replica in found.replicas] == ["http://localhost:1"]
    found.close()


def test_certificates_that_are_not_trusted_are_a_fault_in_one_line(tmp_path) -> None:
    def answer(raw: Raw, to: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake succeeds
        context.wrap_socket(to, server_side=True)

    with Raw(answer, reads=False) as raw:
        failure = called(raw.url.replace("http:", "https:"))
    assert failure.is_gone
    assert "\n" not in str(failure)


def test_limits_hold_for_the_thread_that_set_them_alone() -> None:
    """A kept connection that another thread's call opened obeys the limits of the call that uses it."""
    waits: list[Any] = []

    def answer(raw: Raw, to: socket.socket) -> None:
        raw.send(to, HEAD + b"Content-Length: 2\r\n\r\n{}")
        to.recv(65_536)
        waits.append(True)
        raw.over.wait(60)

    with Raw(answer) as raw:
        client = calls.client(raw.url, 1, 60)
        first = threading.Thread(target=calls.fetch, args=(client, "POST", raw.url, BODY, 60))
        first.start()
        first.join()
        with pytest.raises(CallError, match="Timeout"):
            calls.fetch(client, "POST", raw.url, BODY, 0.3)
        assert waits == [True]
        assert raw.num_calls == 1
        client.close()
