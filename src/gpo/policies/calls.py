"""One HTTP call to one server: to what address, with what key, and how long and large it may be."""

from __future__ import annotations

import codecs
import logging
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

import httpx2

from gpo.masking import KEY, credentials, secrets
from gpo.policies.bounded import Limits, TooLargeError, limit, limited
from gpo.types import InputError

CONNECT_S = 10.0
LEAST_BYTES, BYTES_PER_TOKEN = 2**20, 512
"""An answer may have so many bytes, plus so many for each token of it: ids, text, log-probabilities and the
prompt's ids come to about 100. Fields that nobody asked for find room in the first."""
WORDS_BYTES = 2**16
"""Largest body of an error, which is read to be shown."""
LONGEST_KEY = 4096
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LOGGERS = ("httpx2", *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))
_SECRET_SEGMENT = re.compile(r"(?:sk-|hf_|gsk_|xai-|nvapi-|ghp_|AIza)[\w-]{8}|[^/]*=")
"""A part of a path that begins as keys do, or assigns something."""
_ENDPOINT = re.compile(r"(?:/v1(?:/completions|/chat/completions|/models)?)?/*$")
_ODD = re.compile(r"[%\s<>\"'`{}|\\^\x00-\x20\x7f]")
"""What no host's name has."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `content` is the whole body, or the beginning of an error's."""

    status: int
    content: bytes
    retry_after: str

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


class CallError(Exception):
    """No usable answer came; the message says why, without a secret. `is_gone` if the server may be down."""

    def __init__(self, reason: str, *, is_gone: bool) -> None:
        super().__init__(reason)
        self.is_gone = is_gone


def fetch(client: httpx2.Client, method: str, url: str, body: Any, timeout_s: float) -> Answer:
    """The answer to one call, which takes `timeout_s` at most from beginning to end.

    Its body is bounded by what was asked for. CallError if the server cannot be reached, breaks off, is too
    slow, or sends too much or something compressed, which could be small on its way and endless unpacked.
    """
    most = most_bytes(body)
    try:
        # Twice, for chunks and headers: the body itself is counted exactly, below.
        with (
            limited(Limits(timeout_s, 2 * most + LEAST_BYTES)),
            client.stream(method, url, json=body) as response,
        ):
            return _read(response, most)
    except TooLargeError:
        raise CallError(f"answered too much: over {most:,} bytes", is_gone=False) from None
    except (httpx2.TransportError, httpx2.StreamError) as error:
        words = " ".join(str(error).split())
        reason = f"{type(error).__name__} ({secrets(short=True).mask(words)[:200]})"
        raise CallError(reason, is_gone=True) from None


def _read(response: httpx2.Response, most: int) -> Answer:
    is_error = response.status_code != 200
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "") and not is_error:
        raise CallError("answered with a compressed body, which was not requested", is_gone=False)
    found = bytearray()
    for part in response.iter_raw():
        found += part
        if is_error and len(found) >= WORDS_BYTES:
            break
        if len(found) > most:
            raise TooLargeError
    content = bytes(found[:WORDS_BYTES]) if is_error else bytes(found)
    return Answer(response.status_code, content, response.headers.get("Retry-After", "0"))


def most_bytes(body: Any) -> int:
    """Bytes that the answer to this call may have: n rows of up to max_tokens, each with its prompt."""
    if body is None:
        return LEAST_BYTES
    num_tokens = body.get("n", 1) * (body["max_tokens"] + len(body["prompt"]))
    return LEAST_BYTES + BYTES_PER_TOKEN * int(num_tokens)


def client(url: str, slots: int, timeout_s: float) -> httpx2.Client:
    """A client of the server at `url`, with the environment's key, proxy and certificates.

    InputError, without a secret, if one of these cannot be used.
    """
    key = read_key()
    # A proxy of the environment is for hosts elsewhere.
    is_elsewhere = httpx2.URL(url).host not in _LOOPBACK
    if is_elsewhere:
        _check_proxies()
    _keep_out_of_logs()
    try:
        made = httpx2.Client(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=slots),
            trust_env=is_elsewhere,
        )
    except OSError as error:
        names = [f"${name}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        what = " or ".join(names) or "the system's certificates"
        why = error.strerror or "it holds no certificates"
        raise InputError(
            f"{what}: cannot be read ({why}); name a file of certificates, or unset it"
        ) from None
    return limit(made)


def read_key() -> str:
    """The key of the environment without white space around it; InputError if no header can hold it."""
    key = os.environ.get(KEY, "").strip()
    for place, character in enumerate(key, start=1):
        if not "!" <= character <= "~":
            what = "a line break" if character in "\r\n" else "a space" if character.isspace() else "no ASCII"
            raise InputError(f"${KEY}: character {place} is {what}, which a key cannot hold; set it again")
    if len(key) > LONGEST_KEY:
        raise InputError(f"${KEY}: has {len(key):,} characters, more than a header holds; set it again")
    return key


def base_of(url: str) -> str:
    """The URL up to and without /v1; InputError, without repeating it, if it is none or holds a secret."""
    parsed = _parsed(url, "--server", "http://localhost:8000")
    shown = f"--server {secrets().mask(parsed.host)[:80] or 'URL'}"
    if credentials(url) or parsed.userinfo or parsed.query or parsed.fragment or _has_key(parsed):
        raise InputError(f"{shown}: give no key or password in the URL, but in {KEY}")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(
            f"{shown}: must begin with http:// or https://; give one such as http://localhost:8000"
        )
    return _ENDPOINT.sub("", str(parsed))


def _parsed(url: str, what: str, example: str) -> httpx2.URL:
    """The URL; InputError, which does not repeat it, unless it could be one of an HTTP server."""
    try:
        parsed = httpx2.URL(url.strip())
        codecs.encode(parsed.host.rstrip("."), "idna")
    except (httpx2.InvalidURL, UnicodeError):
        raise InputError(f"{what}: not a URL; give one such as {example}") from None
    if _ODD.search(parsed.host):
        raise InputError(f"{what}: not a URL; give one such as {example}")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise InputError(f"{what}: port {parsed.port} is not between 1 and 65535; give one such as {example}")
    return parsed


def _check_proxies() -> None:
    """InputError, without its password, for a proxy of the environment that no call could go through."""
    example = "http://localhost:3128, or unset it"
    for scheme in ("http", "https", "all"):
        proxy = getproxies().get(scheme)
        if proxy:
            what = f"${scheme.upper()}_PROXY"
            parsed = _parsed(proxy if "://" in proxy else f"http://{proxy}", what, example)
            if parsed.scheme not in ("http", "https", "socks5", "socks5h") or not parsed.host:
                raise InputError(f"{what}: not the address of a proxy; give one such as {example}")
            if parsed.scheme.startswith("socks5") and find_spec("socksio") is None:
                raise InputError(f"{what}: a SOCKS proxy needs pip install socksio, or another proxy")


def _has_key(url: httpx2.URL) -> bool:
    text = str(url)
    is_shown = secrets().mask(text) == text
    return not is_shown or any(_SECRET_SEGMENT.match(one) for one in url.path.split("/"))


class _Masking(logging.Filter):
    """What HTTP libraries log holds headers and status lines, which may repeat the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = secrets(short=True).mask(record.getMessage()), ()
        return True


_masking = _Masking()


def _keep_out_of_logs() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_masking)  # once, as filters are a set
