"""A value model: what it learns from, what its head computes, what it is on disk, and what it refuses."""

import json
import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from test_policy_gradient import llama
from torch import Tensor
from transformers import AutoModelForTokenClassification

import gpo
from gpo import DEMO_MODEL
from gpo.learn.adapter import new_adapter
from gpo.protocols import ForwardingPolicy
from gpo.types import DataWarning, InputError, Problem, Rollout, State, ValueCurve
from gpo.values.backbone import EXTRA, Backbone
from gpo.values.fit import Fitted, calibration, fit, held_out, negative_log_likelihood
from gpo.values.head import Head
from gpo.values.model import Values
from gpo.values.rows import Counted, of_curve, of_rollout
from gpo.values.saved import FILE, WEIGHTS, check_fits, save
from gpo.values.settings import ValueOptimisation

PROMPT, GOOD, BAD, MORE = (1, 2, 3), 10, 11, (20, 21, 22, 23)


def problem(i: int) -> Problem:
    return Problem(f"p{i}", (*PROMPT, 30 + i // 2 % 8), "", "", f"question {i}")


def rollout(ids, prefix=(), reward=1.0, of=0) -> Rollout:
    return Rollout(State(problem(of), prefix), ids, (), (), "", True, reward, 0)


def test_a_curve_counts_at_its_boundaries_and_its_outcome_at_its_end() -> None:
    curve = ValueCurve((0, 2, 4), (3, 0, 1), (4, 0, 1), rollout((4, 5, 6, 7)))
    found = of_curve(curve)
    assert found.ids == (4, 5, 6, 7)
    assert (found.offsets, found.wins, found.trials) == ((0, 4), (3.0, 1.0), (4.0, 1.0))


@pytest.mark.parametrize(("reward", "won"), [(1.0, 1.0), (0.5, 0.0), (0.0, 0.0)])
def test_a_rollout_is_one_trial_of_its_end_and_of_states_that_it_passes(reward, won) -> None:
    found = of_rollout(rollout(tuple(range(4, 14)), prefix=(8, 9), reward=reward), states=4)
    assert found.ids == (8, 9, *range(4, 14))
    assert found.offsets[-1] == 12
    assert len(set(found.offsets)) == 4
    assert all(2 <= offset <= 12 for offset in found.offsets)
    assert sum(found.trials) == pytest.approx(1.0)
    assert sum(found.wins) == pytest.approx(won)


def test_a_short_rollout_has_no_more_states_than_tokens() -> None:
    assert of_rollout(rollout((4,)), states=8).offsets == (0, 1)
    assert of_rollout(rollout(()), states=8).offsets == (0,)


def plain_features(model, ids: tuple[int, ...], start: int, temperature: float) -> Tensor:
    """One row without padding, by the definition."""
    output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    rows = []
    for t in range(start - 1, len(ids)):
        logprobs = (output.logits[0, t - 1] / temperature).log_softmax(-1)
        extra = [float(logprobs[ids[t]]), float(-(logprobs.exp() * logprobs).sum()), 1.0]
        rows.append([*output.hidden_states[-1][0, t].tolist(), *(extra if t >= start else [0.0] * EXTRA)])
    return torch.tensor(rows)


@torch.no_grad()
def test_a_backbone_is_read_as_it_is_defined_whatever_shares_its_batch() -> None:
    model = llama()
    given = [(State(problem(0)), (4, 5, 6)), (State(problem(1), (7,)), ()), (State(problem(2)), (9,) * 7)]
    found = Backbone(model, 0.5, batch_tokens=16).read(given)
    for (state, ids), seen in zip(given, found, strict=True):
        expected = plain_features(model, state.ids + ids, len(state.problem.prompt_ids), 0.5)
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match=r"has 11 tokens with its prompt; the context .* is 10"):
        Backbone(model, 1.0, context=10).read(given)


def test_an_evidence_head_adds_up_what_the_tokens_say() -> None:
    head = Head(2, "evidence", rank=1, width=1).eval()
    with torch.no_grad():
        for one in head.parameters():
            one.zero_()
        head.direct.bias.fill_(0.5)
        head.evidence[0].weight[0, 1] = 1.0  # of the log-probability
        head.last.weight.fill_(2.0)
    head.calibrate(2.0, 0.25)
    seen = torch.tensor([[0.0] * 5, [0, 0, -1, 0, 1], [0, 0, 0, 0, 1], [0, 0, -3, 0, 1]])
    # gelu(-1) = -0.15866 and gelu(-3) = -0.00405, each doubled and added to 0.5; then doubled, plus 0.25
    expected = torch.tensor([1.25, 0.61538, 0.61538, 0.59918])
    torch.testing.assert_close(head(seen[None])[0], expected, atol=1e-4, rtol=0)


def test_the_likelihood_is_that_of_binomial_counts() -> None:
    logits, wins, trials = torch.tensor([[0.0, 1.0], [1.0, 3.0], [1.0, 4.0]])
    # -(log 0.5 + 3 log 0.73106 + log 0.26894) / 5
    assert float(negative_log_likelihood(logits, wins, trials)) == pytest.approx(0.589239, abs=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0)])
def test_calibration_finds_the_scale_and_shift_of_the_counts(scale, shift) -> None:
    logits = torch.linspace(-2, 2, 41)
    trials = torch.full((41,), 1000.0)
    found = calibration(logits, torch.sigmoid(scale * logits + shift) * trials, trials)
    assert found == (pytest.approx(scale, rel=0.01), pytest.approx(shift, abs=0.01))


def planted(num: int) -> list[Counted]:
    """A completion is right unless its third token is BAD; what follows says nothing."""
    found = []
    for i in range(num):
        k = i // 2
        ids = (MORE[k % 4], MORE[k // 4 % 4], BAD if i % 2 else GOOD, MORE[k % 3], MORE[k % 4])
        wins = (2.0, *((0.0, 0.0) if i % 2 else (4.0, 1.0)))
        found.append(Counted(problem(i), ids, (0, 4, 5), wins, (4.0, 4.0, 1.0)))
    return found


QUICK = ValueOptimisation(max_epochs=40, head_learning_rate=0.03, completions_per_update=16)


def fitted(settings=QUICK, seed=0) -> tuple[Values, Fitted]:
    backbone = Backbone(llama(), 1.0)
    torch.seed()  # whatever was drawn before
    head = Head(backbone.hidden_size)
    return Values(backbone, head), fit(backbone, head, planted(96), settings, seed=seed)


def test_what_is_planted_is_learned_on_held_out_problems() -> None:
    values, found = fitted()
    assert found.base_loss == pytest.approx(math.log(2), abs=0.02)
    assert found.loss < 0.45  # the prompts' even chances leave 0.31
    assert (found.problems, found.held_out, found.trials) == (96, 19, 96 * 9)
    for token, low, high in ((GOOD, 0.7, 1.0), (BAD, 0.0, 0.3)):
        [curve] = values.read([(State(problem(200), (MORE[0],)), (MORE[1], token, MORE[2], MORE[3]))])
        assert len(curve) == 5
        assert low <= curve[3] <= high, curve


def test_a_fit_depends_on_its_seed_alone() -> None:
    first, second, other = (fitted(QUICK.changed(max_epochs=2), seed)[1] for seed in (3, 3, 4))
    assert first == second != other


def test_an_adapter_of_the_backbone_learns_with_a_linear_head() -> None:
    model = new_adapter(llama(), 4, None, [], 0)
    tuned = [one for one in model.parameters() if one.requires_grad]
    before = [one.detach().clone() for one in tuned]
    backbone, head = Backbone(model, 1.0), Head(32, "linear")
    settings = QUICK.changed(max_epochs=8, adapter_learning_rate=0.01)
    found = fit(backbone, head, planted(96), settings, tuned=tuned)
    assert found.loss < found.base_loss - 0.1
    assert any(not torch.equal(a, b) for a, b in zip(tuned, before, strict=True))


def test_problems_are_held_out_whole_and_too_few_are_refused() -> None:
    assert len(held_out([*planted(10), *planted(10)], 0.2, seed=1)) == 2
    with pytest.raises(InputError, match=r"counts values of 3 problems; .* needs at least 4"):
        held_out(planted(3), 0.2, seed=0)


FOUND = Fitted(96, 96, 19, 864.0, 3, 0.69, 0.4, 1.0, 0.0, 2.0)


@pytest.fixture(scope="module")
def policy() -> gpo.TransformersPolicy:
    return gpo.TransformersPolicy.load(DEMO_MODEL, max_tokens=32)


@pytest.fixture(scope="module")
def saved(policy, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "value"
    head = Head(96)
    torch.nn.init.normal_(head.direct.weight, generator=torch.Generator().manual_seed(0))
    made = Values(Backbone(policy.model, 1.0), head)
    save(path, made, FOUND, fingerprint=policy.fingerprint, backbone=DEMO_MODEL)
    return path


def test_a_saved_value_model_reads_what_it_read_by_the_policys_weights_or_its_own(policy, saved) -> None:
    given = [(State(Problem("a", policy.prompt_ids("1 + 1 ="), "2")), (27, 305, 25))]
    shared, own = gpo.values.load(saved, policy), gpo.values.load(saved)
    wrapped = gpo.values.load(saved.parent, ForwardingPolicy(policy))  # the run that made it
    assert shared.backbone.model is wrapped.backbone.model is policy.model
    assert own.backbone.model is not policy.model
    [curve] = shared.read(given)
    assert len(curve) == 4
    assert own.read(given) == wrapped.read(given) == [curve]
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors", ""}


@pytest.mark.parametrize("has_adapter", [False, True])
def test_a_linear_head_is_exported_as_token_classification(policy, tmp_path, has_adapter) -> None:
    model = deepcopy(policy.model)
    if has_adapter:
        model = new_adapter(model, 2, None, [], 0)
        for name, one in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(one, std=0.1, generator=torch.Generator().manual_seed(1))
    head = Head(96, "linear")
    torch.nn.init.normal_(head.direct.weight, generator=torch.Generator().manual_seed(0))
    head.mean.fill_(0.3)
    head.std.fill_(2.0)
    head.calibrate(0.5, 0.25)
    made = Values(Backbone(model, 1.0), head)
    about = {"fingerprint": policy.fingerprint, "backbone": DEMO_MODEL}
    save(tmp_path / "value", made, FOUND, **about, adapter=model if has_adapter else None)
    gpo.values.export(tmp_path / "value", tmp_path / "prm")
    prompt = policy.prompt_ids("1 + 1 =")
    found = AutoModelForTokenClassification.from_pretrained(tmp_path / "prm")
    with torch.no_grad():
        logits = found(input_ids=torch.tensor([[*prompt, 27, 305, 25]])).logits
    chances = logits.softmax(-1)[0, len(prompt) - 1 :, 1]
    [curve] = made.read([(State(Problem("a", prompt, "2")), (27, 305, 25))])
    assert chances.tolist() == pytest.approx(curve, abs=1e-5)
    assert found.config.id2label == {0: "wrong", 1: "right"}
    with pytest.raises(InputError, match="already exists"):
        gpo.values.export(tmp_path / "value", tmp_path / "prm")


def test_a_head_that_others_do_not_know_is_not_exported(saved, tmp_path) -> None:
    with pytest.raises(InputError, match="head 'evidence' is not one that other programs know"):
        gpo.values.export(saved, tmp_path / "prm")


def edited(saved: Path, path: Path, **changes) -> Path:
    path.mkdir()
    content = json.loads((saved / FILE).read_text())
    (path / FILE).write_text(json.dumps(content | changes))
    (path / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes())
    return path


def test_another_policys_value_model_is_refused_and_other_sampling_told(policy, saved, tmp_path) -> None:
    ours = policy.fingerprint
    for name in ("weights", "vocabulary"):
        with pytest.raises(InputError, match=rf"values of another policy \({name}: '.*' there, 'x' here\)"):
            check_fits(saved, {**ours, name: "x"})
    with pytest.raises(InputError, match="hidden states of 96 numbers, and this model has 32"):
        check_fits(saved, ours, 32)
    with pytest.warns(DataWarning, match=r"of other sampling \(temperature: 1.0 there, 0.5 here\)"):
        check_fits(saved, {**ours, "temperature": 0.5})
    moved = edited(saved, tmp_path / "moved", fingerprint={**ours, "weights": "0" * 16})
    with pytest.raises(InputError, match="no longer holds the weights it was trained with"):
        gpo.values.load(moved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 9}, "is of format 9, and this version reads 1"),
        ({"head": "pickle"}, "head: "),
        ({"rank": 3}, "is not the head that value.json describes"),
        ({"hidden_size": 2**30}, "hidden_size: "),
        ({"fingerprint": {"weights": "a"}}, "fingerprint: has no vocabulary"),
    ],
)
def test_a_damaged_value_model_is_one_line(policy, saved, tmp_path, changes, message) -> None:
    with pytest.raises(InputError, match=message) as error:
        gpo.values.load(edited(saved, tmp_path / "edited", **changes), policy)
    assert "\n" not in str(error.value)


def test_changed_files_of_a_value_model_are_found(policy, saved, tmp_path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in saved.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match=r"head.safetensors: is not what was saved"):
        gpo.values.load(copy, policy)
    with pytest.raises(InputError, match=r"has no value.json; give a run of `gpo train --method value`"):
        gpo.values.load(tmp_path, policy)


def test_a_head_that_is_not_finite_is_refused(policy, tmp_path) -> None:
    head = Head(96)
    torch.nn.init.constant_(head.direct.bias, math.nan)
    made = Values(Backbone(policy.model, 1.0), head)
    save(tmp_path / "nan", made, FOUND, fingerprint=policy.fingerprint, backbone=DEMO_MODEL)
    with pytest.raises(InputError, match="has numbers that are not finite"):
        gpo.values.load(tmp_path / "nan", policy)
