"""Servers as engines: what is asked and checked, faults, replicas, refusals, keys, and text alone."""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stub_server import Faulty, Serving, Stub

from gpo import DEMO_MODEL, steps
from gpo.cli import main
from gpo.command_settings import TrainSettings
from gpo.policies.completions import Ask, samples_of
from gpo.policies.replicas import KEY, MalformedError, Patience, Replicas
from gpo.policies.server import ServerPolicy
from gpo.policies.text_only import TextOnlyPolicy
from gpo.policies.transformers import TransformersPolicy
from gpo.training import weights
from gpo.types import DataWarning, EngineError, InputError, Problem, Request, State

QUICK = Patience(timeout_s=20, retries=8, gone_s=20)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as serving:
        yield serving


@pytest.fixture(scope="module")
def local() -> TransformersPolicy:
    return TransformersPolicy.load(DEMO_MODEL, max_tokens=64)


def policy_at(*urls: str, **settings: Any) -> ServerPolicy:
    return ServerPolicy.load(urls, DEMO_MODEL, **{"max_tokens": 64, "patience": QUICK, **settings})


def requests_of(policy: Any, num_problems: int = 2, num: int = 3) -> list[Request]:
    questions = [f"{i} + 3 - 2 = " for i in range(num_problems)]
    problems = [
        Problem(question, policy.prompt_ids(question), "", question=question) for question in questions
    ]
    prefix = tuple(policy.tokenizer.encode("1 + 3 = 4\n"))
    return [
        Request(State(problem, given), num, seed)
        for seed, problem in enumerate(problems)
        for given in ((), prefix)
    ]


def test_samples_are_the_servers_tokens_with_logprobs_of_a_plain_forward_pass(stub, local) -> None:
    policy = policy_at(stub.url)
    requests = requests_of(policy)
    for request, samples in zip(requests, policy.sample(requests), strict=True):
        assert len(samples) == request.num
        for one in samples:
            assert one.finished == (one.action_ids[-1] in local.end_ids)
            assert len(one.action_ids) <= 64 - len(request.state.prefix_ids)
            known = local.read([(request.state, one.action_ids)])[0]
            assert one.logprobs == pytest.approx(known.logprobs, abs=1e-4)
            assert policy.read([(request.state, one.action_ids)])[0].logprobs == pytest.approx(
                known.logprobs, abs=1e-4
            )
            assert one.entropies == ()


def test_greedy_samples_are_those_of_the_transformers_policy(stub) -> None:
    policy = policy_at(stub.url, temperature=0.0)
    local = TransformersPolicy.load(DEMO_MODEL, max_tokens=64, temperature=0.0)
    requests = requests_of(local)
    theirs, ours = policy.sample(requests), local.sample(requests)
    assert [[one.action_ids for one in group] for group in theirs] == [
        [one.action_ids for one in group] for group in ours
    ]
    assert [[one.finished for one in group] for group in theirs] == [
        [one.finished for one in group] for group in ours
    ]


def test_what_a_request_draws_depends_on_its_seed_and_neither_on_order_nor_on_how_it_is_asked(stub) -> None:
    policy = policy_at(stub.url)
    requests = requests_of(policy)
    together = policy.sample(requests)
    assert policy.sample(requests[::-1]) == together[::-1]
    assert [future.result() for future in [policy.submit(request) for request in requests]] == together
    few = [Request(request.state, 2, request.seed) for request in requests]
    for two, three in zip(policy.sample(few), together, strict=True):
        assert [one.action_ids for one in two] == [one.action_ids for one in three[:2]]
    others = [Request(request.state, request.num, request.seed + 1) for request in requests]
    assert policy.sample(others) != together


def test_a_state_without_room_gets_empty_unfinished_samples(stub) -> None:
    policy = policy_at(stub.url, max_tokens=4)
    state = State(Problem("x", policy.prompt_ids("1 + 1 = "), ""), (5, 5, 5, 5))
    assert [(one.action_ids, one.finished) for one in policy.sample([Request(state, 2, 0)])[0]] == [
        ((), False)
    ] * 2


def test_a_stop_string_ends_a_completion_as_it_does_in_transformers(stub) -> None:
    policy = policy_at(stub.url, temperature=0.0, stop=["= "])
    local = TransformersPolicy.load(DEMO_MODEL, max_tokens=64, temperature=0.0, stop=["= "])
    requests = requests_of(local, num=1)
    theirs, ours = policy.sample(requests), local.sample(requests)
    assert [one.action_ids for (one,) in theirs] == [one.action_ids for (one,) in ours]
    assert any(one.finished and policy.text(one.action_ids).endswith("= ") for (one,) in theirs)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("text only", "refuses a prompt of token ids.*prompt must be something else"),
        ("no token ids", "returns no token ids"),
        ("ignores n", "ignores n: two rows"),
        ("no logprobs", "ignores logprobs"),
        ("tells of another prompt", "changes the prompt"),
        ("reads another prompt", "cannot continue an assistant's turn"),
        ("one seed", "draws all rows of a request alike"),
        ("ignores temperature", "draws all rows of a request alike"),
        ("other tokenizer", "has another tokenizer than --model"),
    ],
)
def test_a_server_that_cannot_do_what_is_needed_is_refused_with_the_reason(flaw, reason) -> None:
    with Stub(flaw) as flawed, pytest.raises(InputError, match=rf"--server {flawed.url}: {reason}"):
        policy_at(flawed.url)


def test_servers_of_different_models_and_unknown_names_are_refused(stub) -> None:
    with Stub(max_model_len=64) as other, pytest.raises(InputError, match=f"{other.url}: serves"):
        policy_at(stub.url, other.url)
    with pytest.raises(InputError, match="serves no model 'mine': 'demo'"):
        policy_at(stub.url, served_model="mine")


def test_the_servers_context_bounds_prompt_and_completion() -> None:
    with Stub(max_model_len=60) as small:
        policy = policy_at(small.url)
        assert policy.context == 60
        state = State(Problem("x", policy.prompt_ids("1 + 1 = "), ""))
        assert policy.room(state) == 60 - len(state.ids)
        with pytest.raises(InputError, match="has 60 tokens; the model's context is 60"):
            policy.read([(state, (5,) * (60 - len(state.ids)))])


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize(
    ("settings", "known_where"),
    [({"temperature": 0.7}, "scaled"), ({"temperature": 0.7, "top_k": 5}, "never"), ({}, "always")],
)
def test_logprobs_that_are_not_at_the_sampling_temperature_are_left_out_and_said(
    is_raw, settings, known_where, recwarn
) -> None:
    with Stub(*(["raw logprobs"] if is_raw else [])) as serving:
        policy = policy_at(serving.url, **settings)
        request = requests_of(policy)[0]
        one = policy.sample([request])[0][0]
    is_known = known_where == "always" or (known_where == "scaled" and not is_raw)
    assert [warning.category for warning in recwarn] == ([] if is_known else [DataWarning])
    if is_known:
        local = TransformersPolicy.load(DEMO_MODEL, max_tokens=64, **settings)
        known = local.read([(request.state, one.action_ids)])[0]
        assert one.logprobs == pytest.approx(known.logprobs, abs=1e-4)
    else:
        assert all(map(math.isnan, one.logprobs))
        with pytest.raises(InputError, match=r"at temperature 1, not 0\.7"):
            policy.read([(request.state, one.action_ids)])


def test_a_server_that_reads_no_prompts_says_so_when_it_is_asked() -> None:
    with Stub("no prompt logprobs") as serving:
        policy = policy_at(serving.url, patience=Patience(20, retries=1, gone_s=1))
        with pytest.raises(EngineError, match=r"no log-probabilities of the prompt.*gave up after 1 retries"):
            policy.read([(requests_of(policy)[0].state, (5, 6))])
        assert policy.read([]) == []


def rows(local: Any, **changes: Any) -> dict[str, Any]:
    row = {
        "index": 0,
        "token_ids": [5, 6, local.end_ids[0]],
        "logprobs": {"token_logprobs": [-0.1, -0.2, 0.0]},
        "finish_reason": "stop",
        "prompt_token_ids": [1, 2],
    }
    return {"choices": [row | changes]}


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 1},
        {"token_ids": None},
        {"token_ids": [5, 6, True]},
        {"token_ids": [5, 6, -1]},
        {"token_ids": []},
        {"token_ids": [5] * 9},
        {"logprobs": None},
        {"logprobs": {"token_logprobs": [-0.1, -0.2]}},
        {"logprobs": {"token_logprobs": [-0.1, None, 0.0]}},
        {"logprobs": {"token_logprobs": [-0.1, math.nan, 0.0]}},
        {"logprobs": {"token_logprobs": [-0.1, 1.5, 0.0]}},
        {"finish_reason": "abort"},
        {"finish_reason": None},
        {"finish_reason": "length"},
        {"token_ids": [5, 6, 7]},
        {"prompt_token_ids": [1, 3]},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_right_is_not_taken(local, changes) -> None:
    ask = Ask((1, 2), 8, 1, 0)
    assert samples_of(rows(local), ask, local)[0].finished
    with pytest.raises(MalformedError):
        samples_of(rows(local, **changes), ask, local)
    for broken in (None, [], {"choices": {}}, {"choices": [1]}, {"choices": []}):
        with pytest.raises(MalformedError):
            samples_of(broken, ask, local)


def test_no_fault_of_the_way_changes_a_sample_or_loses_one(stub) -> None:
    with Faulty(stub.url, harmed_percent=40) as proxy:
        policy = policy_at(proxy.url, slots=8)
        requests = requests_of(policy, num_problems=12, num=1)
        assert policy.sample(requests) == policy_at(stub.url).sample(requests)
        assert min(proxy.counts[kind] for kind in Faulty.KINDS) >= 1
        assert sum(policy.counts.values()) == proxy.counts["harmed"] - proxy.counts["delay"]


class Silent(Serving):
    """Answers nothing before it is let go; the first `num_silent` calls wait for that."""

    def __init__(self, upstream: Stub, num_silent: int) -> None:
        self.upstream, self.num_silent, self.released = upstream, num_silent, threading.Event()
        super().__init__()

    def answer(self, handler: Any, body: bytes | None) -> None:
        if body is not None and self.num_silent > 0:
            self.num_silent -= 1
            self.released.wait(30)
            handler.close_connection = True
            return
        self.upstream.answer(handler, body)


def test_a_call_that_takes_too_long_is_given_up_and_made_again(stub) -> None:
    with Silent(stub, 1) as silent:
        policy = policy_at(silent.url, patience=Patience(timeout_s=2, retries=2, gone_s=10))
        assert policy.counts == {"ReadTimeout": 1}
        silent.released.set()


def test_a_trajectorys_states_stay_on_one_server_and_trajectories_spread(local) -> None:
    with ExitStack() as stack:
        stubs = [stack.enter_context(Stub()) for _ in range(3)]
        policy = policy_at(*(one.url for one in stubs))
        for one in stubs:
            one.prompts.clear()
        requests = requests_of(policy, num_problems=6, num=1)
        for _ in range(2):
            policy.sample(requests)
        places: dict[str, set[int]] = {}
        for request in requests:
            found = {i for i, one in enumerate(stubs) if request.state.ids in one.prompts}
            places.setdefault(request.state.problem.id, set()).update(found)
        assert all(len(found) == 1 for found in places.values())
        assert [sum(i in found for found in places.values()) for i in range(3)] == [2, 2, 2]


@pytest.mark.thorough
def test_a_dead_server_is_set_aside_and_tried_again_when_it_is_back(stub) -> None:
    second = Stub()
    port = second.server.server_port
    policy = policy_at(stub.url, second.url, slots=2)
    requests = requests_of(policy, num_problems=8, num=1)
    clean = policy.sample(requests)
    second.__exit__()
    policy.close()
    policy = None
    with Stub(port=port) as third:
        policy = policy_at(stub.url, third.url, slots=2)
        assert policy.sample(requests) == clean
    # Its kept connections would still be served: a thread of a server lives until its connection ends.
    for replica in policy._replicas.replicas:
        replica.client._transport._pool.close()
    assert policy.sample(requests) == clean
    assert policy.counts["ConnectError"] >= 3
    dead = policy._replicas.replicas[1]
    assert dead.is_down
    with Stub(port=port) as fourth:
        dead.rests_until = 0.0
        assert policy.sample(requests) == clean
        assert fourth.prompts
        assert not dead.is_down


def test_servers_that_are_all_gone_end_the_run_when_patience_ends() -> None:
    with Stub() as only:
        policy = policy_at(only.url, patience=Patience(timeout_s=5, retries=8, gone_s=0.3))
        request = requests_of(policy)[0]
    for replica in policy._replicas.replicas:
        replica.client._transport._pool.close()
    with pytest.raises(EngineError, match=f"no answer from {only.url} for"):
        policy.sample([request])


def test_a_server_never_gets_more_rows_at_once_than_it_has_slots(stub) -> None:
    most, lock = [0, 0], threading.Lock()

    class Counting(Serving):
        def answer(self, handler: Any, body: bytes | None) -> None:
            num = 0 if body is None else json.loads(body)["n"]
            with lock:
                most[0] += num
                most[1] = max(most)
            stub.answer(handler, body)
            with lock:
                most[0] -= num

    with Counting() as counting:
        policy = policy_at(counting.url, slots=6)
        policy.sample(requests_of(policy, num_problems=6, num=2))
    assert policy.slots == 6
    assert 4 <= most[1] <= 8  # an answer may be read before the server's thread has counted it down


@pytest.fixture
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_in_an_empty_folder")
def test_a_key_is_sent_and_neither_recorded_nor_logged_nor_told(monkeypatch, capsys, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk-a-secret-of-ours"
    monkeypatch.setenv(KEY, key)
    with Stub(key=key) as guarded:
        arguments = [
            "sample",
            "--task",
            "chain_sum",
            "--limit",
            "2",
            "--max-tokens",
            "48",
            "--engine",
            "server",
        ]
        main([*arguments, "--server", guarded.url, "--output", "out", "--json"])
        monkeypatch.setenv(KEY, key + "-that-is-wrong")
        with pytest.raises(SystemExit):
            main([*arguments, "--server", guarded.url, "--output", "out2"])
    out, err = capsys.readouterr()
    assert "answered 401" in err
    assert "[key]" in err
    files = [path.read_text() for path in Path().rglob("*") if path.is_file()]
    assert files
    for text in (out, err, caplog.text, *files):
        assert "secret-of-ours" not in text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://user:hidden@host/v1", "give no key or password in the URL, but in GPO_API_KEY"),
        ("https://host/v1?key=hidden", "give no key or password in the URL, but in GPO_API_KEY"),
        ("localhost:8000", "must begin with http"),
        ("http://", "must begin with http"),
    ],
)
def test_a_url_that_is_none_or_holds_a_key_is_refused_without_repeating_it(url, reason) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        Replicas.at([url], 1, QUICK)
    assert "hidden" not in str(refused.value)


def curves_and_rollouts(folder: str) -> tuple[list[str], list[str]]:
    """Every line of both files, in an order that does not depend on which answer came first."""
    curves, rollouts = (
        sorted(Path(folder, f"{name}.jsonl").read_text().splitlines()) for name in ("curves", "rollouts")
    )
    return curves, rollouts


@pytest.mark.thorough
@pytest.mark.usefixtures("_in_an_empty_folder")
def test_located_curves_are_the_same_when_a_fifth_of_all_calls_goes_wrong(stub, capsys) -> None:
    arguments = [
        "locate",
        "--task",
        "chain_sum",
        "--limit",
        "8",
        "--max-tokens",
        "64",
        "--min-step-tokens",
        "1",
    ]
    arguments += ["--group-size", "4", "--search-traces", "3", "--engine", "server", "--json"]
    main([*arguments, "--server", stub.url, "--output", "clean"])
    with Faulty(stub.url) as proxy:
        main([*arguments, "--server", proxy.url, "--output", "harmed", "--request-timeout-s", "60"])
        assert proxy.counts["harmed"] >= 5
    printed = capsys.readouterr()
    assert printed.err.count("returns no entropies") == 2
    summary = json.loads(printed.out.splitlines()[-1])
    assert curves_and_rollouts("clean") == curves_and_rollouts("harmed")
    assert len(curves_and_rollouts("clean")[0]) >= 2
    assert sum(summary["tried_again"].values()) >= 2


@pytest.mark.usefixtures("_in_an_empty_folder")
def test_eval_and_pairs_sample_from_a_server_too(stub, capsys) -> None:
    served = ["--engine", "server", "--server", stub.url, "--max-tokens", "48", "--json"]
    main(["eval", "--task", "chain_sum", "--limit", "4", "--output", "rate", *served])
    main(["pairs", "--task", "chain_sum", "--limit", "3", "--min-step-tokens", "1", "--rule", "drop",
          "--group-size", "4", "--search-traces", "2", "--output", "pairs", *served])  # fmt: skip
    rate, pairs = map(json.loads, capsys.readouterr().out.splitlines()[-2:])
    assert rate["problems"] == 4
    assert pairs["tokens"]["values"] > 0
    fingerprint = json.loads(Path("rate/run.json").read_text())["fingerprint"]
    assert fingerprint["weights"]["id"] == "demo"


@pytest.mark.usefixtures("_in_an_empty_folder")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["sample", "--engine", "server"], "engine: server needs the URL of one; give server"),
        (["sample", "--server", "http://x"], "server: is for engine server, not transformers"),
        (["sample", "--text-only"], "--text-only: is for engine server"),
        (["sample", "--engine", "server", "--server", "http://x", "--adapter", "a"], "adapter: a server has"),
        (
            ["train", "--engine", "server", "--server", "http://x"],
            "engine: a server's weights cannot be updated",
        ),
        (
            ["eval", "--engine", "server", "--server", "http://x", "--against", "demo"],
            "--against demo: engine",
        ),
        (["sample", "--engine", "gguf"], "--engine: must be 'transformers', 'vllm' or 'server'"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(arguments, reason, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--task", "chain_sum", "--output", "out"])
    assert stopped.value.code == 2
    err = capsys.readouterr().err.strip()
    assert reason in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("_in_an_empty_folder")
@pytest.mark.parametrize("command", [("sample",), ("train", "--recipe", "search")])
def test_without_vllm_its_engine_is_refused_before_anything_is_written(command, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--engine", "vllm", "--task", "chain_sum", "--output", "out"])
    assert stopped.value.code == 2
    assert "--engine vllm: cannot be imported" in capsys.readouterr().err
    assert not Path("out").exists()


def test_updates_of_several_processes_are_not_handed_over(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.Accelerator", lambda cpu: None)
    monkeypatch.setattr(weights, "Ranks", lambda accelerator: SimpleNamespace(num=2))
    with pytest.raises(InputError, match="train with one"):
        weights.processes(TrainSettings(task="chain_sum", engine="vllm"))


def text_policy(url: str, **settings: Any) -> TextOnlyPolicy:
    return TextOnlyPolicy.load([url], DEMO_MODEL, **{"max_tokens": 64, "patience": QUICK, **settings})


def test_a_text_only_server_samples_what_its_tokens_say_and_knows_no_logprobs(local) -> None:
    with Stub("text only", "ignores n") as text_only:
        policy = text_policy(text_only.url, temperature=0.0)
        requests = requests_of(policy)
        greedy = TransformersPolicy.load(DEMO_MODEL, max_tokens=64, temperature=0.0)
        theirs, ours = policy.sample(requests), greedy.sample(requests)
        assert [[one.action_ids for one in group] for group in theirs] == [
            [one.action_ids for one in group] for group in ours
        ]
        assert all(math.isnan(x) for group in theirs for one in group for x in one.logprobs)
        drawn = text_policy(text_only.url).sample(requests)
        assert any(len({one.action_ids for one in group}) > 1 for group in drawn)
        with pytest.raises(InputError, match="gives no log-probabilities; use --proposal none"):
            policy.read([(requests[0].state, (5,))])


class Merging:
    """A tokenizer to which "ab" is one token, 2, beside "a", 0, and "b", 1."""

    def encode(self, text: str) -> list[int]:
        return [int(one) for one in text.replace("ab", "2").replace("a", "0").replace("b", "1")]

    def decode(self, ids: Any) -> str:
        return "".join(["a", "b", "ab"][one] for one in ids)


def test_a_prefix_that_is_not_kept_as_text_is_no_place_to_start_and_is_counted() -> None:
    with Stub("text only") as text_only:
        policy = text_policy(text_only.url)
        policy.tokenizer = Merging()
        splitter = policy.restartable(lambda ids, tokenizer: list(range(len(ids) + 1)))
        # b a b as 1 0 1: after "ba" comes back as it was, after "bab" as 1 2.
        assert splitter((1, 0, 1, 1), policy.tokenizer) == [0, 1, 2, 4]
        assert policy.counts == {"prefixes refused": 1}
        with pytest.raises(InputError, match="problem p: its prompt, or a prefix of 3 tokens, comes back"):
            policy.sample([Request(State(Problem("p", (1,), ""), (1, 0, 1)), 1, 0)])


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("ignores temperature", "4 draws at temperature 1 are all alike"),
        ("reads another prompt", "usage.prompt_tokens is .*: it adds some, or has another tokenizer"),
        ("adds a token", "usage.prompt_tokens is .*: it adds some, or has another tokenizer"),
    ],
)
def test_a_text_only_server_is_examined_too(flaw, reason) -> None:
    once = Patience(20, retries=0, gone_s=1)
    with Stub("text only", flaw) as text_only, pytest.raises((InputError, EngineError), match=reason):
        text_policy(text_only.url, patience=once)


def test_steps_are_those_of_the_splitter_where_every_prefix_is_kept(local) -> None:
    with Stub("text only") as text_only:
        policy = text_policy(text_only.url)
    ids = tuple(local.tokenizer.encode("1 + 3 = 4\n4 - 2 = 2\nAnswer: 2"))
    splitter = steps.newline(min_tokens=1)
    assert policy.restartable(splitter)(ids, local.tokenizer) == splitter(ids, local.tokenizer)
    assert policy.num_refused == 0
