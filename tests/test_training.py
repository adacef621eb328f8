"""The learner's settings from the front door: resume, adapters, early stop, divergence, trackers."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpo import DEMO_MODEL, Optimisation, PolicyGradient, Recipe, TransformersPolicy, rounds, tasks, verifiers
from gpo.cli import main
from gpo.command_settings import TrainSettings
from gpo.learn.watchdog import warnings
from gpo.recipes import RECIPES
from gpo.settings import check_stored
from gpo.training.loop import is_stale
from gpo.training.metrics import Clock
from gpo.training.online import within
from gpo.types import Group, InputError, Problem, State

TRAIN = ["train", "--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--size", "32"]
TRAIN += ["--problems-per-round", "4", "--group-size", "4", "--recipe", "base", "--eval-problems", "4"]
TRAIN += ["--eval-every", "0", "--learning-rate", "1e-3", "--warmup-updates", "1", "--minibatch", "16"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def gpo(capsys, *args: str) -> tuple[dict, str]:
    main([*args, "--json"])
    captured = capsys.readouterr()
    return json.loads(captured.out.splitlines()[-1]), captured.err


def error_of(capsys, code: int, *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*TRAIN, *args])
    assert stopped.value.code == code
    return capsys.readouterr().err.strip().splitlines()[-1]


def lines(run: str) -> list[dict]:
    return [json.loads(line) for line in Path(run, "rounds.jsonl").read_text().splitlines()]


def test_ppo_with_an_adapter_resumes_with_equal_weights_and_its_folder_loads(capsys) -> None:
    args = [*TRAIN, "--algorithm", "ppo", "--lora-rank", "2", "--kl-coef", "0.1", "--epochs", "2"]
    gpo(capsys, *args, "--rounds", "2", "--output", "straight")
    gpo(capsys, *args, "--rounds", "1", "--output", "halves")
    gpo(capsys, "train", "--resume", "halves", "--rounds", "2")
    ours, theirs = (load_file(f"{run}/model/adapter_model.safetensors") for run in ("straight", "halves"))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert any(weight.abs().max() > 0 for name, weight in ours.items() if "lora_B" in name)
    found, _ = gpo(
        capsys, "eval", "--model", "demo", "--adapter", "straight/model", "--task", "chain_sum",
        "--max-tokens", "64", "--limit", "2", "--output", "rate",
    )  # fmt: skip
    assert found["accuracy"] is not None
    measured = lines("straight")[2]["metrics"]
    assert measured["train/kl"] > 0
    assert {"train/value_loss", "train/padding_frac", "time/sample_s", "time/train_s"} <= measured.keys()


def next_line(steps, columns) -> list[float]:
    return [float(bool(set(step.split("\n")) & set(columns["steps"]))) for step in steps]


@pytest.mark.parametrize(("reward", "recipe"), [("repro", "base"), ("test_training:next_line", "pivot")])
def test_rewards_of_steps_resume_with_equal_weights(capsys, reward, recipe) -> None:
    args = [*TRAIN[:-2], "--recipe", recipe, "--step-reward", reward, "--step-reward-weight", "0.3"]
    args += ["--group-size", "2", "--splitter", "newline"]
    gpo(capsys, *args, "--rounds", "2", "--output", "straight")
    gpo(capsys, *args, "--rounds", "1", "--output", "halves")
    gpo(capsys, "train", "--resume", "halves", "--rounds", "2")
    ours, theirs = (load_file(f"{run}/model/model.safetensors") for run in ("straight", "halves"))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    rewards = [line["metrics"]["train/step_reward"] for line in lines("straight")[1:]]
    assert rewards == [line["metrics"]["train/step_reward"] for line in lines("halves")[1:]]
    assert all(0 < one < 1 for one in rewards)


def test_full_weights_are_held_to_where_they_started_and_so_they_are_after_resuming(capsys) -> None:
    args = [*TRAIN, "--recipe", "base", "--kl-coef", "0.1", "--schedule", "linear"]
    gpo(capsys, *args, "--rounds", "2", "--output", "straight")
    short, _ = gpo(capsys, *args, "--rounds", "2", "--budget-samples", "18", "--output", "halves")
    assert short["rounds"] == 1
    assert short["unspent"] == {"samples": 2}
    gpo(capsys, "train", "--resume", "halves", "--budget-samples", "32")
    for run in ("straight", "halves"):
        assert [line["metrics"].get("train/learning_rate") for line in lines(run)[1:]][-1] == 5e-4
    ours, theirs = (load_file(f"{run}/model/model.safetensors") for run in ("straight", "halves"))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert lines("straight")[2]["metrics"]["train/kl"] > 0


def test_training_that_diverges_stops_with_the_last_good_checkpoint_kept(capsys, monkeypatch) -> None:
    from gpo.learn.policy_gradient import PolicyGradient

    accumulate = PolicyGradient.accumulate

    def broken(self, minibatch):
        measured = accumulate(self, minibatch)
        return measured | {"loss": float("nan")} if self.num_updates >= 1 else measured

    monkeypatch.setattr(PolicyGradient, "accumulate", broken)
    said = error_of(capsys, 1, "--rounds", "3", "--kl-coef", "0.01", "--output", "run")
    assert said.startswith("gpo: error: training diverged in round 2: update 2: the loss is nan")
    assert "the last good checkpoint is run/checkpoints/0001" in said
    assert "learning_rate" in said
    good = load_file("run/checkpoints/0001/model/model.safetensors")
    assert all(weight.isfinite().all() for weight in good.values())
    assert [line["round"] for line in lines("run")] == [0, 1]


def test_training_stops_when_evaluations_no_longer_improve_and_keeps_the_best(capsys, monkeypatch) -> None:
    from gpo.training.loop import Training

    accuracies = iter([0.1, 0.5, 0.4, 0.3, 0.9])

    def evaluation(self):
        found = {"accuracy": next(accuracies), "stderr": 0.1, "truncated_frac": 0.0, "problems": 1}
        return {"evaluation": found, "tokens": {"evaluation": 0}}

    monkeypatch.setattr(Training, "evaluation", evaluation)
    args = [*TRAIN, "--kl-coef", "0.1", "--eval-every", "1", "--patience", "2", "--rounds", "9"]
    found, _ = gpo(capsys, *args, "--output", "run", "--keep-checkpoints", "9")
    assert found["rounds"] == 3
    best, first = (
        load_file(f"run/{place}/model.safetensors") for place in ("best", "checkpoints/0001/model")
    )
    assert all((best[name] == first[name]).all() for name in best)
    assert (found["ended_by"], found["best"]["round"], found["best"]["model"]) == ("patience", 1, "run/best")


@pytest.mark.parametrize("found", [(0.5, 0.4, 0.3), (0.5, 0.5, 0.5)])
def test_a_model_that_never_gets_better_leaves_the_first_as_the_best(found, monkeypatch, capsys) -> None:
    from gpo.training.loop import Training

    rates = iter(found)

    def evaluation(_):
        rate = next(rates)
        return {"evaluation": {"accuracy": rate, "stderr": 0.1, "truncated_frac": 0.0, "problems": 4}}

    monkeypatch.setattr(Training, "evaluation", evaluation)
    args = [*TRAIN, "--eval-every", "1", "--patience", "2", "--rounds", "9", "--learning-rate", "1e-2"]
    summary, told = gpo(capsys, *args, "--output", "run", "--warmup-updates", "1")
    assert summary["best"] == {"round": 0, "accuracy": 0.5, "model": "run/best"}
    assert "the best model is that of round 0: run/best" in told
    best = load_file("run/best/model.safetensors")
    start = load_file(Path(DEMO_MODEL) / "model.safetensors")
    assert all((best[name] == start[name]).all() for name in best)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--budget-tokens 10", "--budget-tokens: 10 is less than what one prompt may take, 256"),
        ("--budget-samples 3", "--budget-samples: 3 is less than what one prompt may take, 4"),
        ("--recipe pivot --budget-samples 14", "14 is less than what one prompt may take, 15"),
        ("--group-size 1", "rloo compares the rollouts of a group, and no group that trains has two"),
        ("--recipe rrpo --group-size 1 --trained explore", "rloo compares the rollouts of a group"),
        ("--group-size 1 --algorithm grpo", "grpo compares the rollouts of a group"),
        ("--method dpo --budget-tokens 10", "--budget-tokens: 10 is less than what one prompt may take"),
    ],
)
def test_what_cannot_train_is_refused(flags, told, capsys) -> None:
    if "--method" in flags:
        with pytest.raises(SystemExit):
            main(["train", "--task", "chain_sum", *flags.split()])
        assert told in capsys.readouterr().err
    else:
        assert told in error_of(capsys, 2, *flags.split())


@pytest.mark.parametrize("algorithm", ["reinforce", "ppo"])
def test_single_rollouts_train_where_the_baseline_needs_no_other(algorithm) -> None:
    assert TrainSettings(task="chain_sum", rule="base", group_size=1, algorithm=algorithm).group_size == 1


def test_a_budget_of_rollouts_keeps_what_was_sampled_for_a_prompt_together() -> None:
    problems = [Problem(str(num), (1,), "") for num in range(2)]
    parts = [Group(State(one), (None,)) for one in problems for _ in range(2)]
    resets = [Group(State(one, (5,)), (None,) * 3) for one in problems]
    groups = [*parts, *resets]
    assert within(groups, 10, is_split=True) == groups
    assert within(groups, 9, is_split=True) == [*parts[:2], resets[0]]
    assert within(groups, 4, is_split=True) == []
    assert within(groups, 9, is_split=False) == [*parts, resets[0]]


def test_evaluations_are_stale_when_the_last_are_no_better_than_before() -> None:
    def run(*accuracies):
        return [{"evaluation": {"accuracy": accuracy}} for accuracy in accuracies]

    assert is_stale(run(0.1, 0.5, 0.5, 0.4), 2)
    assert not is_stale(run(0.1, 0.5, 0.6, 0.4), 2)
    assert not is_stale(run(0.5, 0.4), 2)
    assert not is_stale(run(0.5, 0.4, 0.3), None)


def test_metrics_go_to_tensorboard(capsys) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    gpo(capsys, *TRAIN, "--rounds", "2", "--track", "tensorboard", "--output", "run")
    events = EventAccumulator("run/trackers/gpo")
    events.Reload()
    steps = [(event.step, event.value) for event in events.Scalars("sample/reward")]
    rewards = [(line["round"], line["metrics"]["sample/reward"]) for line in lines("run")[1:]]
    assert [step for step, _ in steps] == [1, 2]
    assert [value for _, value in steps] == pytest.approx([value for _, value in rewards])
    assert "time/tokens_per_s" in events.Tags()["scalars"]


def test_a_run_says_a_line_a_round_where_no_bar_is_shown(capsys) -> None:
    _, said = gpo(capsys, *TRAIN, "--rounds", "1", "--output", "run")
    line = next(line for line in said.splitlines() if line.startswith("round 1/1, reward "))
    for part in ("signal ", "V at resets ", "KL ", "tokens/s ", "sampling ", "0 s left"):
        assert part in line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--top-p", "0.9"], "top_p and top_k: training needs the full distribution"),
        (
            ["--recipe", "pivot", "--kl-in", "reward", "--kl-coef", "0.1"],
            "--kl-in: the head of a split trajectory would not be charged",
        ),
        (["--temperature", "0"], "temperature: training needs one above 0"),
        (["--lora-rank", "2", "--adapter", "x"], "--lora-rank: makes a new adapter"),
        (["--lora-alpha", "2"], "give lora_rank too"),
        (["--lora-rank", "2", "--lora-targets", "nothing"], "lora_targets: Target modules {'nothing'}"),
        (["--gae-lambda", "0.5"], "--gae-lambda: only ppo has a critic"),
        (["--dtype", "bfloat16"], "weights in bfloat16 round small updates away"),
        (["--track", "trackio"], "--track trackio: is not installed"),
        (["--step-reward", "reward"], "--step-reward: 'reward' is unknown; give repro, or module:function"),
        (["--step-reward", "math:sqrt"], "step_reward: the function raised TypeError: math.sqrt()"),
        (["--step-reward-weight", "2"], "--step-reward-weight: has no effect without --step-reward"),
        (["--method", "dpo", "--step-reward", "repro"], "is for online training, and --method is offline"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(capsys, args, message) -> None:
    assert message in error_of(capsys, 2, *args, "--output", "run")
    assert not Path("run").exists()


def test_the_demo_model_is_not_written_to() -> None:
    assert not list(DEMO_MODEL.glob("*.tmp"))


def history(**columns) -> list[dict]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize(
    ("name", "key", "values", "blamed"),
    [
        ("reward", "sample/reward", [0.5, 0.6, 0.6, 0.6, 0.5, 0.3, 0.1, 0.1], "learning_rate"),
        ("update_kl", "train/update_kl", [0.01, 0.5], "learning_rate or epochs"),
        ("clip", "train/clip_frac", [0.1, 0.4], "raise minibatch"),
        ("kl", "train/kl", [0.1, 2.0], "kl_coef"),
        ("entropy", "train/entropy", [0.5, 0.5, 0.5, 0.1, 0.01, 0.01, 0.01], "clip_high"),
        ("sampler", "train/sampler_mismatch", [0.0, 0.2], "dtype"),
        ("signal", "train/signal_groups_frac", [0.5, 0.0, 0.0, 0.0], "group_size"),
        ("truncated", "sample/truncated_frac", [0.1, 0.7, 0.8, 0.9], "max_tokens"),
        ("steps", "locate/one_step_frac", [0.2, 0.9], "min_step_tokens"),
    ],
)
def test_a_collapse_is_named_with_the_likely_setting(name, key, values, blamed) -> None:
    assert warnings([{key: value} for value in values[:1]]) == {}
    found = warnings([{key: value} for value in values])
    assert list(found) == [name]
    assert blamed in found[name]


@pytest.mark.parametrize(("num", "is_told"), [(1, False), (2, False), (4, True), (16, True)])
def test_the_reward_has_fallen_where_chance_would_hardly_bring_it(num, is_told) -> None:
    # By 0.67, and three standard errors of that are 1.15 with a prompt a round, 0.82 with 2, 0.58 with 4.
    rounds = [{"sample/reward": one, "sample/prompts": num} for one in (1.0, 1.0, 1.0, 0.0, 0.0, 1.0)]
    assert bool(warnings(rounds)) == is_told


def test_healthy_training_has_no_warnings() -> None:
    rewards = [0.4, 0.45, 0.38, 0.5, 0.55, 0.6, 0.52, 0.65, 0.7, 0.8]
    entropies = [0.5, 0.45, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01]
    rounds = [
        {"sample/reward": r, "train/entropy": e, "train/update_kl": 0.001, "train/kl": None}
        for r, e in zip(rewards, entropies, strict=True)
    ]
    assert not warnings(rounds[:7])
    assert not warnings([])


def test_a_clock_books_every_second_once() -> None:
    class Part:
        seconds = 0.0

    part = Part()
    clock = Clock({"sample": part})
    part.seconds += 100.0
    clock.lap("other")
    part.seconds += 50.0
    clock.lap("evaluation", is_whole=True)
    found = clock.metrics(200, 10.0)
    assert found["time/sample_s"] == 100.0
    assert found["time/other_s"] + found["time/evaluation_s"] == pytest.approx(-100.0, abs=5.0)
    assert found["sample/tokens_per_s"] == 2.0
    assert found["time/round_s"] == pytest.approx(0.0, abs=5.0)


def test_a_run_whose_recipe_stood_for_other_settings_then_goes_on_with_those(capsys) -> None:
    """As runs of the version before, whose default was today's `search` and which knew no `credit`."""
    search = [*TRAIN, "--recipe", "search", "--rounds", "1", "--output", "old"]
    gpo(capsys, *search)
    run = json.loads(Path("old/run.json").read_text())
    del run["settings"]["credit"]
    run["settings"]["recipe"] = "default"
    Path("old/run.json").write_text(json.dumps(run))
    gpo(capsys, "train", "--resume", "old", "--rounds", "2")
    assert [line["round"] for line in lines("old")] == [0, 1, 2]


STORED = {"model": "m", "task": "chain_sum", "output": "runs/x", "archived": 0, "share": "fixed"}


@pytest.mark.parametrize(
    ("older", "told"),
    [
        ({"archived": 8}, "settings.archived is 8"),
        ({"share": "signal"}, "settings.share is 'signal'"),
        ({"share": "auto", "budget_tokens": 50_000}, "settings.share is 'auto'"),
    ],
)
def test_an_older_run_that_did_what_is_gone_is_not_resumed(older, told) -> None:
    with pytest.raises(InputError, match=f"^old/run.json: {told}, which this version of gpo no longer has"):
        check_stored(TrainSettings, Path("old"), STORED | older)


@pytest.mark.parametrize(
    "older",
    [
        {},
        {"archived": 8, **RECIPES["pivot"], "trained": ["explore", "values", "resets", "archive"]},
        {"share": "auto", "archive_of": "succeeded"},
        {"share": "auto", "budget_tokens": 50_000, "rule": "base"},
    ],
)
def test_an_older_run_goes_on_where_what_is_gone_had_no_effect(older) -> None:
    assert check_stored(TrainSettings, Path("old"), STORED | older).model == "m"


def test_the_default_recipe_resumes_with_equal_rollouts_and_weights(capsys) -> None:
    args = [*TRAIN[:9], "--eval-problems", "4", "--learning-rate", "1e-3", "--problems-per-round", "4"]
    gpo(capsys, *args, "--rounds", "3", "--output", "straight")
    gpo(capsys, *args, "--rounds", "1", "--output", "halves")
    gpo(capsys, "train", "--resume", "halves", "--rounds", "3")
    for name in ("rollouts.jsonl", "curves.jsonl"):
        assert Path("straight", name).read_bytes() == Path("halves", name).read_bytes()
    one, other = (load_file(f"{run}/model/model.safetensors") for run in ("straight", "halves"))
    assert all(one[key].equal(other[key]) for key in one)
    rollouts = Path("straight/rollouts.jsonl").read_text().splitlines()
    assert {json.loads(line)["purpose"] for line in rollouts} == {"explore", "resets"}


def test_the_loop_in_python_is_that_of_gpo_train(tmp_path) -> None:
    run = "--task chain_sum --max-tokens 48 --size 16 --rounds 2 --eval-problems 2 --recipe search"
    own = "--problems-per-round 2 --min-step-tokens 1 --learning-rate 1e-3"
    main(["train", *run.split(), *own.split(), "--output", str(tmp_path / "run")])
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=48, dtype="float32")
    rows = tasks.load("chain_sum", "train", size=16, seed=0)
    recipe = Recipe(problems_per_round=2, min_step_tokens=1)
    learner = PolicyGradient(policy.model, Optimisation(learning_rate=1e-3), temperature=1.0, seed=0)
    with verifiers.load("gym") as verifier:
        source = rounds(policy, verifier, tasks.problems(rows, policy.prompt_ids), recipe, seed=0)
        for _ in range(2):
            learner.update(next(source).groups)
            policy.version += 1
    saved = load_file(tmp_path / "run/model/model.safetensors")
    ours = policy.model.state_dict()
    assert all(torch.equal(ours[name], weights) for name, weights in saved.items())
