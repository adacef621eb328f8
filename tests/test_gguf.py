# ruff: noqa: E501 - a case is a line
"""A model in one GGUF file: loaded as it was written, and refused in one line where anything would be lost."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from gpo.cli import main
from gpo.policies.described import DescribedPolicy
from gpo.policies.loading import check_files
from gpo.policies.transformers import TransformersPolicy
from gpo.types import InputError

TOKENS = [*bytes_to_unicode().values(), "ĊĊ", "ĠĠ", "<|endoftext|>", "<|user|>", "<|end|>", "<|eot|>"]
TEMPLATE = "{% for m in messages %}{{ '<|user|>' if m.role == 'user' }}{{ m.content }}<|end|>\n{% endfor %}"
HEADS, HEADS_KV, LAYERS = 4, 2, 2
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def the_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(TOKENS),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS_KV,
            max_position_embeddings=256,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
    ).eval()


def interleaved(weight: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Rows of a query or key projection in llama.cpp's order: the two halves of a head take turns."""
    halves = weight.view(num_heads, 2, -1, weight.shape[1])
    return torch.stack([halves[:, 0], halves[:, 1]], dim=2).reshape(weight.shape)


def tensors() -> dict[str, torch.Tensor]:
    weights = the_model().state_dict()
    found = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    for layer in range(LAYERS):
        for theirs, ours in NAMES.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            heads = {"attn_q": HEADS, "attn_k": HEADS_KV}.get(ours)
            found[f"blk.{layer}.{ours}.weight"] = interleaved(weight, heads) if heads else weight
    return found


def write(
    path: Path,
    *,
    architecture: str = "llama",
    pre: str = "smollm",
    more: Callable[[GGUFWriter], Any] = lambda _: None,
    extra: dict[str, torch.Tensor] | None = None,
    without: str = "",
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
) -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS_KV)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(500.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in TOKENS])
    writer.add_token_merges(["Ċ Ċ", "Ġ Ġ"])
    writer.add_eos_token_id(TOKENS.index("<|end|>"))
    writer.add_eot_token_id(TOKENS.index("<|eot|>"))
    writer.add_chat_template(TEMPLATE)
    more(writer)
    for name, weight in (tensors() | (extra or {})).items():
        if name == without:
            continue
        is_packed = weight.dim() == 2 and kind is not GGMLQuantizationType.F32
        data = weight.numpy()
        writer.add_tensor(
            name, quantize(data, kind) if is_packed else data, raw_dtype=kind if is_packed else None
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny.gguf")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(40)[None] * 6).logits
    return found


def test_weights_tokens_template_and_ends_are_those_of_the_file(file):
    policy = TransformersPolicy.load(file, max_tokens=8)
    assert torch.allclose(logits(policy.model), logits(the_model()), atol=1e-5)
    assert policy.end_ids == (TOKENS.index("<|end|>"), TOKENS.index("<|eot|>"))
    assert policy.context == 256
    question = "a\n\n12"
    assert policy.tokenizer.decode(policy.prompt_ids(question)) == "<|user|>a\n\n12<|end|>\n"
    # GPT-2's own pattern would leave the second line break to the digit.
    assert policy.tokenizer.encode(question) == [TOKENS.index(one) for one in ("a", "ĊĊ", "1", "2")]
    assert policy.tokenizer.encode("  7") == [TOKENS.index("ĠĠ"), TOKENS.index("7")]
    described = DescribedPolicy.load(file, max_tokens=8)
    assert described.prompt_ids(question) == policy.prompt_ids(question)
    assert (described.end_ids, described.num_known) == (policy.end_ids, len(TOKENS))


@pytest.mark.parametrize(
    ("kind", "largest"), [("Q8_0", 0.01), ("Q4_0", 0.12), ("Q5_1", 0.06), ("F16", 0.001), ("BF16", 0.01)]
)
def test_packed_weights_are_unpacked_and_can_be_trained_and_saved(tmp_path, kind, largest):
    path = write(tmp_path / "packed.gguf", kind=GGMLQuantizationType[kind])
    policy = TransformersPolicy.load(path)
    assert {weight.dtype for weight in policy.model.parameters()} == {torch.float32}
    for name, weight in the_model().named_parameters():
        error = (policy.model.get_parameter(name) - weight).norm() / weight.norm()
        assert error < largest
    policy.model.train()
    policy.model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    assert all(weight.grad is not None for weight in policy.model.parameters())
    policy.save(tmp_path / "saved")
    again = TransformersPolicy.load(tmp_path / "saved")
    assert again.fingerprint == policy.fingerprint
    assert again.end_ids == policy.end_ids
    assert torch.equal(logits(again.model), logits(policy.model.eval()))


def test_a_folder_that_holds_one_file_and_no_other_weights_is_that_file(file):
    (file.parent / "config.json").write_text("{}")
    assert TransformersPolicy.load(file.parent).fingerprint == TransformersPolicy.load(file).fingerprint
    write(file.parent / "other.gguf")
    with pytest.raises(InputError, match=r"holds 2 GGUF files \(other.gguf, tiny.gguf\); give one of them"):
        TransformersPolicy.load(file.parent)
    the_model().save_pretrained(file.parent)
    with pytest.raises(InputError, match="tokenizer"):
        TransformersPolicy.load(file.parent)  # the model is now the safetensors, which came without one


ROPE = {"rope_freqs.weight": torch.ones(8)}
BIAS = {"blk.0.ffn_up.bias": torch.zeros(96)}
OFF: dict[str, tuple[Callable[[Path], Any], str]] = {
    "not a GGUF": (lambda p: p.write_bytes(b"PK\x03\x04 and more"), r"it is not a GGUF file; download it again"),
    "empty": (lambda p: p.write_bytes(b""), r"is empty; restore or download it again"),
    "a pointer of Git LFS": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), r"run git lfs pull"),
    "version 1": (lambda p: p.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0)), r"its version is 1, and versions 2 and 3"),
    "torn in the header": (lambda p: os.truncate(p, 500), r"ends or breaks off in its header .*; download it again"),
    "a text longer than the file": (
        lambda p: p.write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60)), r"breaks off in its header \(a text that is longer"
    ),
    "torn in the weights": (lambda p: os.truncate(p, p.stat().st_size - 40), r"cut short: .*weight ends at byte \d+ of \d+; download"),
    "no weights": (lambda p: p.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0)), r"it holds no weights; give a whole model"),
    "an adapter": (partial(write, more=lambda w: w.add_type("adapter")), r"its general\.type is 'adapter'; give a whole"),
    "one of three": (partial(write, more=lambda w: w.add_uint16("split.count", 3)), r"one of 3 files.*llama-gguf-split --merge"),
    "another architecture": (partial(write, architecture="rwkv7"), r"its architecture 'rwkv7' is not supported by transformers; give"),
    "an encoder and decoder": (partial(write, architecture="t5"), r"encoder and decoder; give a causal language model"),
    "other rotary frequencies": (partial(write, extra=ROPE), r"rope_freqs\.weight changes the rotary frequencies"),
    "scaled rotary frequencies": (
        partial(write, more=lambda w: w.add_string("llama.rope.scaling.type", "linear")), r"its rope\.scaling\.type is linear, and .* default"
    ),
    "a window that is not read": (
        partial(write, more=lambda w: w.add_sliding_window(64)), r"its attention\.sliding_window is 64, and transformers would read None"
    ),
    "another way to split text": (partial(write, pre="superbpe"), r"tokenizer\.ggml\.pre is 'superbpe', which transformers would split"),
    "a weight too many": (partial(write, extra=BIAS), r"96 of its weights have no place in LlamaForCausalLM"),
    "a weight too few": (partial(write, without="blk.1.ffn_up.weight"), r"lacks weights .*model\.layers\.1\.mlp\.up_proj\.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", OFF)
def test_a_file_of_which_anything_would_be_lost_is_refused_in_one_line(file, case):
    change, message = OFF[case]
    change(file)
    with pytest.raises(InputError, match=message) as error:
        TransformersPolicy.load(file)
    assert "\n" not in str(error.value)


def test_a_quantisation_that_cannot_be_unpacked_is_refused_with_its_number(file):
    data = bytearray(file.read_bytes())
    name = b"blk.0.ffn_up.weight"
    place = data.index(name) + len(name) + 4 + 2 * 8
    for number in (200, 9):  # no such kind, and one that has no unpacking
        data[place : place + 4] = struct.pack("<I", number)
        file.write_bytes(data)
        with pytest.raises(InputError, match=rf"its quantisation {number} is not supported by transformers"):
            DescribedPolicy.load(file)


def test_the_command_line_reads_a_file_and_says_what_it_lacks(file, tmp_path, monkeypatch, capsys):
    arguments = ["sample", "--model", str(file), "--task", "chain_sum", "--limit", "2", "--num", "2"]
    out = tmp_path / "run"
    main([*arguments, "--max-tokens", "4", "--output", str(out)])
    assert f'"weights":"{TransformersPolicy.load(file).fingerprint["weights"]}"' in (
        out / "run.json"
    ).read_text().replace(" ", "")
    main(["doctor", "--model", str(file)])
    shown = capsys.readouterr()
    assert "256 positions" in shown.out
    assert "tensors" not in shown.err  # the bar of transformers
    with pytest.raises(InputError, match="--engine vllm reads no GGUF"):
        check_files(file, [], trust_remote_code=False)
    os.utime(file, (1, 1))  # another file, for all that was remembered of it
    monkeypatch.setattr("gpo.policies.gguf.find_spec", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--output", str(tmp_path / "other")])
    assert ended.value.code == 2
    assert "GGUF needs one more package: pip install 'gpo[gguf]'" in capsys.readouterr().err
