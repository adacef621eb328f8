"""A completions server whose answers depend on prompt, seed and row alone, and a proxy that harms a fifth.

`python tests/stub_server.py FILE` serves the demo model until it is killed, and writes its URL to FILE.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from gpo import DEMO_MODEL
from gpo.policies.decoding import Ending, Row, decode
from gpo.policies.reader import read
from gpo.policies.sampler import Sampling
from gpo.policies.transformers import TransformersPolicy
from gpo.seeds import derive_seed
from gpo.types import Problem, State


class Serving:
    """An HTTP server on a thread and a free port of 127.0.0.1, for a with statement."""

    def __init__(self, port: int = 0) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.answer(self, None)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                owner.answer(self, self.rfile.read(length))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Stub(Serving):
    """The demo model behind the completions endpoint; `flaws` are what it does wrong.

    text only, no token ids, ignores n, no logprobs, tells of another prompt, reads another prompt,
    one seed, raw logprobs, other tokenizer, no prompt logprobs, ignores temperature, adds a token
    """

    def __init__(self, *flaws: str, port: int = 0, key: str = "", **told: Any) -> None:
        self.policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=96)
        self.flaws, self.key, self.told = set(flaws), key, told
        self.prompts: list[tuple[int, ...]] = []
        self._lock = threading.Lock()
        super().__init__(port)

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        if self.key and handler.headers.get("Authorization") != f"Bearer {self.key}":
            sent = handler.headers.get("Authorization")
            send(handler, 401, json.dumps({"error": f"wrong key, you sent {sent}"}).encode())
            return
        if body is None:
            model = {"id": "demo", "root": "/models/demo", "max_model_len": 8192, "created": time.time()}
            send(handler, 200, json.dumps({"data": [model | self.told]}).encode())
            return
        asked = json.loads(body)
        if isinstance(asked["prompt"], list) == ("text only" in self.flaws):
            send(handler, 400, b'{"error": {"message": "prompt must be something else"}}')
            return
        with self._lock, torch.inference_mode():
            found = self.completed(asked)
        send(handler, 200, json.dumps(found).encode())

    def completed(self, asked: dict[str, Any]) -> dict[str, Any]:
        tokenizer, flaws = self.policy.tokenizer, self.flaws
        prompt = asked["prompt"]
        ids = tuple(tokenizer.encode(prompt) if isinstance(prompt, str) else prompt)
        self.prompts.append(ids)
        if "reads another prompt" in flaws:
            ids = (*ids, *self.policy.prompt_ids("1 + 1 = "))
        if "adds a token" in flaws:
            ids = (self.policy.end_ids[0], *ids)
        temperature = 0.0 if "ignores temperature" in flaws else asked["temperature"]
        sampling = Sampling(temperature, asked.get("top_p", 1.0), max(0, asked.get("top_k", 0)))
        num = 1 if "ignores n" in flaws else asked.get("n", 1)
        rows = [
            Row(ids, asked["max_tokens"], asked["seed"], 0 if "one seed" in flaws else i) for i in range(num)
        ]
        ending = Ending(self.policy.end_ids, tuple(asked.get("stop", ())), tokenizer)
        samples = decode(self.policy.model, rows, sampling, ending, self.policy.context)
        choices = [self.choice(i, one, ids, asked) for i, one in enumerate(samples)]
        # What it says of a prompt of ids is what it was sent, whatever it read.
        num = len(ids) if isinstance(prompt, str) else len(prompt)
        return {"choices": choices, "usage": {"prompt_tokens": num}}

    def choice(self, index: int, sample: Any, ids: tuple[int, ...], asked: dict[str, Any]) -> dict[str, Any]:
        decoded = self.policy.tokenizer.decode
        new = sample.action_ids
        text = decode_without_end(decoded, new, self.policy.end_ids)
        choice: dict[str, Any] = {
            "index": index,
            "text": text[::-1] + "?" if "other tokenizer" in self.flaws else text,
            "finish_reason": "stop" if sample.finished else "length",
        }
        if self.flaws & {"text only"}:
            return choice
        if "no token ids" not in self.flaws:
            choice |= {"token_ids": list(new), "prompt_token_ids": list(ids)}
        if "tells of another prompt" in self.flaws:
            choice["prompt_token_ids"] = [1, *ids]
        if "reads another prompt" in self.flaws:
            choice["prompt_token_ids"] = asked["prompt"]
        if "no logprobs" not in self.flaws:
            choice["logprobs"] = self.logprobs(sample, ids, asked)
        if "prompt_logprobs" in asked and "no prompt logprobs" not in self.flaws:
            problem = Problem("stub", ids[:1], "")
            one = read(self.policy.model, [(State(problem), ids[1:])], Sampling(), None, 65_536)[0]
            known = [{str(i): {"logprob": x}} for i, x in zip(ids[1:], one.logprobs, strict=True)]
            choice["prompt_logprobs"] = [None, *known]
        return choice

    def logprobs(self, sample: Any, ids: tuple[int, ...], asked: dict[str, Any]) -> dict[str, Any]:
        is_raw = "raw logprobs" in self.flaws
        values = sample.logprobs
        if is_raw:
            given = [(State(Problem("stub", ids, "")), sample.action_ids)]
            values = read(self.policy.model, given, Sampling(), None, 65_536)[0].logprobs
        found: dict[str, Any] = {"token_logprobs": list(values)}
        if asked["logprobs"]:
            logits_V = self.policy.model(input_ids=torch.tensor([ids])).logits[0, -1]
            logprobs_V = (logits_V / (1 if is_raw else asked["temperature"])).log_softmax(-1)
            top = logprobs_V.topk(asked["logprobs"])
            pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            found["top_logprobs"] = [{f"token_id:{i}": x for i, x in pairs}]
        return found


def decode_without_end(decoded: Any, ids: tuple[int, ...], end_ids: tuple[int, ...]) -> str:
    return str(decoded(ids[:-1] if ids and ids[-1] in end_ids else ids))


class Faulty(Serving):
    """Passes calls on to `upstream`, and harms about one in five of the completions, in turn in each way."""

    KINDS = ("drop", "half", "garbage", "error", "busy", "delay")

    def __init__(self, upstream: str, harmed_percent: int = 20) -> None:
        self.upstream, self.harmed_percent = upstream, harmed_percent
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()

    def kind(self) -> str:
        with self._lock:
            self.counts["calls"] += 1
            is_harmed = derive_seed("fault", self.counts["calls"]) % 100 < self.harmed_percent
            kind = self.KINDS[self.counts["harmed"] % len(self.KINDS)] if is_harmed else "none"
            self.counts[kind] += 1
            self.counts["harmed"] += is_harmed
        return kind

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        kind = "none" if body is None else self.kind()
        handler.close_connection = kind in ("drop", "half")
        if kind == "drop":
            return
        if kind == "error":
            send(handler, 500, b"an error of the proxy")
            return
        if kind == "busy":
            send(handler, 429, b"too many", Retry_After="0.05")
            return
        if kind == "delay":
            time.sleep(0.2)
        try:
            status, found = self.forwarded(handler, body)
        except OSError:
            send(handler, 502, b"upstream is gone")
            return
        if kind == "garbage":
            found = found[: len(found) // 2] + b"\x00\xff" + found[len(found) // 2 :]
        if kind == "half":
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(found)))
            handler.end_headers()
            handler.wfile.write(found[: len(found) // 2])
        else:
            send(handler, status, found)

    def forwarded(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> tuple[int, bytes]:
        where = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=600)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("GET" if body is None else "POST", handler.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    with Stub() as stub:
        Path(sys.argv[1]).write_text(stub.url)
        threading.Event().wait()
