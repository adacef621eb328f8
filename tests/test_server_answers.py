"""What a server may answer: every field is checked, and a fault names server, field and value."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from stub_server import Serving, Stub, send

from gpo import DEMO_MODEL
from gpo.policies.completions import Ask, check_name, choices_of, prompt_logprobs_of, samples_of
from gpo.policies.replicas import MalformedError, Patience
from gpo.policies.server import ServerPolicy
from gpo.policies.text_only import TextOnlyPolicy
from gpo.policies.transformers import TransformersPolicy
from gpo.types import EngineError, InputError, Problem, Request, State

PROMPT = tuple(range(2, 20))


@pytest.fixture(scope="module")
def local() -> TransformersPolicy:
    return TransformersPolicy.load(DEMO_MODEL, max_tokens=64)


@pytest.fixture(scope="module")
def good(local) -> dict[str, Any]:
    """An answer to an ask of two rows of at most 4 tokens: one that ended, one that was cut."""
    two, four = (tuple(local.tokenizer.encode(text)) for text in ("12", "3456"))
    assert (len(two), len(four)) == (2, 4)
    ended, cut = (*two, local.end_ids[0]), four

    def row(index: int, ids: tuple[int, ...], reason: str) -> dict[str, Any]:
        text = local.tokenizer.decode([one for one in ids if one not in local.end_ids])
        return {
            "index": index,
            "text": text,
            "token_ids": list(ids),
            "logprobs": {"token_logprobs": [-0.5] * len(ids)},
            "finish_reason": reason,
            "prompt_token_ids": list(PROMPT),
        }

    return {
        "model": "demo",
        "choices": [row(0, ended, "stop"), row(1, cut, "length")],
        "usage": {"prompt_tokens": 18, "completion_tokens": 7},
    }


ASK = Ask(PROMPT, 4, 2, 0)
FIRST = ("choices", 0)


def changed(answer: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(answer)
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


def test_a_good_answer_is_taken_in_any_order_of_its_rows_and_with_less_in_it(good, local) -> None:
    samples = samples_of(good, ASK, local)
    assert [one.finished for one in samples] == [True, False]
    assert samples_of(good | {"choices": good["choices"][::-1]}, ASK, local) == samples
    for key in ("model", "usage"):
        assert samples_of({k: v for k, v in good.items() if k != key}, ASK, local) == samples
    for key in ("text", "prompt_token_ids"):
        assert samples_of(changed(good, (*FIRST, key), None), ASK, local) == samples
    assert (
        samples_of(changed(good, (*FIRST, "text"), " " + good["choices"][0]["text"]), ASK, local) == samples
    )


LOGPROBS = (*FIRST, "logprobs", "token_logprobs")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ((*FIRST, "token_ids"), None, r"choices\[0\].token_ids is None"),
        ((*FIRST, "token_ids"), "5 6 7", r"choices\[0\].token_ids is '5 6 7'"),
        ((*FIRST, "token_ids"), {"0": 5}, r"choices\[0\].token_ids is \{'0': 5\}"),
        ((*FIRST, "token_ids"), [], r"choices\[0\].token_ids has 0 ids"),
        ((*FIRST, "token_ids"), [5] * 5, r"choices\[0\].token_ids has 5 ids, not 1 to 4"),
        ((*FIRST, "token_ids", 0), 10**9, r"choices\[0\].token_ids\[0\] is 1000000000"),
        ((*FIRST, "token_ids", 0), 10**40, r"token_ids\[0\] is 1000000000"),
        ((*FIRST, "token_ids", 0), -1, r"token_ids\[0\] is -1"),
        ((*FIRST, "token_ids", 0), True, r"token_ids\[0\] is True"),
        ((*FIRST, "token_ids", 0), 5.0, r"token_ids\[0\] is 5.0"),
        ((*FIRST, "token_ids", 0), "5", r"token_ids\[0\] is '5'"),
        ((*FIRST, "token_ids", 0), None, r"token_ids\[0\] is None"),
        ((*FIRST, "token_ids", 0), [5], r"token_ids\[0\] is \[5\]"),
        ((*LOGPROBS[:-1],), None, r"choices\[0\].logprobs.token_logprobs is None"),
        (LOGPROBS, None, r"choices\[0\].logprobs.token_logprobs is None"),
        (LOGPROBS, [-0.5] * 2, r"choices\[0\].logprobs has 2 log-probabilities for 3 tokens"),
        (LOGPROBS, [-0.5] * 4, r"choices\[0\].logprobs has 4 log-probabilities for 3 tokens"),
        ((*LOGPROBS, 1), -1e308, r"token_logprobs\[1\] is -1e\+308"),
        ((*LOGPROBS, 1), -9999.0, r"token_logprobs\[1\] is -9999.0"),
        ((*LOGPROBS, 1), 0.5, r"token_logprobs\[1\] is 0.5"),
        ((*LOGPROBS, 1), math.nan, r"token_logprobs\[1\] is nan"),
        ((*LOGPROBS, 1), -math.inf, r"token_logprobs\[1\] is -inf"),
        ((*LOGPROBS, 1), None, r"token_logprobs\[1\] is None"),
        ((*LOGPROBS, 1), False, r"token_logprobs\[1\] is False"),
        ((*LOGPROBS, 1), "-0.5", r"token_logprobs\[1\] is '-0.5'"),
        ((*LOGPROBS, 1), -(10**400), r"token_logprobs\[1\] is -1000"),
        ((*FIRST, "finish_reason"), None, r"choices\[0\].finish_reason is None"),
        ((*FIRST, "finish_reason"), "abort", r"choices\[0\].finish_reason is 'abort'"),
        ((*FIRST, "finish_reason"), "STOP", r"finish_reason is 'STOP'"),
        ((*FIRST, "finish_reason"), ["stop"], r"finish_reason is \['stop'\]"),
        ((*FIRST, "finish_reason"), "length", "finish_reason is 'length', which its tokens contradict"),
        (("choices", 1, "finish_reason"), "stop", "'stop', which its tokens contradict"),
        ((*FIRST, "index"), 1, r"indices \[1, 1\], but 2 rows were requested"),
        ((*FIRST, "index"), None, r"indices \[None, 1\]"),
        ((*FIRST, "index"), False, r"indices \[False, 1\]"),
        ((*FIRST, "index"), 0.0, r"indices \[0.0, 1\]"),
        ((*FIRST, "index"), "0", r"indices \['0', 1\]"),
        ((*FIRST, "index"), -1, r"indices \[-1, 1\]"),
        ((*FIRST, "index"), 2, r"indices \[2, 1\]"),
        ((*FIRST, "prompt_token_ids"), [1, 2], r"choices\[0\].prompt_token_ids is not the prompt"),
        ((*FIRST, "prompt_token_ids"), [*PROMPT, 2], r"choices\[0\].prompt_token_ids is not the prompt"),
        ((*FIRST, "text"), "Something else 123", r"\[0\].text is 'Something else 123', and its ids are"),
        ((*FIRST, "text"), "", r"choices\[0\].text is '', and its ids are"),
        ((*FIRST, "text"), 5, r"choices\[0\].text is 5, not text"),
        (("choices",), {}, "no list of choices"),
        (("choices",), [], r"indices \[\], but 2 rows were requested"),
        (("choices",), [None, None], "no list of choices"),
        (("choices",), None, "no list of choices"),
        (("usage", "prompt_tokens"), 19, "usage.prompt_tokens is 19, not 18"),
        (("usage", "prompt_tokens"), "18", "usage.prompt_tokens is '18', not 18"),
        (("usage", "completion_tokens"), 8, "usage.completion_tokens is 8, not 7"),
        (("usage", "completion_tokens"), 7.0, "usage.completion_tokens is 7.0, not 7"),
        (("usage", "completion_tokens"), True, "usage.completion_tokens is True, not 7"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_right_is_named_with_its_value(path, value, reason, good, local) -> None:
    with pytest.raises(MalformedError, match=reason) as fault:
        samples_of(changed(good, path, value), ASK, local)
    assert len(str(fault.value)) < 250


def test_an_end_token_in_the_middle_a_row_cut_early_and_an_echoed_prompt_are_faults(good, local) -> None:
    end = local.end_ids[0]
    early = changed(good, (*FIRST, "token_ids"), [5, end, end])
    with pytest.raises(MalformedError, match=rf"\[0\].token_ids continues after the end token {end} at 1"):
        samples_of(early, ASK, local)
    with pytest.raises(MalformedError, match=r"choices\[1\].finish_reason is 'length' after 4 of 5 tokens"):
        samples_of(good, Ask(PROMPT, 5, 2, 0), local)
    echoed = changed(good, ("choices", 1, "token_ids"), [*PROMPT, 7])
    echoed = changed(echoed, ("choices", 1, "logprobs"), {"token_logprobs": [-0.5] * 19})
    with pytest.raises(MalformedError, match=r"choices\[1\].token_ids begins with the prompt"):
        samples_of(echoed, Ask(PROMPT, 19, 2, 0), local)


@pytest.mark.parametrize("answer", [None, [], 5, "text", {}, {"error": {"message": "no such model"}}, [[[]]]])
def test_what_is_no_completion_is_a_fault_that_says_what_came(answer) -> None:
    with pytest.raises(MalformedError, match="no list of choices") as fault:
        choices_of(answer, 1)
    assert ("no such model" in str(fault.value)) == isinstance(answer, dict) * bool(answer)


@pytest.mark.parametrize("said", [None, "demo", "demo:latest", "demo@main", "/models/demo"])
def test_the_name_of_the_model_may_have_a_tag_or_be_its_folder(said) -> None:
    check_name({"model": said} if said else {}, {"id": "demo", "root": "/models/demo"})


@pytest.mark.parametrize("said", ["demo2", "Demo", "", 5, ["demo"], "other/demo", "dem"])
def test_another_models_name_is_a_fault(said) -> None:
    with pytest.raises(MalformedError, match="but 'demo' was requested"):
        check_name({"model": said}, {"id": "demo", "root": "/models/demo"})


@pytest.mark.parametrize(
    "found",
    [None, [], [None], [None, {}], [None, {"3": {}}], [None, {"3": {"logprob": "x"}}], [None, None], "ab",
     [None, {"3": {"logprob": -1e308}}], [None, {"3": None}],
     [None, {"3": {"logprob": math.nan}}], [None, {"4": {"logprob": -1}}]],
    ids=str,
)  # fmt: skip
def test_log_probabilities_of_a_prompt_are_checked_as_well(found) -> None:
    good = {"choices": [{"index": 0, "prompt_logprobs": [None, {"3": {"logprob": -1}}]}]}
    assert prompt_logprobs_of(good, (2, 3)) == (-1.0,)
    with pytest.raises(MalformedError):
        prompt_logprobs_of({"choices": [{"index": 0, "prompt_logprobs": found}]}, (2, 3))


class Altering(Serving):
    """Passes on what a stub answers, altered: completions by `alter`, the list of models by `tell`."""

    def __init__(self, stub: Stub, alter: Callable[[bytes], bytes], tell: bytes | None = None) -> None:
        self.stub, self.alter, self.tell, self.num_altered = stub, alter, tell, 0
        super().__init__()

    def answer(self, handler: Any, body: bytes | None) -> None:
        if body is None:
            if self.tell is None:
                self.stub.answer(handler, None)
            else:
                send(handler, 200, self.tell)
            return
        found = self.alter(json.dumps(self.stub.completed(json.loads(body))).encode())
        self.num_altered += 1
        send(handler, 200, found)


@pytest.fixture(scope="module")
def stub():
    with Stub() as serving:
        yield serving


def loaded(*urls: str, kind: type[ServerPolicy] = ServerPolicy, retries: int = 1, **settings: Any) -> Any:
    return kind.load(urls, DEMO_MODEL, max_tokens=16, patience=Patience(20, retries, 20), **settings)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html><body>It works!</body></html>", "an HTML page, not JSON"),
        (b"", "no JSON: expecting value"),
        (b"data: {}\n\n", "no JSON"),
        (b"{}{}", "no JSON: more text after the value"),
        (b"\xff\xfe{}", "no JSON: byte 0xff at 1 is not UTF-8"),
        (b"[" * 200_000 + b"]" * 200_000, "brackets are nested more than 100 deep"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "brackets are nested more than 100 deep"),
        (b'{"choices": ' + b"9" * 5000 + b"}", "an integer of 5,000 digits"),
        (b'{"choices": [], "choices": []}', "the key 'choices' stands twice"),
        (b'{"choices": NaN}', "NaN is not JSON"),
        (b'{"choices": "\\ud800"}', "half of a surrogate pair"),
        (b'{"error": {"message": "model is loading"}}', "no list of choices, but error: .*model is loading"),
        (b"null", "None is not a JSON object"),
        (b"[1, 2]", "is not a JSON object"),
    ],
    ids=lambda one: str(one[:20]),
)
def test_a_body_that_is_no_answer_is_tried_again_and_then_one_line(content, reason, stub) -> None:
    told = json.dumps({"data": [{"id": "demo"}]}).encode()
    with Altering(stub, lambda _: content, told) as altering:
        with pytest.raises((EngineError, InputError), match=reason) as fault:
            loaded(altering.url)
        assert altering.url in str(fault.value)
        assert "\n" not in str(fault.value)
        assert len(str(fault.value)) < 400


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b'{"data": {}}', "no list of models"),
        (b"[]", "no list of models"),
        (b'{"data": [5]}', "5 is not a JSON object"),
        (b'{"data": [{"id": 5}]}', r"data\[0\].id is 5, not a model name"),
        (b'{"data": [{"id": ""}]}', r"data\[0\].id is '', not a model name"),
        (b'{"data": [{"id": ["demo"]}]}', r"data\[0\].id is \['demo'\], not a model name"),
        (b'{"data": [{}]}', r"data\[0\].id is None"),
        (json.dumps({"data": [{"id": "x" * 2000}]}).encode(), r"data\[0\].id is 'xxx"),
        (b'{"data": [{"id": "demo", "root": {}}]}', r"data\[0\].root is \{\}"),
        (b'{"data": [{"id": "demo", "max_model_len": 0}]}', r"data\[0\].max_model_len is 0"),
        (b'{"data": [{"id": "demo", "max_model_len": -5}]}', r"data\[0\].max_model_len is -5"),
        (b'{"data": [{"id": "demo", "max_model_len": true}]}', r"max_model_len is True"),
        (b'{"data": [{"id": "demo", "max_model_len": "8192"}]}', r"max_model_len is '8192'"),
        (b'{"data": [{"id": "demo", "max_model_len": 1e9}]}', r"max_model_len is 1000000000.0"),
        (b'{"data": []}', "serves several models; give --served-model: nothing"),
        (json.dumps({"data": [{"id": f"m{i}"} for i in range(5000)]}).encode(), "'m9', 4990 more"),
    ],
    ids=lambda one: str(one[:40]),
)
def test_a_list_of_models_is_checked_too(told, reason, stub) -> None:
    with Altering(stub, lambda found: found, told) as altering:
        with pytest.raises((EngineError, InputError), match=reason) as fault:
            loaded(altering.url, retries=0)
        assert len(str(fault.value)) < 400


@pytest.mark.parametrize("kind", [ServerPolicy, TextOnlyPolicy])
def test_a_server_that_answers_as_another_model_is_refused_at_the_start(kind, stub) -> None:
    flaws = ["text only"] if kind is TextOnlyPolicy else []
    with Stub(*flaws) as serving:

        def other(found: bytes) -> bytes:
            return json.dumps(json.loads(found) | {"model": "another"}).encode()

        with Altering(serving, other) as altering, pytest.raises(EngineError, match="model is 'another'"):
            loaded(altering.url, kind=kind)


def test_a_row_with_a_fault_is_asked_for_elsewhere_and_is_the_same_there(stub) -> None:
    is_broken = False

    def alter(found: bytes) -> bytes:
        answer = json.loads(found)
        if is_broken:
            answer["choices"][0]["token_ids"][0] = 10**6
        return json.dumps(answer).encode()

    with Altering(stub, alter) as altering:
        policy = loaded(altering.url, stub.url)
        requests = [
            Request(State(Problem(f"p{i}", policy.prompt_ids(f"{i} + 3 = "), ""), ()), 2, i) for i in range(6)
        ]
        clean = policy.sample(requests)
        is_broken, before = True, altering.num_altered
        assert policy.sample(requests) == clean
        num = altering.num_altered - before
        assert num >= 1
        assert policy.counts == {"returned a malformed response": num}


def test_a_server_with_a_fault_that_lasts_is_named_with_field_and_value(stub) -> None:
    is_broken = False

    def alter(found: bytes) -> bytes:
        answer = json.loads(found)
        if is_broken:
            answer["choices"][0]["logprobs"]["token_logprobs"][0] = -1e308
        return json.dumps(answer).encode()

    with Altering(stub, alter) as altering:
        policy = loaded(altering.url)
        is_broken = True
        request = Request(State(Problem("p", policy.prompt_ids("1 + 3 = "), ""), ()), 1, 0)
        reason = rf"{altering.url}: .*\[0\].logprobs.token_logprobs\[0\] is -1e\+308, .*; gave up after 1"
        with pytest.raises(EngineError, match=reason):
            policy.sample([request])


def test_more_text_than_was_asked_for_is_a_fault_of_a_text_only_server() -> None:
    is_long = False

    def alter(found: bytes) -> bytes:
        answer = json.loads(found)
        if is_long:
            answer["choices"][0]["text"] = "1 + 2 = 3\n" * 50
        return json.dumps(answer).encode()

    with Stub("text only") as serving, Altering(serving, alter) as altering:
        policy = loaded(altering.url, kind=TextOnlyPolicy)
        is_long = True
        request = Request(State(Problem("p", policy.prompt_ids("1 + 3 = "), ""), ()), 1, 0)
        with pytest.raises(EngineError, match=r"choices\[0\].text has .* tokens, more than 16"):
            policy.sample([request])
