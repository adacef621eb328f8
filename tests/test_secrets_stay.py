"""A server's key is in its header and nowhere else, whatever a server, a proxy or an exception does."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import torch
from stub_server import Serving, Stub

from gpo import console as ui
from gpo.cli import main
from gpo.masking import KEY, MASK, WITHHELD, Secrets, secrets
from gpo.policies import calls
from gpo.policies.replicas import Patience, Replicas
from gpo.types import InputError

KEPT = 'sk-Zq7!pL%x2&Wv"9rT/eN~u4Ks'
PASSWORD = "pr0xy-Pa55word-long"  # noqa: S105 - made up
ARGUMENTS = ["sample", "--task", "chain_sum", "--limit", "2", "--max-tokens", "16", "--engine", "server",
             "--retries", "0", "--patience-s", "1", "--request-timeout-s", "20"]  # fmt: skip


def pieces(text: str, length: int = 8) -> set[str]:
    return {text[i : i + length].lower() for i in range(len(text) - length + 1)}


def forms(secret: str) -> set[str]:
    """Pieces of the secret as it stands, in base64 wherever that began, and in hexadecimal."""
    found = pieces(secret) | pieces(secret.encode().hex(), 16)
    for before in ("", "a", "ab"):
        found |= pieces(base64.b64encode((before + secret).encode()).decode()[4:-4], 11)
    return found


def views(text: str) -> list[str]:
    """The text, and what it says to those who undo its escapes."""
    plain = html.unescape(unquote(unquote(text)))
    hexadecimal = re.sub(r"\\(?:u|x)([0-9a-f]{4}|[0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)
    return [text, plain, hexadecimal, text.replace("\\", ""), plain.replace("\\", "")]


def everything_shown(capsys: Any, caplog: Any, folder: Path) -> str:
    out, err = capsys.readouterr()
    files = [f"{path}\n{path.read_text(errors='replace')}" for path in folder.rglob("*") if path.is_file()]
    return "\n".join([out, err, caplog.text, *files])


def exit_code(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def assert_kept(text: str, secret: str = KEPT) -> None:
    for view in views(text):
        assert not [piece for piece in forms(secret) if piece in view.lower()]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def response(status: str, body: str | bytes, *headers: str) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(head).encode("latin-1", "replace") + content


def said(secret: str) -> str:
    return f'{{"error": "you sent Authorization: Bearer {secret}"}}'


def with_field(**fields: Any) -> bytes:
    row = {"index": 0, "text": "1", "token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}}
    answer = {"choices": [row | {"finish_reason": "length"} | fields.pop("row", {})]} | fields
    return response("200 OK", json.dumps(answer))


ECHOES: dict[str, Callable[[str], bytes]] = {
    "refused": lambda k: response("401 Unauthorized", said(k)),
    "as a header": lambda k: response("403 No", "Authorization: Bearer " + k),
    "as bytes": lambda k: response("400 No", repr([(b"authorization", b"Bearer " + k.encode())])),
    "as json": lambda k: response("400 No", json.dumps({"headers": {"Authorization": f"Bearer {k}"}})),
    "as unicode escapes": lambda k: response("400 No", "".join(f"\\u{ord(c):04x}" for c in k)),
    "as hexadecimal escapes": lambda k: response("400 No", "".join(f"\\x{ord(c):02x}" for c in k)),
    "as html": lambda k: response("404 No", f"<p>{html.escape(k)}</p>"),
    "as html numbers": lambda k: response("404 No", "".join(f"&#{ord(c)};" for c in k)),
    "percent-encoded": lambda k: response("400 No", quote(k, safe="")),
    "percent-encoded twice": lambda k: response("400 No", quote(quote(k, safe=""), safe="")),
    "all percent-encoded": lambda k: response("400 No", "".join(f"%{ord(c):02x}" for c in k)),
    "base64": lambda k: response("400 No", "Basic " + base64.b64encode(k.encode()).decode()),
    "base64 of more": lambda k: response("400 No", base64.b64encode(f"Bearer {k} ok".encode()).decode()),
    "base64 of a user": lambda k: response("400 No", base64.urlsafe_b64encode(f"u:{k}".encode()).decode()),
    "hexadecimal": lambda k: response("400 No", k.encode().hex()),
    "lower case": lambda k: response("400 No", k.lower()),
    "upper case": lambda k: response("400 No", k.upper()),
    "first half": lambda k: response("400 No", f"key {k[:14]}... is wrong"),
    "last half": lambda k: response("400 No", f"key ...{k[-14:]} is wrong"),
    "across lines": lambda k: response("400 No", f"{k[:13]}\r\n{k[13:]}"),
    "across the cut of what is shown": lambda k: response("400 No", "x" * 290 + k),
    "across the cut of what is shown, encoded": lambda k: response("400 No", "x" * 290 + quote(k, safe="")),
    "across the cut of what is read": lambda k: response("400 No", " " * (calls.WORDS_BYTES - 12) + k),
    "amid broken UTF-8": lambda k: response("400 No", b"\xff\xfe" + k.encode() + b"\xc3"),
    "in the status line": lambda k: response(f"401 {k}", "no"),
    "in a broken status line": lambda k: f"HTTP/9.9 {k}\r\n\r\n".encode(),
    "in a broken header": lambda k: f"HTTP/1.1 200 OK\r\n {k} \r\n\r\n".encode(),
    "in a header": lambda k: response("401 No", "no", f"X-Echo: Bearer {k}"),
    "in Retry-After": lambda k: response("429 No", "no", f"Retry-After: {k}"),
    "in Content-Encoding": lambda k: response("200 OK", "{}", f"Content-Encoding: {k}"),
    "in Location": lambda k: response("307 No", "", f"Location: http://localhost/?key={quote(k)}"),
    "in a cookie": lambda k: response("401 No", "no", f"Set-Cookie: key={k}"),
    "in chunks": lambda k: (
        b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n" + c.encode() + b"\r\n" for c in k)
        + b"0\r\n\r\n"
    ),
    "500": lambda k: response("500 No", said(k)),
    "200 with an error": lambda k: response("200 OK", json.dumps({"error": said(k)})),
    "200 with HTML": lambda k: response("200 OK", f"<html>{k}</html>"),
    "200 and no JSON": lambda k: response("200 OK", k),
    "a key twice": lambda k: response("200 OK", f"{{{json.dumps(k)}: 1, {json.dumps(k)}: 2}}"),
    "half a key twice": lambda k: response("200 OK", f"{{{json.dumps(k[:14])}: 1, {json.dumps(k[:14])}: 2}}"),
    "the model": lambda k: with_field(model=k),
    "half of it the model": lambda k: with_field(model=k[:14]),
    "an index": lambda k: with_field(row={"index": k[:14]}),
    "a finish reason": lambda k: with_field(row={"finish_reason": k}),
    "half of it a finish reason": lambda k: with_field(row={"finish_reason": k[3:17]}),
    "a token": lambda k: with_field(row={"token_ids": [k[:14]]}),
    "half of it a text": lambda k: with_field(row={"text": k[:14], "token_ids": [5, 5]}),
    "a count": lambda k: with_field(usage={"prompt_tokens": k[:14]}),
    "a model listed": lambda k: response("200 OK", json.dumps({"data": [{"id": k}]})),
    "half of it listed": lambda k: response("200 OK", json.dumps({"data": [{"id": k[:14]}, {"id": "b"}]})),
    "a context": lambda k: response("200 OK", json.dumps({"data": [{"id": "a", "max_model_len": k[:14]}]})),
}


class Echoing(Serving):
    """Answers as a stub does, but for `echo` in the place of calls from number `first` on; 0 is the list."""

    def __init__(self, stub: Stub, echo: bytes, first: int) -> None:
        self.stub, self.echo, self.first, self.num_calls = stub, echo, first, 0
        super().__init__()

    def answer(self, handler: Any, body: bytes | None) -> None:
        number, self.num_calls = self.num_calls, self.num_calls + 1
        if number < self.first:
            self.stub.answer(handler, body)
            return
        handler.close_connection = True
        handler.wfile.write(self.echo)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as serving:
        yield serving


EXAMINATION = 5
"""Calls before anything is sampled."""


PLACES = [(kind, 0) for kind in ECHOES]
PLACES += [(kind, 1) for kind in list(ECHOES)[::3]] + [(kind, EXAMINATION) for kind in list(ECHOES)[1::3]]
MOST = [
    pytest.param(*place, marks=pytest.mark.thorough) if i % 10 else place for i, place in enumerate(PLACES)
]


@pytest.mark.parametrize(("kind", "first"), MOST)
def test_whatever_a_server_repeats_the_key_is_nowhere(
    kind, first, stub, monkeypatch, capsys, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY, KEPT)
    with Echoing(stub, ECHOES[kind](KEPT), first) as echoing:
        code = exit_code([*ARGUMENTS, "--server", echoing.url, "--output", "out", "--json"])
        assert echoing.num_calls > first
    assert code in (0, 1, 2)  # some of it is no fault: a header, a cookie
    assert_kept(everything_shown(capsys, caplog, tmp_path))


def test_the_key_reaches_the_server_and_a_good_run_does_not_keep_it(
    monkeypatch, capsys, caplog, tmp_path
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY, f" {KEPT}\r\n")
    with Stub(key=KEPT) as guarded:
        main([*ARGUMENTS, "--server", guarded.url, "--output", "out", "--json"])
    shown = everything_shown(capsys, caplog, tmp_path)
    assert '"problems": 2' in shown
    assert_kept(shown)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{closed}",
        "https://127.0.0.1:{stub}",
        f"http://user:{quote(KEPT, safe='')}@gpu1",
        f"http://{quote(KEPT, safe='')}@gpu1",
        f"http://gpu1/v1?api_key={quote(KEPT)}",
        f"http://gpu1/v1#{quote(KEPT)}",
        f"http://gpu1/{quote(KEPT, safe='')}/v1",
        f"http://gpu1/{KEPT}/v1",
        f"http://gpu1/;key={KEPT[:14]}",
        f"user:{quote(KEPT, safe='')}@gpu1",
        f"gpu1:8000?key={quote(KEPT)}",
        f"{KEPT}",
        f"http://{KEPT[:14]}.example:99999",
        f"http://user:{KEPT}@[::1",
    ],
)
def test_no_url_brings_the_key_into_a_message_or_a_file(url, stub, monkeypatch, capsys, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY, KEPT)
    url = url.replace("{closed}", str(closed_port())).replace("{stub}", stub.url.rpartition(":")[2])
    with pytest.raises(SystemExit):
        main([*ARGUMENTS, "--server", url, "--output", "out"])
    assert_kept(everything_shown(capsys, caplog, tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        "server: {{a: 'http://u:{k}@h'}}",
        "server: [['http://u:{k}@h']]",
        "server: 'http://u:{k}@h'",
        "server: ['http://u:{k}@h']",
        "server: [5, 'http://u:{k}@h']",
        "'http://u:{k}@h': 1",
        "server: ['http://u:{k}@h'",
    ],
)
def test_a_settings_file_with_a_key_is_refused_without_it(content, monkeypatch, capsys, caplog, tmp_path):
    monkeypatch.setenv(KEY, KEPT)
    file = tmp_path / "settings.yaml"
    file.write_text(content.format(k=quote(KEPT, safe="")))
    with pytest.raises(SystemExit) as stopped:
        main([*ARGUMENTS, "--config", str(file), "--output", "out"])
    assert stopped.value.code == 2
    file.unlink()
    assert_kept(everything_shown(capsys, caplog, tmp_path))


@pytest.mark.parametrize(
    "echo",
    [
        None,
        response("407 Proxy Authentication Required", "Basic {basic}"),
        response("407 Proxy Authentication Required", "{secret}"),
        response("502 Bad", "cannot reach {secret}"),
        b"HTTP/1.1 {secret}\r\n\r\n",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_is_no_one_elses(scheme, echo, stub, monkeypatch, capsys, caplog, tmp_path) -> None:
    caplog.set_level(logging.DEBUG)
    secret = PASSWORD
    filled = (echo or b"").replace(b"{secret}", secret.encode())
    filled = filled.replace(b"{basic}", base64.b64encode(f"user:{secret}".encode()))

    class Proxy(Serving):
        def answer(self, handler: Any, body: bytes | None) -> None:
            handler.close_connection = True
            handler.wfile.write(filled)

    with Proxy() as proxy:
        port = proxy.server.server_port if echo else closed_port()
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:{secret}@127.0.0.1:{port}")
        with pytest.raises(SystemExit):
            main([*ARGUMENTS, "--server", f"{scheme}://gpu1.example", "--output", "out"])
    assert_kept(everything_shown(capsys, caplog, tmp_path), secret)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("sk-Zq7pLx2Wv\n9rTeNu4Ks", "character 13 is a line break"),
        ("sk-Zq7pLx2Wv\r\nX-Other: 1", "character 13 is a line break"),
        ("sk-Zq7pLx2Wv 9rTeNu4Ks", "character 13 is a space"),
        ("sk-Zq7pLx2Wv\t9rTeNu4Ks", "character 13 is a space"),
        ("sk-Zq7pLx2Wvé9rTeNu4Ks", "character 13 is no ASCII"),
        ("sk-Zq7pLx2Wv\u200b9rTeNu4Ks", "character 13 is no ASCII"),
        ("\ufeffsk-Zq7pLx2Wv9rTeNu4Ks", "character 1 is no ASCII"),
        ("sk-Zq7pLx2Wv\x1b[0m9rTeNu4Ks", "character 13 is no ASCII"),
        ("sk-Zq7pLx2Wv\x7f9rTeNu4Ks", "character 13 is no ASCII"),
        ("sk-Zq7pLx2Wv\udcff9rTeNu4Ks", "character 13 is no ASCII"),
        ("sk-Zq7pLx2Wv9rTeNu4Ks" * 1000, "has 21,000 characters"),
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    key, reason, stub, monkeypatch, capsys, caplog, tmp_path
) -> None:
    monkeypatch.setenv(KEY, key)
    with pytest.raises(SystemExit) as stopped:
        main([*ARGUMENTS, "--server", stub.url, "--output", "out"])
    assert stopped.value.code == 2
    shown = everything_shown(capsys, caplog, tmp_path)
    assert f"${KEY}: {reason}" in shown
    assert "Zq7pLx2W" not in shown
    assert "9rTeNu4K" not in shown


@pytest.mark.parametrize("key", [" \n", "\t", ""])
def test_white_space_alone_is_no_key(key, monkeypatch) -> None:
    monkeypatch.setenv(KEY, key)
    assert calls.read_key() == ""
    with Replicas.at(["http://localhost:1"], 1, Patience()).replicas[0].client as client:
        assert "authorization" not in client.headers


def test_no_object_shows_the_key_when_it_is_printed(monkeypatch) -> None:
    monkeypatch.setenv(KEY, KEPT)
    found = Replicas.at(["http://localhost:1"], 1, Patience())
    assert_kept(f"{found!r} {found.replicas[0].client.headers!r} {secrets()!r}")
    found.close()


def test_a_traceback_a_warning_and_json_mask_the_key(monkeypatch, capsys) -> None:
    monkeypatch.setenv(KEY, KEPT)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    try:
        raise ValueError(f"header {KEPT}\x1b[2J and hf_abcdefghijklmnop")
    except ValueError as error:
        ui.crash(type(error), error, error.__traceback__)
    ui.others_warning(UserWarning(KEPT), UserWarning, "file.py", 3)
    ui.warning(KEPT)
    ui.error(f"a\n{KEPT}")
    ui.json_object({"a": [KEPT], KEPT: {"b": f"x{KEPT}x"}})
    ui.Ui(False).print(f"{KEPT} and more", "")
    ui.Ui(False).log(KEPT)
    out, err = capsys.readouterr()
    assert_kept(out + err)
    assert "hf_abcdefghijkl" not in out + err
    assert err.count(MASK) == 7  # a line of the source is in the traceback too
    assert json.loads(out.splitlines()[0]) == {"a": [MASK], MASK: {"b": f"x{MASK}x"}}


def test_doctor_does_not_tell_the_key(monkeypatch, capsys) -> None:
    monkeypatch.setenv(KEY, KEPT)
    monkeypatch.setenv("HF_TOKEN", KEPT)
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@host")
    for arguments in (["doctor"], ["doctor", "--json"]):
        assert exit_code(arguments) in (0, 1)  # 1 if something that is installed here does not work
    out, err = capsys.readouterr()
    assert_kept(out + err)
    assert_kept(out + err, PASSWORD)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("no key here", "no key here"),
        ("Bearer abcdefgh12345678", f"Bearer {MASK}"),
        ("abcdefgh12345678abcdefgh12345678", MASK),
        ("x abcdefgh y", f"x {MASK} y"),
        ("x efgh1234 y", f"x {MASK} y"),
        ("x ABCDEFGH12345678 y", f"x {MASK} y"),
        ("abcdefg 2345678", "abcdefg 2345678"),
        ("61626364656667683132333435363738", MASK),
        ("%61%62%63%64%65%66%67%68", WITHHELD),
        ("&#97;bcdefgh12345678", f"&#97;{MASK}"),
        ("100 % of \\d", "100 % of \\d"),
    ],
)
def test_pieces_of_a_secret_are_masked(text, masked) -> None:
    assert Secrets(("abcdefgh12345678",)).mask(text) == masked


def test_a_short_secret_is_masked_where_it_is_a_word_and_only_in_what_servers_say(monkeypatch) -> None:
    monkeypatch.setenv(KEY, "EMPTY")
    assert secrets(short=True).mask("EMPTY, empty, 'EMPTY' nonEMPTY") == f"{MASK}, {MASK}, '{MASK}' nonEMPTY"
    assert secrets().mask("EMPTY") == "EMPTY"


def test_a_key_in_a_url_is_refused_for_each_place_it_may_stand(monkeypatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    for url in (
        "http://u:p@h", "http://u@h", "http://h?key=1", "http://h/v1?a", "http://h#a", "http://h/sk-12345678",
        "http://h/v1/hf_12345678", "http://h/key=1/v1", "http://h/a/;token=1",
    ):  # fmt: skip
        with pytest.raises(InputError, match="give no key or password in the URL, but in GPO_API_KEY"):
            calls.base_of(url)
