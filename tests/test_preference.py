"""Offline training: exactly the sampled tokens, the losses of the papers, weights, resume, and refusals."""

import copy
import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import gpo
from gpo import DEMO_MODEL, Request, State
from gpo.learn import preference
from gpo.learn.adapter import new_adapter
from gpo.learn.optimisation import METHODS, PreferenceOptimisation
from gpo.learn.preference import check_trl, make_trainer, train
from gpo.types import InputError, Labelled, Preference

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL's own, while its trainer is looked at
PAIRED = [method for method in METHODS if method != "kto"]


@pytest.fixture(scope="module")
def sampled():
    """The demo policy, and two samples from each of four states, two of them with a prefix."""
    policy = gpo.TransformersPolicy.load(DEMO_MODEL, max_tokens=96)
    tasks = gpo.tasks.problems(gpo.tasks.load("chain_sum", "train", size=4, seed=0), policy.prompt_ids)
    starts = [State(problem) for problem in tasks]
    first = [one[0] for one in policy.sample([Request(state, 1, seed) for seed, state in enumerate(starts)])]
    states = [
        State(start.problem, sample.action_ids[:6] if i % 2 else ())
        for i, (start, sample) in enumerate(zip(starts, first, strict=True))
    ]
    samples = policy.sample([Request(state, 2, 90 + seed) for seed, state in enumerate(states)])
    return policy, [(state, *two) for state, two in zip(states, samples, strict=True)]


@pytest.fixture(scope="module")
def rows(sampled) -> list[Preference]:
    return [Preference(state.ids, a.action_ids, b.action_ids) for state, a, b in sampled[1]]


def labelled(rows: list[Preference]) -> list[Labelled]:
    right = [Labelled(row.prompt_ids, row.chosen_ids, True) for row in rows]
    return right + [Labelled(row.prompt_ids, row.rejected_ids, False) for row in rows]


def given_to(method: str, rows: list[Preference]):
    return labelled(rows) if method == "kto" else rows


def one_model(sampled):
    return copy.deepcopy(sampled[0].model), sampled[0].raw_tokenizer


def settings(method: str, **changes) -> PreferenceOptimisation:
    return PreferenceOptimisation(
        **{
            "method": method,
            "learning_rate": 1e-4,
            "warmup_updates": 0,
            "epochs": 1,
            "minibatch": 4,
            "microbatch": 4,
        }
        | changes
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_log_probabilities_that_are_trained_are_those_of_the_sampled_tokens(
    method, sampled, rows, tmp_path
) -> None:
    state, chosen, rejected = sampled[1][1]
    assert state.prefix_ids
    pair = Preference(state.ids, chosen.action_ids, rejected.action_ids)
    optimisation = settings(method, minibatch=2, microbatch=2)
    model, tokenizer = one_model(sampled)
    metrics, _ = train(model, tokenizer, given_to(method, [pair]), optimisation, folder=tmp_path, seed=0)
    for name, sample in (("chosen", chosen), ("rejected", rejected)):
        expected = sum(sample.logprobs)
        if method in ("simpo", "orpo"):
            expected /= len(sample.logprobs)
        assert metrics[f"train/logps/{name}"] == pytest.approx(expected, abs=2e-4)
    assert metrics["train/tokens"] == len(chosen.action_ids) + len(rejected.action_ids)


@pytest.mark.parametrize("method", METHODS)
def test_what_meets_the_model_is_prompt_and_answer_id_for_id_with_no_end_added(
    method, sampled, tmp_path
) -> None:
    cut = Preference((1, 5, 9), (7, 8), (8, 7, 6))  # neither answer ends with the end token, 2
    trainer = make_trainer(*one_model(sampled), given_to(method, [cut]), settings(method), tmp_path, 0)
    batch = next(iter(trainer.get_train_dataloader()))
    if method in ("simpo", "orpo"):
        assert batch["chosen_input_ids"].tolist() == [[1, 5, 9, 7, 8]]
        assert batch["rejected_input_ids"].tolist() == [[1, 5, 9, 8, 7, 6]]
        assert batch["rejected_labels"].tolist() == [[-100, -100, -100, 8, 7, 6]]
        return
    assert sorted(batch["input_ids"].tolist()) == [[1, 5, 9, 7, 8, 0], [1, 5, 9, 8, 7, 6]]
    assert sorted(batch["completion_mask"].tolist()) == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]]


def logps(model, prompt, answer) -> torch.Tensor:
    """[T] log-probabilities of the answer after the prompt: one plain forward pass, nothing padded."""
    logits_TV = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].float()
    return logits_TV.log_softmax(-1)[torch.arange(len(answer)), list(answer)]


def moved(model):
    """The model after a step to somewhere, so that it differs from its reference."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))


def by_hand(method: str, model, reference, row: Preference, *, nll: float = 0.0) -> torch.Tensor:
    """The method's loss of one pair, from its paper's formula."""
    plus, minus = (logps(model, row.prompt_ids, ids) for ids in (row.chosen_ids, row.rejected_ids))
    with torch.no_grad():
        ref_plus, ref_minus = (
            logps(reference, row.prompt_ids, ids) for ids in (row.chosen_ids, row.rejected_ids)
        )
    term = -nll * plus.mean()
    if method == "dpo":
        return -F.logsigmoid(0.1 * (plus.sum() - ref_plus.sum() - minus.sum() + ref_minus.sum())) + term
    if method == "ipo":
        return ((plus - ref_plus).mean() - (minus - ref_minus).mean() - 1 / 0.2) ** 2 + term
    if method == "simpo":
        return -F.logsigmoid(2.0 * (plus.mean() - minus.mean()) - 0.5) + term
    odds = [p.mean() - torch.log1p(-p.mean().exp()) for p in (plus, minus)]
    return -plus.mean() - 0.1 * F.logsigmoid(odds[0] - odds[1])


def loss_of(trainer, model) -> torch.Tensor:
    return trainer.compute_loss(model, next(iter(trainer.get_train_dataloader())))


@pytest.mark.parametrize(
    ("method", "nll"),
    [("dpo", 0.0), ("ipo", 0.0), ("simpo", 0.0), ("orpo", 0.0), ("dpo", 0.5), ("simpo", 0.5)],
)
def test_each_loss_is_its_papers(method, nll, sampled, rows, tmp_path) -> None:
    model, tokenizer = one_model(sampled)
    reference = copy.deepcopy(model)
    row = rows[1:2]
    trainer = make_trainer(model, tokenizer, row, settings(method, nll_weight=nll), tmp_path, 0)
    moved(model)
    loss = loss_of(trainer, model)
    expected = by_hand(method, model, reference, row[0], nll=nll)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert abs(loss.item() - {"dpo": math.log(2), "ipo": 25.0}.get(method, 0.0)) > 1e-3  # it has moved


def test_ktos_loss_is_its_papers_with_the_batchs_own_reference_point(sampled, rows, tmp_path) -> None:
    model, tokenizer = one_model(sampled)
    reference = copy.deepcopy(model)
    given = [*labelled(rows)[:3], *labelled(rows)[4:5]]  # three right, one wrong
    trainer = make_trainer(model, tokenizer, given, settings("kto"), tmp_path, 0)
    moved(model)
    batch = next(iter(trainer.get_train_dataloader()))
    found = trainer.compute_loss(model, dict(batch)).item()
    order = [
        next(
            row
            for row in given
            if list(row.prompt_ids + row.completion_ids) == ids[: len(row.prompt_ids + row.completion_ids)]
        )
        for ids in batch["input_ids"].tolist()
    ]

    def ratio(prompt, answer) -> float:
        with torch.no_grad():
            return (logps(model, prompt, answer).sum() - logps(reference, prompt, answer).sum()).item()

    mismatched = [ratio(order[i].prompt_ids, order[i - 1].completion_ids) for i in range(4)]
    point = max(0.0, sum(mismatched) / 4)
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    # The one wrong row weighs 3 / 1, so that both labels weigh the same in all.
    losses = [
        1 - sigmoid(0.1 * (ratio(row.prompt_ids, row.completion_ids) - point))
        if row.is_right
        else 3 * (1 - sigmoid(0.1 * (point - ratio(row.prompt_ids, row.completion_ids))))
        for row in order
    ]
    assert found == pytest.approx(sum(losses) / 4, rel=1e-4)


def gradient(model) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("method", PAIRED)
def test_a_weight_scales_its_pairs_gradient_and_no_others(method, sampled, rows, tmp_path) -> None:
    def backward(weights: list[float]) -> torch.Tensor:
        model, tokenizer = one_model(sampled)
        weighted = [
            Preference(row.prompt_ids, row.chosen_ids, row.rejected_ids, weight)
            for row, weight in zip(rows[:2], weights, strict=True)
        ]
        trainer = make_trainer(model, tokenizer, weighted, settings(method), tmp_path, 0)
        loss_of(trainer, model).backward()
        return gradient(model)

    # Weights are scaled to mean 1: 1 and 3 count as 0.5 and 1.5.
    first, second = backward([2.0, 1e-6]), backward([1e-6, 2.0])
    both = backward([1.0, 3.0])
    assert torch.allclose(both, 0.25 * first + 0.75 * second, atol=1e-4 * both.abs().max().item())
    assert not torch.allclose(both, backward([1.0, 1.0]), rtol=0.05, atol=1e-3 * both.abs().max().item())


@pytest.mark.parametrize("method", ["dpo", "simpo", "orpo"])
def test_without_weights_the_loss_is_the_mean_of_the_pairs_own_losses(
    method, sampled, rows, tmp_path
) -> None:
    model, tokenizer = one_model(sampled)
    reference = copy.deepcopy(model)
    trainer = make_trainer(model, tokenizer, rows, settings(method), tmp_path, 0)
    moved(model)
    expected = sum(by_hand(method, model, reference, row).item() for row in rows) / len(rows)
    assert loss_of(trainer, model).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_training_raises_right_answers_over_wrong_ones_and_leaves_the_model_as_it_was_found(
    method, sampled, rows, tmp_path
) -> None:
    model, tokenizer = one_model(sampled)
    pad, names = model.config.pad_token_id, set(vars(model))
    assert "forward" not in names
    before = copy.deepcopy(model)

    def margin(model) -> float:
        with torch.no_grad():
            return sum(
                (
                    logps(model, r.prompt_ids, r.chosen_ids).mean()
                    - logps(model, r.prompt_ids, r.rejected_ids).mean()
                ).item()
                for r in rows
            )

    optimisation = settings(method, epochs=6, learning_rate=3e-4)
    metrics, _ = train(model, tokenizer, given_to(method, rows), optimisation, folder=tmp_path, seed=0)
    assert metrics["train/updates"] == (12 if method == "kto" else 6)
    assert margin(model) > margin(before)
    assert set(vars(model)) == names
    assert model.config.pad_token_id == pad
    assert not model.training


def weights_of(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_a_batch_in_parts_is_the_same_update(method, sampled, rows, tmp_path) -> None:
    found = []
    for microbatch in (4, 2):
        model, tokenizer = one_model(sampled)
        train(model, tokenizer, rows, settings(method, microbatch=microbatch), folder=tmp_path, seed=0)
        found.append(weights_of(model))
    # Adam scales a gradient that is nothing but rounding up to the learning rate: a weight or two may differ.
    assert torch.allclose(*found, atol=1e-5)
    assert not torch.equal(found[0], weights_of(sampled[0].model))


def test_the_first_of_many_warm_up_updates_learns_already(sampled, rows, tmp_path) -> None:
    model, tokenizer = one_model(sampled)
    train(model, tokenizer, rows, settings("dpo", warmup_updates=8), folder=tmp_path, seed=0)
    # Adam's first step is the learning rate, here an eighth of it.
    step = (weights_of(model) - weights_of(sampled[0].model)).abs().max().item()
    assert step == pytest.approx(1e-4 / 8, rel=0.02)


def test_training_that_was_stopped_goes_on_from_its_last_checkpoint_to_the_same_weights(
    sampled, rows, tmp_path
) -> None:
    optimisation = settings("dpo", epochs=4, minibatch=2, microbatch=2, save_every=3)
    whole, tokenizer = one_model(sampled)
    _, updates = train(whole, tokenizer, rows, optimisation, folder=tmp_path / "whole", seed=0)

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        assert total == 8
        if done == 5:
            raise Killed

    torn, tokenizer = one_model(sampled)
    with pytest.raises(Killed):
        train(torn, tokenizer, rows, optimisation, folder=tmp_path / "torn", seed=0, watch=kill)
    seen = []
    again, tokenizer = one_model(sampled)
    _, continued = train(
        again,
        tokenizer,
        rows,
        optimisation,
        folder=tmp_path / "torn",
        seed=0,
        watch=lambda n, _: seen.append(n),
    )
    assert seen == [4, 5, 6, 7, 8]
    assert [sorted(one) for one in updates] == [["accuracy", "loss", "margin"]] * 8
    assert updates[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert continued == updates
    assert torch.equal(weights_of(again), weights_of(whole))


def test_an_adapter_is_trained_alone_twice_in_a_row_and_its_reference_is_what_it_was_before(
    sampled, rows, tmp_path
) -> None:
    model, tokenizer = one_model(sampled)
    frozen = {name: p.clone() for name, p in model.named_parameters()}
    model = new_adapter(model, 4, 8, [], 0)
    optimisation = settings("dpo", epochs=3, learning_rate=1e-3)
    first, _ = train(model, tokenizer, rows, optimisation, folder=tmp_path, seed=0)
    assert first["train/rewards/margins"] > 0
    second, _ = train(model, tokenizer, rows, settings("dpo", epochs=1), folder=tmp_path, seed=0)
    assert second["train/rewards/margins"] == pytest.approx(
        0, abs=1e-4
    )  # of a new reference, before any update
    assert set(model.peft_config) == {"default"}
    for name, weights in model.get_base_model().named_parameters():
        if "lora" not in name:
            assert torch.equal(weights, frozen[name.replace(".base_layer", "")])
    with pytest.raises(InputError, match="lora_rank: the model has an adapter already"):
        new_adapter(model, 4, 8, [], 0)
    with pytest.raises(InputError, match=r"lora_targets: Target modules .*nowhere"):
        new_adapter(one_model(sampled)[0], 4, 8, ["nowhere"], 0)


def test_what_a_method_cannot_honour_is_refused() -> None:
    for method, reason in (("kto", "has none"), ("orpo", "has a log-likelihood term of weight 1 already")):
        with pytest.raises(InputError, match=f"nll_weight: {method} {reason}; it is for dpo, ipo, simpo"):
            PreferenceOptimisation(method=method, nll_weight=1.0)
    with pytest.raises(InputError, match="microbatch: kto estimates its reference point from a batch"):
        PreferenceOptimisation(method="kto", microbatch=1)
    with pytest.raises(InputError, match="minibatch: must be a multiple of microbatch, got 6 and 4"):
        PreferenceOptimisation(minibatch=6, microbatch=4)
    with pytest.raises(InputError, match="method: must be 'dpo', 'ipo', 'kto', 'simpo' or 'orpo', got 'ppo'"):
        PreferenceOptimisation(method="ppo")


def test_rows_of_the_wrong_kind_or_none_are_refused(sampled, rows, tmp_path) -> None:
    model, tokenizer = one_model(sampled)
    for method, given, reason in (
        ("dpo", [], "dpo has no rows to train on"),
        ("kto", rows, "kto trains Labelled rows"),
        ("dpo", labelled(rows), "dpo trains Preference rows"),
        ("kto", labelled(rows)[:1], "kto estimates its reference point from other rows"),
    ):
        with pytest.raises(InputError, match=reason):
            train(model, tokenizer, given, settings(method), folder=tmp_path, seed=0)


def test_a_trl_outside_the_tested_range_or_without_a_trainer_says_so(monkeypatch) -> None:
    from gpo.learn import exact_ids

    monkeypatch.setattr(preference, "version", lambda name: "2.0.1")
    with pytest.raises(InputError, match=r"trl 2\.0\.1 is outside the tested range 1\.16\.\*; pip install"):
        check_trl()
    monkeypatch.setattr(preference, "version", lambda name: "1.16.4")
    check_trl()
    monkeypatch.setitem(sys.modules, "trl.experimental.orpo", None)
    with pytest.raises(
        InputError, match=r"method: orpo needs trl\.experimental\.orpo, which this TRL does not"
    ):
        exact_ids.trainer_and_config("orpo")


def test_a_gradient_that_is_not_finite_stops_training(sampled, rows, tmp_path) -> None:
    model, tokenizer = one_model(sampled)
    with torch.no_grad():
        next(model.parameters())[:] = float("nan")
    with pytest.raises(FloatingPointError, match="the gradient is nan; lower the learning rate"):
        train(model, tokenizer, rows, settings("orpo"), folder=Path(tmp_path), seed=0)
