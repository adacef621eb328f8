"""Sampling with random-weight models of every kind, against plain unpadded forward passes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from gpo.policies.decoding import Ending, Row, batches
from gpo.policies.prompting import RawTokenizer
from gpo.policies.reader import Reader
from gpo.policies.sampler import Sampling, cut, draw, invert, uniforms
from gpo.policies.transformers import TransformersPolicy
from gpo.types import InputError, Problem, Request, Sample, State

SPECIALS = ("<s>", "<|im_start|>", "<|im_end|>")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz .\n:<>"
VOCAB = {token: k for k, token in enumerate((*SPECIALS, *CHARACTERS, "</s>"))}
NUM_DRAWABLE = len(VOCAB) - 1  # no model knows </s>, so that samples end only where a test wants them to
CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {
    "vocab_size": NUM_DRAWABLE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
DECODER = {
    **SMALL,
    "intermediate_size": 48,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
}
CONFIGS = {
    "llama": transformers.LlamaConfig(**DECODER),
    "llama tied": transformers.LlamaConfig(**DECODER, tie_word_embeddings=True),
    "qwen3": transformers.Qwen3Config(**DECODER),
    "qwen3 tied": transformers.Qwen3Config(**DECODER, tie_word_embeddings=True),
    "mistral, window of 6": transformers.MistralConfig(**DECODER, sliding_window=6),
    "gemma2, window of 6 and capped logits": transformers.Gemma2Config(
        **DECODER, sliding_window=6, final_logit_softcapping=5.0, attn_implementation="eager"
    ),
    "gpt2, learned positions": transformers.GPT2Config(**SMALL, n_positions=256),
    "mamba, no key-value cache": transformers.MambaConfig(**SMALL, state_size=4),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def characters(chat_template: str | None = None, *, adds_begin: bool = False, **special: Any) -> Any:
    """A character tokenizer, optionally with a begin token that it adds by itself."""
    tokenizer = Tokenizer(models.BPE(dict(VOCAB), []))
    tokenizer.decoder = decoders.Fuse()
    if adds_begin:
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", VOCAB["<s>"])])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        **{"bos_token": "<s>", "eos_token": "</s>", **special},
    )  # fmt: skip
    fast.chat_template = chat_template
    return fast


def model_of(kind: str = "llama") -> Any:
    torch.manual_seed(7)
    return transformers.AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()


def policy_of(kind: str = "llama", **settings: Any) -> TransformersPolicy:
    return TransformersPolicy(model_of(kind), characters(), **{"max_tokens": 24, **settings})


def state(policy: TransformersPolicy, prompt: str, prefix: str = "") -> State:
    return State(
        Problem(prompt, tuple(policy.tokenizer.encode(prompt)), "", question=prompt),
        tuple(policy.tokenizer.encode(prefix)),
    )


def ragged(policy: TransformersPolicy) -> list[Request]:
    states = [
        ("ab", ""),
        ("a longer question: what is it", ""),
        ("ab", "so. "),
        ("what is it", "first:\nthis"),
    ]
    return [
        Request(state(policy, *texts), num, seed)
        for seed, (texts, num) in enumerate(zip(states, (3, 2, 3, 1), strict=True))
    ]


def plain(
    model: Any, start: State, sample: Sample, temperature: float = 1.0
) -> tuple[list[float], list[float]]:
    """Log-probabilities and entropies of one unpadded sequence, all positions at once."""
    with torch.no_grad():
        logits_TV = model(torch.tensor([start.ids + sample.action_ids])).logits[0, len(start.ids) - 1 : -1]
    logprobs_TV = (logits_TV.float() / temperature).log_softmax(-1)
    chosen = logprobs_TV[torch.arange(len(sample.action_ids)), list(sample.action_ids)]
    return chosen.tolist(), torch.distributions.Categorical(logits=logprobs_TV).entropy().tolist()


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_and_entropies_of_ragged_batches_are_those_of_plain_forward_passes(kind, temperature):
    policy = policy_of(kind, temperature=temperature)
    requests = ragged(policy)
    for request, samples in zip(requests, policy.sample(requests), strict=True):
        assert len(samples) == request.num
        for sample in samples:
            logprobs, entropies = plain(policy.model, request.state, sample, temperature)
            assert sample.logprobs == pytest.approx(logprobs, abs=1e-4)
            assert sample.entropies == pytest.approx(entropies, abs=1e-4)


def flat(sampled: list[list[Sample]]) -> list[Sample]:
    return [sample for samples in sampled for sample in samples]


@pytest.mark.parametrize("kind", ["llama", "mistral, window of 6"])
def test_what_a_row_draws_depends_neither_on_its_neighbours_nor_on_the_batch_bound(kind):
    policy = policy_of(kind)
    requests = ragged(policy)
    together = [sample.action_ids for sample in flat(policy.sample(requests))]
    assert together == [sample.action_ids for sample in flat(policy.sample(requests))]
    alone = flat([policy.sample([request])[0] for request in requests])
    assert together == [sample.action_ids for sample in alone]
    for batch_tokens in (1, 100, 150):
        other = TransformersPolicy(policy.model, characters(), max_tokens=24, batch_tokens=batch_tokens)
        assert together == [sample.action_ids for sample in flat(other.sample(requests))]


def test_rows_and_seeds_have_streams_of_their_own_and_fewer_rows_are_the_first_of_more():
    policy = policy_of()
    start = state(policy, "what is it")
    first, second = policy.sample([Request(start, 4, seed=1), Request(start, 2, seed=2)])
    assert len({sample.action_ids for sample in first + second}) == 6
    fewer = policy.sample([Request(start, 2, seed=1)])[0]
    assert [sample.action_ids for sample in fewer] == [sample.action_ids for sample in first[:2]]
    assert uniforms(1, 0, 3).tolist() == uniforms(1, 0, 5).tolist()[:3]


@pytest.mark.parametrize("kind", ["llama", "gpt2, learned positions", "mamba, no key-value cache"])
def test_temperature_zero_is_the_greedy_continuation_of_generate_with_logprobs_at_one(kind):
    policy = policy_of(kind, temperature=0)
    start = state(policy, "what is it", "so")
    greedy = policy.model.generate(
        torch.tensor([start.ids]), attention_mask=torch.ones(1, len(start.ids), dtype=torch.long),
        do_sample=False, max_new_tokens=22, eos_token_id=VOCAB["</s>"], pad_token_id=0,
    )[0, len(start.ids) :].tolist()  # fmt: skip
    (sample,) = policy.sample([Request(start, 1, 0)])[0]
    assert list(sample.action_ids) == greedy
    assert sample.logprobs == pytest.approx(plain(policy.model, start, sample)[0], abs=1e-4)


def test_first_tokens_are_distributed_as_the_softmax():
    """Chi-square over up to 36 bins at 1e-6: a right sampler fails for one choice of seeds in a million."""
    policy = policy_of(max_tokens=1, temperature=1.3)
    start, num = state(policy, "what is it"), 20_000
    counts = Counter(sample.action_ids[0] for sample in policy.sample([Request(start, num, 5)])[0])
    with torch.no_grad():
        probs = (policy.model(torch.tensor([start.ids])).logits[0, -1] / 1.3).softmax(-1).double().numpy()
    likely = np.flatnonzero(probs * num >= 5)
    rest = num - sum(counts[token] for token in likely)
    observed = np.array([*(counts[token] for token in likely), rest])
    expected = np.array([*probs[likely], 1 - probs[likely].sum()]) * num
    assert len(likely) > 15
    assert (
        (observed - expected) ** 2 / expected
    ).sum() < 90.5  # the quantile for 35 degrees of freedom, the most there can be


def test_a_uniform_becomes_the_first_token_whose_cumulated_probability_exceeds_it():
    weights_BV = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).repeat(5, 1)
    uniform_B = torch.tensor([0.0, 0.2499999, 0.25, 0.99, math.nextafter(1, 0)], dtype=torch.float64)
    assert invert(weights_BV, uniform_B).tolist() == [1, 1, 3, 3, 3]


def test_no_token_of_probability_zero_is_drawn_however_extreme_the_uniform():
    torch.manual_seed(0)
    logits_BV = torch.randn(64, 5_001) * 8
    logits_BV[:, ::2] = -torch.inf  # both the first and the last token
    for uniform in (0.0, 1e-300, 0.5, math.nextafter(1, 0)):
        uniform_B = torch.full((64,), uniform, dtype=torch.float64)
        ids_B, logprobs_B, entropies_B = draw(logits_BV, uniform_B, Sampling())
        assert (ids_B % 2 == 1).all()
        assert logprobs_B.isfinite().all()
        assert entropies_B.isfinite().all()


def test_the_tail_of_a_large_vocabulary_is_drawn_as_often_as_it_should_be():
    weights_BV = torch.full((1, 150_000), 2.0**-31)
    weights_BV[0, 0] = 1  # in float32, adding any of the others to it would change nothing
    total = 1 + 149_999 * 2.0**-31
    target_B = torch.cat([torch.tensor([0.0, 0.5]), torch.linspace(1, total, 40, dtype=torch.float64)[:-1]])
    expected = [0, 0, *(1 + int((target - 1) * 2**31) for target in target_B[2:].tolist())]
    drawn_B = invert(weights_BV.expand(41, -1), target_B / total)
    assert np.abs(drawn_B.numpy() - expected).max() <= 1


def test_top_k_and_top_p_keep_the_likeliest_tokens():
    probs_BV = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    kept = {
        (1.0, 0): [0.1, 0.4, 0.2, 0.3],
        (1.0, 2): [0.0, 0.4, 0.0, 0.3],
        (1.0, 9): [0.1, 0.4, 0.2, 0.3],
        (0.5, 0): [0.0, 0.4, 0.0, 0.3],
        (1e-9, 0): [0.0, 0.4, 0.0, 0.0],
        (0.75, 3): [0.0, 0.4, 0.0, 0.3],  # 0.4 + 0.3 of the 0.9 that top-k left is 78 %
    }
    for (top_p, top_k), expected in kept.items():
        assert cut(probs_BV, Sampling(1, top_p, top_k)).tolist() == [pytest.approx(expected)]


def test_cuts_narrow_what_is_drawn_and_leave_its_logprobs_uncut():
    policy = policy_of(top_k=2, top_p=0.9)
    start = state(policy, "what is it")
    samples = policy.sample([Request(start, 30, 0)])[0]
    assert len({sample.action_ids[0] for sample in samples}) <= 2
    for sample in samples[:3]:
        assert sample.logprobs == pytest.approx(plain(policy.model, start, sample)[0], abs=1e-4)


def ending(policy: TransformersPolicy, end_ids: int | list[int] | None, **special: Any) -> TransformersPolicy:
    policy.model.generation_config.eos_token_id = end_ids
    return TransformersPolicy(policy.model, characters(**special), max_tokens=policy.max_tokens)


@pytest.mark.parametrize(("configured", "ends"), [(None, {7}), (11, {7, 11}), ([11, 12, 7], {7, 11, 12})])
def test_every_end_token_of_generation_config_and_tokenizer_ends_a_sample_and_belongs_to_it(configured, ends):
    endless = policy_of(max_tokens=60)
    policy = ending(policy_of(max_tokens=60), configured, eos_token=CHARACTERS[7 - len(SPECIALS)])
    assert set(policy.end_ids) == ends
    requests = [Request(state(policy, "what is it"), 12, 3), Request(state(policy, "so"), 8, 4)]
    num_ended = 0
    for free, sample in zip(flat(endless.sample(requests)), flat(policy.sample(requests)), strict=True):
        end = next((k for k, token in enumerate(free.action_ids) if token in ends), None)
        assert sample.action_ids == free.action_ids[: None if end is None else end + 1]
        assert sample.finished is (end is not None)
        num_ended += sample.finished
    assert num_ended >= 5


def test_a_stop_string_ends_a_sample_with_the_token_that_completes_it():
    free = policy_of(max_tokens=60)
    requests = [Request(state(free, "what is it", "so "), 12, 3), Request(state(free, "so"), 8, 4)]
    samples = flat(free.sample(requests))
    stops = [free.text(samples[0].action_ids[20:24]), free.text(samples[1].action_ids[13:16])]
    policy = TransformersPolicy(free.model, characters(), max_tokens=60, stop=stops)
    num_stopped = 0
    for endless, sample in zip(samples, flat(policy.sample(requests)), strict=True):
        texts = [free.tokenizer.decode(endless.action_ids[:stop]) for stop in range(61)]
        end = next((k for k, text in enumerate(texts) if any(stop in text for stop in stops)), None)
        assert sample.action_ids == endless.action_ids[:end]
        assert sample.finished is (end is not None)
        num_stopped += sample.finished
    assert 2 <= num_stopped < 20


def test_a_stop_string_may_span_looks_and_bytes_and_counts_only_what_was_sampled():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE({character: k for k, character in enumerate(sorted(alphabet))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    raw = RawTokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    ids_BT = np.array([raw.encode("abc né x"), raw.encode("abcdefghi")])
    ending = Ending(tuple(raw.encode("h")), ("c né", "zz"), raw)
    assert ids_BT.shape == (2, 9)
    assert ending.places(ids_BT, 5).tolist() == [7, 8]  # é is two bytes, at 5 and 6
    assert ending.places(ids_BT[:, :6], 4).tolist() == [0, 0]


def test_one_limit_covers_prefix_and_continuation_and_a_cut_sample_is_unfinished():
    policy = policy_of(max_tokens=12)
    requests = [Request(state(policy, "so", "a" * length), 2, 0) for length in (0, 5, 11, 12, 13)]
    sampled = policy.sample(requests)
    assert [len(samples[0].action_ids) for samples in sampled] == [12, 7, 1, 0, 0]
    assert not any(sample.finished for sample in flat(sampled))
    assert sampled[3][0] == Sample((), (), (), finished=False)


def test_a_request_with_a_limit_of_its_own_draws_the_first_tokens_of_one_without():
    policy = policy_of(max_tokens=12)
    whole, cut, wide = flat(
        policy.sample([Request(state(policy, "so"), 1, 0, most) for most in (None, 5, 99)])
    )
    assert cut.action_ids == whole.action_ids[:5]
    assert not cut.finished
    assert wide.action_ids == whole.action_ids
    assert wide.logprobs == pytest.approx(whole.logprobs, abs=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2, learned positions"])
def test_the_context_limits_prompt_and_completion_even_beside_longer_rows(kind):
    policy = policy_of(kind, max_tokens=100)
    # Too few rows reach the context first to be dropped at once, so they run on beside the others.
    requests = [Request(state(policy, "a" * length), num, 0) for length, num in ((250, 1), (190, 7))]
    requests.append(Request(state(policy, "a" * 200, "b" * 56), 1, 0))
    near, far, at_limit = policy.sample(requests)
    assert [len(samples[0].action_ids) for samples in (near, far, at_limit)] == [6, 66, 0]
    for request, sample in ((requests[0], near[0]), (requests[1], far[0])):
        assert sample.logprobs == pytest.approx(plain(policy.model, request.state, sample)[0], abs=1e-4)


class Meter:
    """Counts the tokens that go through a model's forward, and notes the shape of every call."""

    def __init__(self, model: Any) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.logits: list[tuple[int, ...]] = []
        model.register_forward_hook(self.note, with_kwargs=True)

    def note(self, _model: Any, _args: Any, kwargs: dict[str, Any], output: Any) -> None:
        self.shapes.append(tuple(kwargs["input_ids"].shape))
        self.logits.append(tuple(output.logits.shape))


def test_a_prefix_is_read_once_and_full_logits_are_never_held():
    policy = policy_of(max_tokens=5)
    meter = Meter(policy.model)
    policy.sample([Request(state(policy, "what is it"), 8, 0), Request(state(policy, "what was it"), 3, 1)])
    assert meter.shapes == [(2, 11), (11, 1), (11, 1), (11, 1), (11, 1)]
    assert {shape[1] for shape in meter.logits} == {1}


def test_a_new_token_does_not_copy_the_cache():
    policy = policy_of("qwen3")
    reader = Reader(policy.model, [(3, 4, 5)], 100, None)
    places = []
    for _ in range(100):
        reader.feed(torch.tensor([6]))
        places.append(reader._cache.layers[0].keys.data_ptr())
    assert reader._cache.get_seq_length() == 103
    assert len(set(places)) == 2


def test_ended_rows_leave_the_batch_and_no_token_is_read_after_the_last():
    policy = ending(policy_of(max_tokens=60), list(range(3, 9)))
    meter = Meter(policy.model)
    samples = policy.sample([Request(state(policy, "what is it"), 64, 0)])[0]
    longest = max(len(sample.action_ids) for sample in samples)
    batch_sizes = [rows for rows, _ in meter.shapes]
    assert batch_sizes[1] == 64
    assert batch_sizes[1:] == sorted(batch_sizes[1:], reverse=True)
    assert batch_sizes[-1] < 32
    assert len(batch_sizes) <= longest + 7


@pytest.mark.parametrize("refusal", ["raises", "is missing", "is refused halfway"])
def test_a_cache_that_cannot_be_expanded_is_recomputed_to_the_same_samples(monkeypatch, refusal):
    policy = policy_of("qwen3")
    requests = ragged(policy)
    expected = policy.sample(requests)
    if refusal == "is missing":
        monkeypatch.delattr(transformers.cache_utils.Cache, "reorder_cache")
    elif refusal == "raises":
        monkeypatch.setattr(transformers.cache_utils.Cache, "reorder_cache", refuse)
    else:
        monkeypatch.setattr(transformers.DynamicCache, "reorder_cache", reorder_first_layer_only)
    meter = Meter(policy.model)
    for before, after in zip(flat(expected), flat(policy.sample(requests)), strict=True):
        assert before.action_ids == after.action_ids
        assert before.logprobs == pytest.approx(after.logprobs, abs=1e-4)
    assert meter.shapes[:3] == [(4, 29), (9, 30), (9, 1)]


def refuse(*_: Any) -> None:
    raise NotImplementedError


def reorder_first_layer_only(cache: Any, index: Any) -> None:
    cache.layers[0].reorder_cache(index)
    raise NotImplementedError


def test_batches_stay_within_the_bound_and_keep_a_state_together():
    shapes = ((1, 5, 3), (2, 20, 4), (3, 6, 9))  # token, length, number of rows
    rows = [Row((token,) * length, 10, 0, k) for token, length, num in shapes for k in range(num)]
    for batch_tokens, expected in (
        (120, [[2] * 4, [3] * 7, [3] * 2 + [1] * 3]),
        (200, [[2] * 4, [3] * 9 + [1] * 3]),
        (1000, [[2] * 4 + [3] * 9 + [1] * 3]),
    ):
        planned = list(batches(rows, batch_tokens))
        assert [[rows[k].ids[0] for k in batch] for batch in planned] == expected
        assert sorted(k for batch in planned for k in batch) == list(range(16))
    assert [len(batch) for batch in batches(rows, batch_tokens=1)] == [1] * 16


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("batch_tokens", [1, 65_536])
def test_what_was_sampled_reads_back_with_the_same_logprobs_and_entropies(kind, batch_tokens):
    policy = policy_of(kind, temperature=0.7, batch_tokens=batch_tokens)
    requests = ragged(policy)
    sampled = policy.sample(requests)
    pairs = [(r.state, one) for r, samples in zip(requests, sampled, strict=True) for one in samples]
    given = [(state, one.action_ids) for state, one in pairs]
    for (_, one), back in zip(pairs, policy.read(given), strict=True):
        assert back.action_ids == one.action_ids
        assert back.logprobs == pytest.approx(one.logprobs, abs=1e-4)
        assert back.entropies == pytest.approx(one.entropies, abs=1e-4)


def test_reading_refuses_what_exceeds_the_context_and_takes_what_is_empty():
    policy = policy_of()
    start = state(policy, "ab")
    assert policy.read([]) == []
    assert policy.read([(start, ())]) == [Sample((), (), (), True)]
    with pytest.raises(InputError, match="a trajectory has 302 tokens; the model's context is 256"):
        policy.read([(start, (5,) * 300)])


def test_a_fingerprint_changes_with_weights_template_and_sampling_and_with_nothing_else():
    base = policy_of().fingerprint
    assert base == policy_of(batch_tokens=7).fingerprint
    assert json.loads(json.dumps(base)) == base
    assert policy_of(temperature=0.5).fingerprint["temperature"] == 0.5
    changed = policy_of()
    with torch.no_grad():
        changed.model.lm_head.weight.add_(0.01)
    assert changed.fingerprint == {**base, "weights": changed.fingerprint["weights"]}
    assert changed.fingerprint["weights"] != base["weights"]
    templated = TransformersPolicy(model_of(), characters(CHAT), max_tokens=24).fingerprint
    assert templated == {**base, "template": templated["template"]} != base


def test_sampling_leaves_training_mode_and_gradients_as_they_were():
    policy = policy_of()
    policy.model.train()
    policy.model.model.layers[0].eval()
    before = [module.training for module in policy.model.modules()]
    policy.sample(ragged(policy))
    assert [module.training for module in policy.model.modules()] == before
    policy.model(torch.tensor([[5, 6]])).logits.sum().backward()
    assert policy.model.lm_head.weight.grad is not None


def test_dropout_is_off_while_sampling():
    policy = policy_of("gpt2, learned positions")
    expected = policy.sample(ragged(policy))
    policy.model.train()
    assert policy.sample(ragged(policy)) == expected


def test_sixteen_bit_weights_are_sampled_in_float32():
    policy = policy_of()
    policy.model.to(torch.bfloat16)
    start = state(policy, "what is it")
    for sample in policy.sample([Request(start, 3, 0)])[0]:
        assert sample.logprobs == pytest.approx(plain(policy.model, start, sample)[0], abs=0.15)
        rounded = torch.tensor(sample.logprobs, dtype=torch.bfloat16).float()
        assert (rounded != torch.tensor(sample.logprobs)).any()


def test_broken_weights_are_an_error_and_not_a_sample():
    policy = policy_of()
    with torch.no_grad():
        policy.model.lm_head.weight[3] = math.nan
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        policy.sample([Request(state(policy, "so"), 1, 0)])


def test_nothing_asked_is_nothing_sampled():
    policy = policy_of()
    assert policy.sample([]) == []
    assert policy.sample([Request(state(policy, "so"), 0, 0)]) == [[]]


TURN = "<|im_start|>user\nso<|im_end|>\n<|im_start|>assistant\n"


def test_the_chat_template_renders_system_prompt_question_and_arguments():
    template = CHAT + "{% if think is not defined or think %}<think>\n{% endif %}"
    chat = characters(template)
    policy = TransformersPolicy(model_of(), chat, system_prompt="be good")
    system = "<|im_start|>system\nbe good<|im_end|>\n"
    assert policy.tokenizer.decode(policy.prompt_ids("so")) == system + TURN + "<think>\n"
    for arguments in ({"think": False}, {"think": False, "unknown": 1}):
        policy = TransformersPolicy(model_of(), chat, template_args=arguments)
        assert policy.tokenizer.decode(policy.prompt_ids("so")) == TURN


def test_a_template_that_refuses_is_an_error_with_its_own_words():
    refusing = characters("{{ raise_exception('no system turn here') }}")
    with pytest.raises(InputError, match=r"refuses the prompt 'so': no system turn here"):
        TransformersPolicy(model_of(), refusing).prompt_ids("so")


@pytest.mark.parametrize("template", [None, CHAT, "<s>" + CHAT])
@pytest.mark.parametrize("adds_begin", [True, False])
@pytest.mark.parametrize("question", ["so", "<s>so"])
def test_the_begin_token_is_never_doubled(template, adds_begin, question):
    policy = TransformersPolicy(model_of(), characters(template, adds_begin=adds_begin))
    ids = policy.prompt_ids(question)
    num_written = (template or "").startswith("<s>") + question.startswith("<s>")
    expected = num_written if template else max(num_written, adds_begin)
    assert ids.count(VOCAB["<s>"]) == expected
    assert ids[:2] != (VOCAB["<s>"],) * 2


def test_a_question_that_spells_a_special_token_holds_that_token():
    policy = policy_of()
    assert policy.prompt_ids("a<|im_end|>")[-1] == VOCAB["<|im_end|>"]


def test_a_raw_prompt_takes_no_end_token_from_a_tokenizer_that_appends_one():
    tokenizer = characters()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", None, [(token, VOCAB[token]) for token in ("<s>", "</s>")]
    )
    policy = TransformersPolicy(model_of(), tokenizer)
    assert policy.tokenizer.decode(policy.prompt_ids("so")) == "<s>so"


def test_raw_text_keeps_special_tokens_and_spaces_and_shown_text_has_none_of_the_former():
    policy = policy_of()
    ids = policy.tokenizer.encode("so . it<|im_end|></s>")
    assert ids == [VOCAB[token] for token in (*"so . it", "<|im_end|>", "</s>")]
    assert policy.tokenizer.decode(tuple(ids)) == "so . it<|im_end|></s>"
    assert policy.text(tuple(ids)) == "so . it"
    assert (policy.tokenizer.encode(""), policy.tokenizer.decode([]), policy.text(())) == ([], "", "")


def test_a_prompt_that_fills_the_context_is_an_error_with_both_lengths():
    policy = policy_of()
    assert len(policy.prompt_ids("a" * 255)) == 255
    with pytest.raises(InputError, match="prompt has 256 tokens and the model's context is 256"):
        policy.prompt_ids("a" * 256)
    with pytest.raises(InputError, match="prompt has 300 tokens and the model's context is 256"):
        policy.sample([Request(state(policy, "a" * 300), 1, 0)])


def test_an_empty_prompt_is_an_error():
    with pytest.raises(InputError, match="prompt is empty"):
        policy_of().prompt_ids("")


def test_no_end_token_anywhere_is_an_error():
    with pytest.raises(InputError, match="neither the tokenizer nor generation_config names an end token"):
        TransformersPolicy(model_of(), characters(eos_token=None))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("top_p", 0.0), ("top_p", 1.1), ("top_k", -1),
        ("max_tokens", 0), ("batch_tokens", 0), ("stop", "text"), ("stop", ["a", ""]),
        ("system_prompt", "be good"), ("template_args", {"think": True}),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_an_error_that_names_it(setting, value):
    with pytest.raises(InputError, match=setting):
        policy_of(**{setting: value})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policy = policy_of()
    policy.model.save_pretrained(tmp_path / "model")
    characters(CHAT).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_samples_as_it_did_in_memory(folder):
    policy = TransformersPolicy.load(folder, max_tokens=24, dtype="float32")
    memory = TransformersPolicy(model_of(), characters(CHAT), max_tokens=24)
    assert policy.prompt_ids("what is it") == memory.prompt_ids("what is it")
    assert policy.sample(ragged(policy)) == memory.sample(ragged(memory))
    assert next(TransformersPolicy.load(folder, dtype="bfloat16").model.parameters()).dtype == torch.bfloat16


def test_a_generic_tokenizer_is_loaded_as_saved_whatever_the_model_type(tmp_path):
    config = transformers.Qwen2Config(**{key: value for key, value in DECODER.items() if key != "head_dim"})
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    characters().save_pretrained(tmp_path)
    policy = TransformersPolicy.load(str(tmp_path))
    assert policy.tokenizer.encode("a b\n") == [VOCAB[character] for character in "a b\n"]
    assert policy.tokenizer.decode(policy.tokenizer.encode("a b\n")) == "a b\n"


@pytest.mark.parametrize(
    "name", ["/nowhere/model", "./model", "a/b/c", "~/m", "model/", "m/no.GGUF", "no.gguf", Path("model")]
)
def test_a_model_path_that_does_not_exist_is_one_line(name):
    with pytest.raises(InputError, match=r"^model path '.*' does not exist; correct it"):
        TransformersPolicy.load(name)


def test_a_hub_name_that_cannot_be_had_says_what_was_tried_in_one_line(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"'nobody/nothing' \(no local folder, tried as a name on the hub\)"
    ) as error:
        TransformersPolicy.load("nobody/nothing")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 450


def test_a_folder_without_a_model_and_a_file_are_one_line(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"'.*empty' \(local folder\) cannot be loaded: .+"):
        TransformersPolicy.load(tmp_path / "empty")
    with pytest.raises(InputError, match=r"config.json' is a file; give the folder"):
        TransformersPolicy.load(folder / "config.json")
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"model.safetensors: is not a whole safetensors file"):
        TransformersPolicy.load(folder)


def adapted(folder: Path, config: Any) -> Path:
    torch.manual_seed(1)
    model = get_peft_model(model_of(), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder.parent / "adapter")
    return folder.parent / "adapter"


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning"
)  # peft asks transformers for it
def test_an_adapter_changes_the_policy_which_still_agrees_with_its_plain_forward_pass(folder):
    adapter = adapted(folder, LoraConfig(target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
    base = TransformersPolicy.load(folder, max_tokens=24)
    policy = TransformersPolicy.load(folder, adapter=adapter, max_tokens=24)
    requests = ragged(policy)
    for request, samples in zip(requests, policy.sample(requests), strict=True):
        for sample in samples:
            logprobs, _ = plain(policy.model, request.state, sample)
            assert sample.logprobs == pytest.approx(logprobs, abs=1e-4)
            assert max(np.abs(np.subtract(logprobs, plain(base.model, request.state, sample)[0]))) > 0.01
    trainable = [name for name, parameter in policy.model.named_parameters() if parameter.requires_grad]
    assert trainable
    assert all("lora" in name for name in trainable)


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning"
)  # peft asks transformers for it
def test_an_adapter_that_is_missing_or_adds_tokens_is_an_error(folder):
    with pytest.raises(InputError, match="adapter path '/nowhere' does not exist"):
        TransformersPolicy.load(folder, adapter="/nowhere")
    with pytest.raises(InputError, match=r"adapter '.*' .* cannot be loaded"):
        TransformersPolicy.load(folder, adapter=folder)
    prompts = adapted(folder, PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    with pytest.raises(InputError, match=r"cannot be loaded: .* prompt learning"):
        TransformersPolicy.load(folder, adapter=prompts)


def test_a_models_own_code_runs_only_when_trusted(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(
        InputError, match="brings code of its own; read that, then allow it with trust_remote_code"
    ):
        TransformersPolicy.load(folder)


def test_a_model_without_attention_mask_refuses_to_pad():
    policy = policy_of()
    forward = policy.model.forward
    policy.model.forward = lambda input_ids, use_cache, return_dict: forward(input_ids)
    with pytest.raises(InputError, match="takes no attention_mask"):
        policy.sample(ragged(policy))
    start = state(policy, "what is it")
    (sample,) = policy.sample([Request(start, 1, 0)])[0]
    policy.model.forward = forward
    assert sample.logprobs == pytest.approx(plain(policy.model, start, sample)[0], abs=1e-4)
