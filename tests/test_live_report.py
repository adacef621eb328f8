"""`gpo report --live` and the index of many runs: what is served, to whom, and how it ends."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from reported import curve, write_run

from gpo.cli import main
from gpo.report import live
from gpo.types import InputError

STEPS = ["1 + 2 = 3\n", "3 + 3 = 7\n", "Answer: 7"]


@pytest.fixture
def served(monkeypatch):
    """A server of two versions of some data, and what to set to have the second."""
    monkeypatch.setattr(live, "LEAST_S", 0.0)
    monkeypatch.setattr(live, "REST", 0.0)
    state = {"stamp": "1", "fault": None}

    def make() -> dict:
        if state["fault"]:
            raise InputError(state["fault"])
        return {"runs": [], "notes": [state["stamp"] + "</script>"], "is_running": True}

    server = live.Server(live.Followed(make, lambda: state["stamp"]), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server, state
    server.shutdown()
    thread.join()
    server.server_close()


def asked(server, path="", method="GET", **headers) -> tuple[int, str, dict]:
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=20)
    host = {"Host": f"127.0.0.1:{url.port}"} | headers
    connection.putrequest(method, url.path + path if not path.startswith("/") else path, skip_host=True)
    for name, value in host.items():
        for one in value if isinstance(value, list) else [value]:
            connection.putheader(name, one)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_only_this_machine_is_listened_on(served) -> None:
    server, _ = served
    assert server.server_address[0] == "127.0.0.1"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{16}/", server.url)


def test_the_page_may_ask_where_it_came_from_and_nowhere_else(served) -> None:
    server, _ = served
    status, html, headers = asked(server)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "connect-src &#39;self&#39;" in html
    assert "default-src &#39;none&#39;" in html
    assert "1</script>" not in html


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("", "GET", {"Host": "localhost:1"}, 200),
        ("", "GET", {"Host": "localhost"}, 200),
        ("", "GET", {"Host": "evil.example:80"}, 403),
        ("", "GET", {"Host": "127.0.0.1.evil.example"}, 403),
        ("", "GET", {"Host": "evil.example:127.0.0.1"}, 403),
        ("", "GET", {"Host": ""}, 403),
        ("", "GET", {"Host": []}, 403),
        ("", "GET", {"Host": ["127.0.0.1", "evil.example"]}, 403),
        ("data", "GET", {"Host": "evil.example"}, 403),
        ("/", "GET", {}, 404),
        ("/data", "GET", {}, 404),
        ("../../etc/passwd", "GET", {}, 404),
        ("data/more", "GET", {}, 404),
        ("", "POST", {}, 405),
        ("", "HEAD", {}, 405),
        ("data", "PUT", {}, 405),
        ("", "OPTIONS", {}, 405),
        ("", "DELETE", {}, 405),
    ],
)
def test_who_names_another_machine_or_lacks_the_key_or_asks_otherwise_gets_nothing(
    served, path, method, headers, status
) -> None:
    server, _ = served
    found, text, answered = asked(server, path, method, **headers)
    assert found == status
    assert ("<script" in text) == (status == 200)
    assert answered.get("Allow") == ("GET" if status == 405 else None)


def test_data_are_sent_once_and_again_when_the_run_has_gone_on(served) -> None:
    server, state = served
    status, text, _ = asked(server, "data?since=0")
    assert (status, json.loads(text)["live"], json.loads(text)["notes"]) == (200, "1", ["1</script>"])
    assert "<" not in text
    assert asked(server, "data?since=1")[0] == 204
    state["stamp"] = "2"
    status, text, _ = asked(server, "data?since=1")
    assert (status, json.loads(text)["live"]) == (200, "2")
    state |= {"stamp": "3", "fault": "curves.jsonl: row 1: is not valid JSON"}
    assert asked(server, "data?since=2")[:2] == (503, "curves.jsonl: row 1: is not valid JSON")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: cannot be served on"):
            live.Server(live.Followed(dict, str), port)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_is_no_error(tmp_path, signal_number) -> None:
    run = write_run(tmp_path / "run", [curve(0, "q", "6", STEPS)], [])
    command = [sys.executable, "-m", "gpo", "report", str(run), "--live", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines = iter(process.stderr.readline, "")
        url = next(line.strip() for line in lines if line.startswith("http://127.0.0.1:"))
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=60)
        connection.request("GET", urlsplit(url).path)
        assert b"1 + 2 = 3" in connection.getresponse().read()
        os.kill(process.pid, signal_number)
        told = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait() == 0
    assert told == {"run": str(run), "url": url, "running": False}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["run", "--port", "80"], "--port: has no effect without --live"),
        (["run", "--live", "-o", "x.html"], "--live: serves the page of one run and writes no file"),
        (["run", "run", "--live"], "--live: serves the page of one run"),
        (["nothing", "--live"], "nothing: holds no run.json"),
        (["empty"], "empty: holds no run.json, so it is not a run, and no run is in it"),
    ],
)
def test_flags_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys, flags, message) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("run"), [curve(0, "q", "6", STEPS)], [])
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["report", *flags])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_runs_becomes_an_index_with_a_report_of_each(tmp_path, capsys) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    write_run(folder / "b", [curve(0, "q", "6", STEPS)], [], model="tiny", task="gsm8k")
    (folder / "deep").mkdir()
    write_run(folder / "deep" / "a", [], [], task="math")
    evaluated = write_run(folder / "e", [], [])
    (evaluated / "run.json").write_text('{"command": "sample", "settings": {"task": "own"}}')
    write_run(folder / "torn", [curve(0, "q", "6", STEPS)], [])
    (folder / "torn" / "curves.jsonl").write_text('{"round": "x"}\n')
    main(["report", str(folder), "-o", str(tmp_path / "index.html"), "--json"])
    assert json.loads(capsys.readouterr().out)["runs"] == [
        str(folder / n) for n in ("b", "deep/a", "e", "torn")
    ]
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html)[1])
    rows = {row["run"]: row for row in data["index"]}
    assert rows["b"] == {
        "run": "b", "command": "locate", "model": "tiny", "task": "gsm8k", "state": "interrupted",
        "error": None, "tokens": 30, "problems": 2, "rate": [0.25, 0.25],
        "located": 1, "credible": 1, "report": 0,
    }  # fmt: skip
    assert rows["deep/a"]["report"] == 1
    assert (rows["e"]["command"], rows["e"]["rate"], rows["e"].get("report")) == (
        "sample",
        [0.25, 0.25],
        None,
    )
    assert rows["torn"]["state"] == "damaged"
    assert "curves.jsonl: row 1" in rows["torn"]["error"]
    assert [one["data"]["runs"][0]["name"] for one in data["reports"]] == ["b", "a"]
