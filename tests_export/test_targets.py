"""Each target's own loader reads what `gpo export` wrote, to the very ids that were sampled.

Run by `make test-export`, which installs the targets' code without what they depend on: their loaders run
on the versions of torch, transformers and datasets that this project's tests run on.
"""

import json
from types import SimpleNamespace

import datasets
import pytest
import yaml

IGNORED = -100


def trained(ids: list[int], labels: list[int]) -> list[int]:
    """The tokens that a loss would see."""
    return [i for i, label in zip(ids, labels, strict=True) if label != IGNORED]


# LLaMA-Factory


def llama_factory(folder, tokenizer, stage: str):
    """Its registry entry, converter, template and processor, as its own loader puts them together."""
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import get_dataset_list
    from llamafactory.data.processor import (
        FeedbackDatasetProcessor,
        PairwiseDatasetProcessor,
        SupervisedDatasetProcessor,
    )
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments

    config = yaml.safe_load((folder / "train.yaml").read_text())
    assert config["stage"] == stage
    names = ("template", "cutoff_len", "dataset", "dataset_dir")
    data_args = DataArguments(**{name: config[name] for name in names})
    (attributes,) = get_dataset_list([config["dataset"]], config["dataset_dir"])
    converter = get_dataset_converter(attributes.formatting, attributes, data_args)
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    kinds = {
        "dpo": PairwiseDatasetProcessor,
        "kto": FeedbackDatasetProcessor,
        "sft": SupervisedDatasetProcessor,
    }
    processor = kinds[stage](template=template, tokenizer=tokenizer, processor=None, data_args=data_args)
    rows = [converter(row) for row in json.loads((folder / attributes.dataset_name).read_text())]
    return processor.preprocess_dataset({name: [row[name] for row in rows] for name in rows[0]})


def test_llama_factory_trains_the_sampled_ids(exported, tokenizer) -> None:
    folder, rows = exported("llama-factory")
    found = llama_factory(folder, tokenizer, "dpo")
    assert len(rows) == len(found["chosen_input_ids"]) > 5
    for i, row in enumerate(rows):
        for side in ("chosen", "rejected"):
            assert found[f"{side}_input_ids"][i] == row["prompt_ids"] + row[f"{side}_ids"]
            assert trained(found[f"{side}_input_ids"][i], found[f"{side}_labels"][i]) == row[f"{side}_ids"]


def test_llama_factory_reads_labels_and_fine_tuning_rows(exported, tokenizer) -> None:
    folder, rows = exported("llama-factory", "unpaired")
    found = llama_factory(folder, tokenizer, "kto")
    for i, row in enumerate(rows):
        assert trained(found["input_ids"][i], found["labels"][i]) == row["completion_ids"]
        assert found["kto_tags"][i] == row["label"]
    folder, rows = exported("llama-factory", "sft")
    found = llama_factory(folder, tokenizer, "sft")
    for i, row in enumerate(rows):
        assert found["input_ids"][i] == row["prompt_ids"] + row["completion_ids"]
        assert trained(found["input_ids"][i], found["labels"][i]) == row["completion_ids"]


# OpenRLHF


def strategy(command: str):
    """What its command line makes of the flags that the export names."""
    words = command.split()
    flags = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--data.")}
    data = {name.removeprefix("--data."): value for name, value in flags.items()}
    return SimpleNamespace(args=SimpleNamespace(data=SimpleNamespace(apply_chat_template=False, **data)))


def test_openrlhf_trains_the_sampled_ids(exported, tokenizer) -> None:
    from openrlhf.datasets.reward_dataset import RewardDataset

    folder, rows = exported("openrlhf")
    command = "--data.prompt_key prompt --data.chosen_key chosen --data.rejected_key rejected"
    data = datasets.load_dataset(str(folder), split="train")
    found = RewardDataset(data, tokenizer, 4096, strategy(command), is_dpo=True, num_processors=1)
    assert len(found) == len(rows) > 5
    for i, row in enumerate(rows):
        chosen, _, rejected, _, prompt_length = found[i]
        assert chosen[0].tolist() == row["prompt_ids"] + row["chosen_ids"]
        assert rejected[0].tolist() == row["prompt_ids"] + row["rejected_ids"]
        assert prompt_length == len(row["prompt_ids"])


def test_openrlhf_fine_tunes_on_the_sampled_ids(exported, tokenizer) -> None:
    from openrlhf.datasets.sft_dataset import SFTDataset

    folder, rows = exported("openrlhf", "sft")
    data = datasets.load_dataset(str(folder), split="train")
    flags = strategy("--data.input_key input --data.output_key output")
    found = SFTDataset(data, tokenizer, 4096, flags, num_processors=1)
    for i, row in enumerate(rows):
        ids, _, loss_mask = found[i][:3]
        assert ids[0].tolist() == row["prompt_ids"] + row["completion_ids"]
        # Entry t says whether token t + 1 is trained.
        assert loss_mask[0].tolist() == [0] * (len(row["prompt_ids"]) - 1) + [1] * len(
            row["completion_ids"]
        ) + [0]


# ms-swift


def swift(folder, mode: str):
    from swift.dataset import load_dataset
    from swift.model import get_processor
    from swift.template import get_template

    from gpo import DEMO_MODEL

    data, _ = load_dataset(str(folder / "train.jsonl"), strict=True)
    processor = get_processor(str(DEMO_MODEL), model_type="llama")
    template = get_template(processor, template_type="dummy")
    template.set_mode(mode)
    return [template.encode(row, return_length=False) for row in data]


def test_ms_swift_trains_the_sampled_ids(exported) -> None:
    folder, rows = exported("ms-swift")
    found = swift(folder, "rlhf")
    assert len(found) == len(rows) > 5
    for one, row in zip(found, rows, strict=True):
        for side in ("chosen", "rejected"):
            assert one[f"{side}_input_ids"] == row["prompt_ids"] + row[f"{side}_ids"]
            assert trained(one[f"{side}_input_ids"], one[f"{side}_labels"]) == row[f"{side}_ids"]


def test_ms_swift_fine_tunes_on_the_sampled_ids(exported) -> None:
    folder, rows = exported("ms-swift", "sft")
    for one, row in zip(swift(folder, "train"), rows, strict=True):
        assert one["input_ids"] == row["prompt_ids"] + row["completion_ids"]
        assert trained(one["input_ids"], one["labels"]) == row["completion_ids"]


# verl


def test_verl_prompts_with_the_ids_of_the_state(exported, tokenizer) -> None:
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from gpo.export.formats import RAW_TEMPLATE

    folder, rows = exported("verl")
    arguments = {"chat_template": RAW_TEMPLATE}
    config = OmegaConf.create({"apply_chat_template_kwargs": arguments, "max_prompt_length": 4096})
    found = RLHFDataset(str(folder / "train.parquet"), tokenizer, config)
    assert len(found) == len({tuple(row["prompt_ids"]) for row in rows}) > 5
    by_prompt = {row["prompt"]: row for row in rows}
    for i in range(len(found)):
        one = found[i]
        row = by_prompt[one["raw_prompt"][0]["content"]]
        ids = tokenizer.apply_chat_template(
            one["raw_prompt"], add_generation_prompt=True, tokenize=True, return_dict=True, **arguments
        )["input_ids"]
        assert ids == row["prompt_ids"]
        assert one["reward_model"]["ground_truth"] == row["answer"]
        assert one["extra_info"]["prefix"] == row["prefix"]
        assert one["index"] == i


# axolotl


def test_axolotl_makes_the_text_that_trl_tokenises_to_the_sampled_ids(exported, tokenizer) -> None:
    from axolotl.prompt_strategies.dpo.user_defined import default

    folder, rows = exported("axolotl")
    config = yaml.safe_load((folder / "train.yaml").read_text())
    transform = default(config)
    for row, line in zip(rows, (folder / "train.jsonl").read_text().splitlines(), strict=True):
        made = transform(json.loads(line))
        for side in ("chosen", "rejected"):
            assert (
                tokenizer(made["prompt"] + made[side])["input_ids"] == row["prompt_ids"] + row[f"{side}_ids"]
            )


def test_axolotl_reads_labels_steps_and_fine_tuning_rows(exported, tokenizer) -> None:
    from axolotl.prompt_strategies.input_output import RawInputOutputPrompter, RawInputOutputStrategy
    from axolotl.prompt_strategies.kto.user_defined import default
    from axolotl.prompt_strategies.stepwise_supervised import StepwiseSupervisedPromptTokenizingStrategy

    folder, rows = exported("axolotl", "unpaired")
    transform = default(yaml.safe_load((folder / "train.yaml").read_text()))
    for row, line in zip(rows, (folder / "train.jsonl").read_text().splitlines(), strict=True):
        made = transform(json.loads(line))
        assert (made["prompt"] + made["completion"], made["label"]) == (
            row["prompt"] + row["completion"],
            row["label"],
        )
    folder, rows = exported("axolotl", "sft")
    strategy = RawInputOutputStrategy(RawInputOutputPrompter(), tokenizer, False, 4096)
    for row, line in zip(rows, (folder / "train.jsonl").read_text().splitlines(), strict=True):
        made = strategy.tokenize_prompt(json.loads(line))
        assert trained(made["input_ids"], made["labels"]) == row["completion_ids"]
    folder, rows = exported("axolotl", "steps")
    steps = StepwiseSupervisedPromptTokenizingStrategy(tokenizer, 4096)
    for row, line in zip(rows, (folder / "train.jsonl").read_text().splitlines(), strict=True):
        labels = [label for label in steps.tokenize_prompt(json.loads(line))["labels"] if label != IGNORED]
        assert labels == [int(label) for label in row["labels"]]


# datasets


@pytest.mark.parametrize("kind", ["pairs", "unpaired", "steps", "sft"])
def test_datasets_loads_what_trl_and_the_hub_get(kind, exported) -> None:
    folder, rows = exported("trl", kind)
    data = datasets.load_dataset(str(folder), split="train")
    assert len(data) == len(rows)
    assert data[0]["prompt"] == rows[0]["prompt"]
