# ruff: noqa: E501 - a case is a line
"""Weights, shards, adapters and checkpoints that are off, each refused in one line that names what is."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from test_transformers_policy import CHAT, DECODER, characters, model_of

from gpo import checksums
from gpo.cli import main
from gpo.learn.checkpoint import load_state
from gpo.policies.loading import check_files
from gpo.policies.transformers import TransformersPolicy
from gpo.types import DataWarning, InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning"
)  # PEFT asks for it
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with its tokenizer; the tests change copies of it."""
    folder = tmp_path_factory.mktemp("weights") / "llama"
    model_of().save_pretrained(folder)
    characters(CHAT).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "llama"))


def with_weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return apply


def with_config(**values: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


def sharded(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The same weights in three files and an index, then changed."""

    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        names = sorted(tensors)
        parts = {f"model-0000{k + 1}-of-00003.safetensors": names[k::3] for k in range(3)}
        for name, keys in parts.items():
            save_file({key: tensors[key] for key in keys}, folder / name, metadata={"format": "pt"})
        weight_map = {key: name for name, keys in parts.items() for key in keys}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": weight_map})
        )
        (folder / "model.safetensors").unlink()
        change(folder)

    return apply


def pickled(content: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(content)

    return apply


def only(*names: str) -> Callable[[Path], None]:
    """Nothing but empty files of these names is left."""

    def apply(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name in names:
            (folder / name).write_bytes(b"{}")

    return apply


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("/tmp/gpo-test-this-code-ran",)  # noqa: S108 - never made


SHARD = "model-00002-of-00003.safetensors"
BROKEN = {
    "a tensor is missing": (with_weights(lambda w: w.pop(UP)), rf"lacks weights.*: {UP}; they would be random"),
    "all tensors of a layer are missing": (
        with_weights(lambda w: [w.pop(key) for key in list(w) if ".layers.0." in key]),
        r"lacks weights .*model\.layers\.0\.input_layernorm\.weight, .* and 6 more",
    ),
    "the head is missing and not tied": (with_weights(lambda w: w.pop("lm_head.weight")), r"lacks .*: lm_head\.weight;"),
    "tensors have a prefix of a wrapper": (
        with_weights(lambda w: [w.__setitem__(f"module.{key}", w.pop(key)) for key in list(w)]),
        r"lacks weights .* lm_head\.weight, .* more",
    ),
    "a bias that the model has no place for": (
        with_weights(lambda w: w.__setitem__("model.layers.0.self_attn.q_proj.bias", torch.ones(32))),
        r"no place for: model\.layers\.0\.self_attn\.q_proj\.bias",
    ),
    "a head for another task": (
        with_weights(lambda w: w.__setitem__("score.weight", torch.ones(2, 32))), r"a head for another task \(score\.weight\)"
    ),
    "another shape": (
        with_weights(lambda w: w.__setitem__("model.norm.weight", torch.ones(16))),
        r"model\.norm\.weight has shape \[16\] in the checkpoint and \[32\] by its config\.json",
    ),
    "nan": (with_weights(lambda w: w[UP].__setitem__((0, 0), float("nan"))), rf"{UP} holds nan or infinity"),
    "infinity": (with_weights(lambda w: w[UP].__setitem__((0, 0), float("inf"))), rf"{UP} holds nan or infinity"),
    "config names more layers": (with_config(num_hidden_layers=3), r"lacks weights .*model\.layers\.2\."),
    "config names fewer layers": (with_config(num_hidden_layers=1), r"no place for: model\.layers\.1\.input_layernorm"),
    "config has another width": (with_config(intermediate_size=64), r"has shape \[32, 48\] in the checkpoint and \[32, 64\]"),
    "config of another architecture": (with_config(model_type="qwen3"), r"lacks weights .*self_attn\.k_norm\.weight"),
    "config of a classifier": (with_config(architectures=["LlamaForSequenceClassification"]), r"LlamaForSequenceClassification, a head"),
    "config of a masked model": (with_config(architectures=["BertForMaskedLM"]), r"BertForMaskedLM, a head for another task"),
    "config of an encoder and decoder": (with_config(is_encoder_decoder=True), r"an encoder and decoder"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json: holds no JSON object"),
    "config is torn": (lambda f: (f / "config.json").write_text('{"model_type": "ll'), r"config\.json: is not valid JSON"),
    "a shard is missing": (sharded(lambda f: (f / SHARD).unlink()), rf"{SHARD}: is missing"),
    "a shard is empty": (sharded(lambda f: (f / SHARD).write_bytes(b"")), rf"{SHARD}: is empty"),
    "a shard is cut short": (sharded(lambda f: os.truncate(f / SHARD, 3000)), rf"{SHARD}: is not a whole safetensors file"),
    "a shard is a copy of another": (
        sharded(lambda f: shutil.copy(f / "model-00001-of-00003.safetensors", f / SHARD)), rf"lacks weights .*\({SHARD} should hold the first\)"
    ),
    "a shard is a pointer of Git LFS": (
        sharded(lambda f: (f / SHARD).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")), r"run git lfs pull"
    ),
    "the index is empty": (sharded(lambda f: (f / "model.safetensors.index.json").write_text("{}")), r"index\.json: has no weight_map"),
    "the index points elsewhere": (
        sharded(lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x.safetensors"}}')),
        r"'\.\./x\.safetensors' is not a file name in its folder",
    ),
    "one file beside an index": (
        sharded(lambda f: shutil.copy(f / SHARD, f / "model.safetensors")), r"holds model\.safetensors and the shards"
    ),
    "the file is cut short": (lambda f: os.truncate(f / "model.safetensors", 20_000), r"model\.safetensors: is not a whole"),
    "the file has no tensor": (lambda f: save_file({}, f / "model.safetensors"), r"holds no tensor"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"it has no model\.safetensors, no index of shards"),
    "a pickle of code": (pickled(pickle.dumps(Evil(), protocol=2)), r"cannot be loaded"),
    "a pickle cut short": (pickled(b"PK\x03\x04 and no more"), r"cannot be loaded"),
    "an empty folder": (only(), r"it is empty"),
    "GGUF only": (only("model-Q4_K_M.gguf"), r"model-Q4_K_M\.gguf' \(GGUF file\) cannot be loaded: it is not a GGUF file"),
    "GGUF beside a config": (only("model.gguf", "config.json"), r"model\.gguf' \(GGUF file\) cannot be loaded"),
    "an adapter only": (only("adapter_config.json", "adapter_model.safetensors"), r"name it with --adapter"),
    "an adapter beside the model": (lambda f: (f / "adapter_config.json").write_text("{}"), r"holds an adapter \(adapter_config\.json\) beside"),
    "a folder of something else": (only("notes.txt", "b", "c", "d"), r"no config\.json, only b, c, d and 1 more"),
}  # fmt: skip


def refusal(folder: Path, **more: Any) -> str:
    with pytest.raises(InputError) as error:
        TransformersPolicy.load(folder, **more)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_folder_that_is_off_is_refused_by_name(folder, case, capfd):
    change, message = BROKEN[case]
    change(folder)
    assert_matches(message, refusal(folder))
    assert "LOAD REPORT" not in capfd.readouterr().err
    assert not Path("/tmp/gpo-test-this-code-ran").exists()  # noqa: S108


def assert_matches(message: str, found: str) -> None:
    assert re.search(message, found), found


@pytest.mark.parametrize("case", ["a tensor is missing", "config names fewer layers", "another shape", "a shard is missing",
                                  "a head for another task"])  # fmt: skip
def test_an_engine_that_loads_weights_itself_is_kept_from_the_same_folders(folder, case):
    change, message = BROKEN[case]
    change(folder)
    with pytest.raises(InputError, match=message):
        check_files(folder, [], trust_remote_code=False)


FINE = {
    "as it was saved": lambda folder: None,
    "in three shards": sharded(lambda folder: None),
    "shards whose names were swapped, all there": sharded(
        lambda f: (
            os.rename(f / SHARD, f / "x"),
            os.rename(f / "model-00001-of-00003.safetensors", f / SHARD),
            os.rename(f / "x", f / "model-00001-of-00003.safetensors"),
        )
    ),
    "an index whose files are gone, beside the one file": lambda f: (
        f / "model.safetensors.index.json"
    ).write_text('{"weight_map": {"a": "gone.safetensors"}}'),
    "buffers of older versions": with_weights(
        lambda w: w.update(
            {
                "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
                "model.rotary_emb.inv_freq": torch.ones(8),
            }
        )
    ),
    "a pickle of tensors": lambda f: (
        torch.save(load_file(f / "model.safetensors"), f / "pytorch_model.bin"),
        (f / "model.safetensors").unlink(),
    ),
    "architectures not named": with_config(architectures=None),
}


@pytest.mark.parametrize("case", FINE)
def test_a_model_folder_that_is_whole_is_the_model_that_was_saved(folder, saved, case):
    FINE[case](folder)
    check_files(folder, [], trust_remote_code=False)
    weights = TransformersPolicy.load(folder).model.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model_of().state_dict().items())


@pytest.mark.parametrize("key", ["mtp.0.fc.weight", "model.mtp_layers.0.norm.weight", "v_head.summary.weight", "transformer.h.0.attn.masked_bias"])  # fmt: skip
def test_weights_that_logits_never_go_through_are_passed_over_and_said(folder, key):
    with_weights(lambda w: w.__setitem__(key, torch.ones(2)))(folder)
    with pytest.warns(DataWarning, match=f"not used: {key}"):
        TransformersPolicy.load(folder)


@pytest.mark.parametrize(
    "kind", ["llama tied", "qwen3 tied", "gpt2, learned positions", "mamba, no key-value cache"]
)
def test_a_tied_head_is_not_in_the_file_and_the_model_is_the_one_that_was_saved(kind, tmp_path):
    model = model_of(kind)
    model.save_pretrained(tmp_path)
    characters().save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        loaded = TransformersPolicy.load(tmp_path).model.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[key], value) for key, value in model.state_dict().items())


def test_a_folder_without_a_tokenizer_is_one_line(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert_matches(r"tokenizer of '.*llama' \(local folder\) cannot be loaded", refusal(folder))


def test_a_tokenizer_of_a_larger_vocabulary_is_refused_and_added_tokens_only_where_they_are_used(folder):
    tokenizer = characters(CHAT)
    tokenizer.add_tokens(["<pad>", "<tool>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    policy = TransformersPolicy.load(folder)
    assert len(policy.prompt_ids("a question")) > 10
    with pytest.raises(
        InputError, match=r"the prompt has token '<tool>' \(\d+\), which the model does not know"
    ):
        policy.prompt_ids("a <tool> question")
    save_small(folder, vocab_size=20)
    assert_matches(r"its tokenizer has \d+ tokens beyond the 20 that the model knows", refusal(folder))


def save_small(folder: Path, **changes: Any) -> None:
    config = transformers.LlamaConfig(**{**DECODER, **changes})
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def adapter_of(folder: Path, config: Any = None, model: Any = None) -> Path:
    """An adapter of the tiny Llama, as PEFT saves it, with weights that change something."""
    torch.manual_seed(1)
    config = config or LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(model or model_of(), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder.parent / "adapter")
    return folder.parent / "adapter"


def adapter_weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "adapter_model.safetensors")
        change(tensors)
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    return apply


def adapter_config(**values: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


def renamed(old: str, new: str) -> Callable[[Path], None]:
    return adapter_weights(lambda w: [w.__setitem__(k.replace(old, new), w.pop(k)) for k in list(w)])


BROKEN_ADAPTERS = {
    "keys of another model": (renamed("base_model.model.model.layers", "base_model.model.transformer.h"), r"lacks weights .*layers\.0\.mlp\.down_proj\.lora_A\.weight"),
    "keys without PEFT's prefix": (renamed("base_model.model.", ""), r"lacks weights that its adapter_config"),
    "only some layers": (adapter_weights(lambda w: [w.pop(k) for k in list(w) if "layers.1" in k]), r"lacks weights .*layers\.1\.mlp\.down_proj"),
    "one half of a pair": (adapter_weights(lambda w: w.pop("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight")), r"lacks weights .*q_proj\.lora_B\.weight"),
    "a layer too many": (
        adapter_weights(lambda w: w.update({k.replace("layers.1", "layers.7"): v.clone() for k, v in w.items() if "layers.1" in k})),
        r"has no place for: base_model\.model\.model\.layers\.7\.mlp\.down_proj\.lora_A\.weight",
    ),
    "another rank": (adapter_config(r=8), r"size mismatch for .*lora_[AB]"),
    "modules that the model lacks": (adapter_config(target_modules=["query_key_value"]), r"query_key_value"),
    "modules of the config fewer than of the file": (adapter_config(target_modules=["q_proj"]), r"has no place for: .*down_proj\.lora_A"),
    "an empty file": (lambda f: (f / "adapter_model.safetensors").write_bytes(b""), r"adapter_model\.safetensors: is empty"),
    "a file without tensors": (lambda f: save_file({}, f / "adapter_model.safetensors"), r"holds no tensor"),
    "a file cut short": (lambda f: os.truncate(f / "adapter_model.safetensors", 3000), r"is not a whole safetensors file"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), r"has adapter_config\.json but no adapter_model"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), r"has no adapter_config\.json"),
    "nan": (adapter_weights(lambda w: next(iter(w.values())).fill_(float("nan"))), r"^adapter .*lora_A.* holds nan or infinity"),
    "saved modules that are not there": (adapter_config(modules_to_save=["lm_head"]), r"lacks weights .*lm_head"),
    "an unknown kind": (adapter_config(peft_type="MAGIC"), r"cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_ADAPTERS)
def test_an_adapter_that_does_not_fit_is_refused_by_name(folder, case):
    change, message = BROKEN_ADAPTERS[case]
    adapter = adapter_of(folder)
    change(adapter)
    assert_matches(message, refusal(folder, adapter=adapter))
    with pytest.raises(InputError, match=message):
        check_files(folder, [adapter], trust_remote_code=False)


ADAPTERS = {
    "LoRA": LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"),
    "LoRA without a task": LoraConfig(r=4, target_modules=["q_proj"]),
    "LoRA of one layer": LoraConfig(r=4, target_modules=["q_proj"], layers_to_transform=[1], task_type="CAUSAL_LM"),
    "DoRA": LoraConfig(r=4, target_modules=["q_proj"], use_dora=True, task_type="CAUSAL_LM"),
    "rsLoRA of all linear modules": LoraConfig(r=4, target_modules="all-linear", use_rslora=True, task_type="CAUSAL_LM"),
    "with a head saved whole": LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM"),
    "with an embedding saved whole": LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens"], task_type="CAUSAL_LM"),
    "of the embedding": LoraConfig(r=4, target_modules=["embed_tokens", "q_proj"], task_type="CAUSAL_LM"),
    "with biases": LoraConfig(r=4, target_modules=["q_proj"], lora_bias=True, task_type="CAUSAL_LM"),
}  # fmt: skip


@pytest.mark.parametrize("case", ADAPTERS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT has something to say about each
def test_adapters_that_fit_are_loaded_to_the_weights_that_were_saved(folder, case):
    torch.manual_seed(1)
    adapted = get_peft_model(model_of(), ADAPTERS[case])
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    adapted.save_pretrained(folder.parent / "adapter")
    check_files(folder, [folder.parent / "adapter"], trust_remote_code=False)
    loaded = TransformersPolicy.load(folder, adapter=folder.parent / "adapter").model
    ids = torch.tensor([[5, 9, 12, 7]])
    torch.testing.assert_close(loaded(ids).logits, adapted(ids).logits)


def test_an_adapter_of_zeros_is_the_model_itself(folder):
    adapter = adapter_of(folder)
    adapter_weights(lambda w: [value.zero_() for value in w.values()])(adapter)
    ids = torch.tensor([[5, 9, 12, 7]])
    loaded = TransformersPolicy.load(folder, adapter=adapter).model
    torch.testing.assert_close(loaded(ids).logits, model_of()(ids).logits)


@pytest.mark.parametrize("config", [PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
                                    PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")])  # fmt: skip
def test_adapters_that_add_tokens_are_refused_by_name(folder, config):
    adapter = adapter_of(folder, config)
    assert_matches(rf"{config.peft_type.value} is prompt learning", refusal(folder, adapter=adapter))


def test_an_adapter_of_a_resized_vocabulary_is_refused_with_both_shapes(folder):
    larger = model_of()
    larger.resize_token_embeddings(48)
    config = LoraConfig(
        r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"], task_type="CAUSAL_LM"
    )
    found = refusal(folder, adapter=adapter_of(folder, config, larger))
    assert_matches(r"size mismatch for .*\[48, 32\]", found)


def test_an_adapter_named_as_a_model_and_a_model_named_as_an_adapter_say_which_flag(folder):
    assert_matches(r"name it with --adapter", refusal(adapter_of(folder)))
    assert_matches(r"holds a model; name it with --model", refusal(folder, adapter=folder))


def test_an_adapter_that_names_another_base_is_loaded_with_a_warning(folder):
    adapter = adapter_of(folder)
    adapter_config(base_model_name_or_path="someone/other-7B")(adapter)
    with pytest.warns(DataWarning, match="names 'someone/other-7B' as its base model"):
        TransformersPolicy.load(folder, adapter=adapter)


def test_sums_hold_until_a_file_changes_goes_or_is_sealed_again(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a").write_text("a")
    assert not checksums.check(folder, "restore it")
    checksums.seal(folder)
    assert checksums.check(folder, "restore it")
    (folder / "inner" / "a").write_text("b")
    with pytest.raises(InputError, match=r"inner/a: is not what was saved .*; restore it"):
        checksums.check(folder, "restore it")
    (folder / "inner" / "a").unlink()
    with pytest.raises(InputError, match=r"inner/a: is missing"):
        checksums.check(folder, "restore it")
    checksums.seal(folder)
    assert checksums.check(folder, "restore it")


@pytest.mark.parametrize("line", ["", "no sum", f"{'0' * 64}  /etc/passwd", f"{'0' * 64}  ../x", "0  a"])
def test_sums_that_were_damaged_are_refused(folder, line):
    (folder / checksums.SUMS).write_text(line and line + "\n")
    with pytest.raises(InputError, match=r"SHA256SUMS: .*so it was damaged"):
        checksums.check(folder, "restore it")


def test_a_sealed_model_whose_weights_were_exchanged_is_refused(folder):
    checksums.seal(folder)
    with_weights(lambda w: w[UP].mul_(1.01))(folder)
    assert_matches(r"model\.safetensors: is not what was saved", refusal(folder))


TRAIN = ["train", "--task", "chain_sum", "--max-tokens", "48", "--rounds", "1", "--problems-per-round", "2", "--group-size", "2",
         "--recipe", "base", "--eval-every", "0", "--eval-problems", "2", "--size", "8", "--output", "run"]  # fmt: skip


def stopped(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(list(args))
    assert error.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_checkpoint_is_compared_with_its_sums_on_resume_and_as_a_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(TRAIN)
    checkpoint, resume = Path("run/checkpoints/0001"), ["train", "--resume", "run", "--rounds", "2"]
    for place in (checkpoint, checkpoint / "model", Path("run/model")):
        assert checksums.check(place, "")
    for name in ("memory.json", "optimizer.safetensors", "model/config.json"):
        whole = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(whole + b" ")
        assert f"{checkpoint / name}: is not what was saved" in stopped(capsys, *resume)
        (checkpoint / name).write_bytes(whole)
    weights = Path("run/model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    sample = [
        "sample",
        "--task",
        "chain_sum",
        "--limit",
        "1",
        "--num",
        "1",
        "--max-tokens",
        "8",
        "--output",
        "out",
    ]
    assert "model.safetensors: is not what was saved" in stopped(capsys, *sample, "--model", "run")
    for sums in Path("run").rglob(checksums.SUMS):
        sums.unlink()
    main(resume)
    assert "has no SHA256SUMS, as an earlier version of gpo saved it" in capsys.readouterr().err


def state_file(path: Path, **changes: Any) -> Path:
    tensors = {
        "num_updates": torch.tensor(3),
        "exp_avg:head.weight": torch.ones(2, 2),
        "step:head.weight": torch.tensor(3.0),
    }
    save_file({key: value for key, value in {**tensors, **changes}.items() if value is not None}, path)
    return path


class Net:
    """As much of a learner's network as a checkpoint is about."""

    def __init__(self) -> None:
        weight = torch.nn.Parameter(torch.zeros(2, 2))
        self.parameters, self.critic_parameters = {"head.weight": weight}, {}
        self.optimizer = torch.optim.AdamW([weight])


STATES = {
    "another shape": ({"exp_avg:head.weight": torch.ones(2, 3)}, r"exp_avg:head\.weight has shape \[2, 3\] where the network has \[2, 2\]"),
    "another network's parameter": ({"exp_avg:tail.weight": torch.ones(2, 2)}, r"holds exp_avg:tail\.weight"),
    "no number of updates": ({"num_updates": None}, r"lacks num_updates"),
    "nan": ({"exp_avg:head.weight": torch.full((2, 2), float("nan"))}, r"holds nan or infinity"),
    "an unknown key": ({"momentum:head.weight": torch.ones(2, 2)}, r"holds momentum:head\.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_an_optimizers_state_that_is_another_networks_is_refused_before_anything_is_taken_up(tmp_path, case):
    changes, message = STATES[case]
    network: Any = Net()
    with pytest.raises(InputError, match=message):
        load_state(state_file(tmp_path / "optimizer.safetensors", **changes), network)
    assert not network.optimizer.state
    assert load_state(state_file(tmp_path / "optimizer.safetensors"), network) == 3
