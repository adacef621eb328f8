"""A critic kept across rounds names reset states: by hand, on a table, and from the front door."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy import NEWLINE, RIGHT, WRONG, AllRight, TablePolicy, problems

from gpo import DEMO_MODEL, Recipe, TransformersPolicy, rounds, rules, sample, steps, tasks, values, verifiers
from gpo.cli import main
from gpo.credit import joined
from gpo.curve import predicted_values
from gpo.ranks import Ranks
from gpo.types import InputError, Request, Rollout, State, ValueCurve

IDS = (RIGHT, NEWLINE, WRONG, NEWLINE, RIGHT, NEWLINE)
READ = (0.5, 0.0, 0.7, 0.0, 0.1, 0.0, 0.3)  # at the boundaries .5, .7, .1 and .3


def curve(predicted=READ, prefix=()) -> ValueCurve:
    rollout = Rollout(State(problems(1)[0], prefix), IDS, (), (), "", True, 0.0, 0, predicted)
    bounds = tuple(len(prefix) + offset for offset in (0, 2, 4, 6))
    return ValueCurve(bounds, (0,) * 4, (0,) * 4, rollout)


@pytest.mark.parametrize(("rule", "index"), [("critic", 1), ("critic-half", 0)])
def test_a_rule_names_the_largest_predicted_change_or_the_state_nearest_one_half(rule, index) -> None:
    for one in (curve(), curve(prefix=(RIGHT, NEWLINE))):
        assert predicted_values(one) == [0.5, 0.7, 0.1, 0.3]
        found = rules.critical_step(one, rule)
        assert (found.index, found.rule, found.probability) == (index, rule, 1.0)
    assert rules.critical_step(curve(predicted=()), rule) is None


def test_a_rollout_joined_to_a_prefix_is_read_as_one() -> None:
    old = curve().rollout
    new = replace(old, state=old.state_at(2), action_ids=(WRONG, NEWLINE), predicted=(0.7, 0.2, 0.4))
    assert joined(replace(old, logprobs=(0.0,) * 6, entropies=(0.0,) * 6), new).predicted == (
        0.5,
        0.0,
        0.7,
        0.2,
        0.4,
    )


class Exact:
    """Reads a table's values, and is ready once it was asked to learn."""

    def __init__(self, policy: TablePolicy) -> None:
        self.policy, self.is_ready, self.learned = policy, False, []

    def read(self, given):
        return [
            [self.policy.value(state_after(state, ids[:num])) for num in range(len(ids) + 1)]
            for state, ids in given
        ]

    def learn(self, rollouts):
        self.is_ready = True
        self.learned.append(len(rollouts))
        return {}


def state_after(state: State, ids) -> State:
    return State(state.problem, state.prefix_ids + ids)


def test_rounds_name_steps_by_entropy_until_the_critic_is_ready() -> None:
    policy = TablePolicy([0.9, 0.6, 0.9])
    recipe = Recipe.named("critic", splitter=steps.newline(min_tokens=1), problems_per_round=8)
    critic = Exact(policy)
    run = rounds(policy, AllRight(), problems(8), recipe, seed=0, critic=critic)
    first, second = next(run), next(run)
    assert {one.critical.rule for one in first.located} == {"entropy"}
    assert all(one.curve.rollout.predicted == () for one in first.located)
    assert critic.learned == [len(first.rollouts)]
    assert {one.critical.rule for one in second.located} == {"critic"}
    for one in second.located:
        ids = one.curve.rollout.action_ids
        if WRONG in ids:  # where V falls to 0, which is more than any right line gains
            assert one.critical.index == ids.index(WRONG) // 2
    with pytest.raises(InputError, match="rule: 'critic' reads a critic; give one, such as"):
        next(rounds(policy, AllRight(), problems(8), recipe))


@pytest.fixture(scope="module")
def sampled() -> tuple[TransformersPolicy, list[Rollout]]:
    policy = TransformersPolicy.load(DEMO_MODEL, max_tokens=64)
    rows = tasks.load("chain_sum", "train", size=24, seed=0)
    asked = tasks.problems(rows, policy.prompt_ids)
    judge = verifiers.load(tasks.verifier("chain_sum"))
    found = sample(policy, judge, [Request(State(one), 4, 1) for one in asked])
    return policy, [rollout for some in found for rollout in some]


def test_a_critic_learns_of_each_round_and_is_ready_when_it_foretold_the_last(sampled, tmp_path) -> None:
    policy, rollouts = sampled
    critic = values.critic(policy, seed=3)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = critic.learn(rollouts[:48])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first["critic/is_ready"], critic.is_ready) == (0.0, False)
    rate = sum(one.reward for one in rollouts[:48]) / 48
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    assert first["critic/base_log_loss"] == pytest.approx(entropy, abs=1e-5)
    assert first["critic/log_loss"] == pytest.approx(math.log(2), abs=1e-5)  # one half everywhere
    for _ in range(3):
        again = critic.learn(rollouts[:48])
    assert again["critic/log_loss"] < again["critic/base_log_loss"]
    assert critic.is_ready
    asked = [(one.state, one.action_ids) for one in rollouts[48:52]]
    read = critic.read(asked)
    assert [len(one) for one in read] == [len(ids) + 1 for _, ids in asked]
    assert critic.read(asked) == read  # nothing is dropped out
    critic.save(tmp_path / "critic.safetensors")
    resumed = values.critic(policy, seed=3)
    resumed.load(tmp_path / "critic.safetensors")
    assert resumed.read(asked) == read
    assert resumed.learn(rollouts[48:]) == critic.learn(rollouts[48:])
    assert resumed.read(asked) == critic.read(asked) != read


def test_a_round_of_equal_outcomes_says_nothing_of_a_critic(sampled) -> None:
    policy, rollouts = sampled
    critic = values.critic(policy)
    critic.is_ready = True
    found = critic.learn([replace(one, reward=1.0) for one in rollouts[:8]])
    assert (found["critic/base_log_loss"], critic.is_ready) == (0.0, True)
    assert critic.learn([]) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("about"), "'about'"),
        (lambda state: state.update({"direct.bias": torch.tensor([math.nan])}), "numbers that it cannot"),
        (lambda state: state.update({"direct.weight": torch.zeros(1, 3)}), "size mismatch"),
        (None, "No such file"),
    ],
)
def test_a_damaged_critic_is_refused_in_one_line(sampled, tmp_path, change, reason) -> None:
    critic, path = values.critic(sampled[0]), tmp_path / "critic.safetensors"
    if change:
        critic.save(path)
        state = load_file(path)
        change(state)
        save_file(state, path)
    with pytest.raises(
        InputError, match=f"is not this model's critic .*{reason}.*restore that checkpoint"
    ) as error:
        critic.load(path)
    assert "\n" not in str(error.value)


TRAIN = ["train", "--task", "chain_sum", "--max-tokens", "64", "--min-step-tokens", "1", "--size", "32"]
TRAIN += ["--problems-per-round", "8", "--eval-problems", "4", "--eval-every", "0", "--learning-rate", "1e-3"]
TRAIN += ["--warmup-updates", "1", "--recipe", "critic", "--splitter", "newline"]


def test_a_run_with_a_critic_says_who_names_steps_and_resumes_to_the_digit(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    main([*TRAIN, "--rounds", "4", "--output", "straight", "--json"])
    assert (
        "note: from round 2 on the rule entropy names steps: the critic foretells" in capsys.readouterr().err
    )
    main([*TRAIN, "--rounds", "2", "--output", "halves", "--json"])
    main(["train", "--resume", "halves", "--rounds", "4", "--json"])
    ours, theirs = (load_file(f"{run}/model/model.safetensors") for run in ("straight", "halves"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    read = [
        [json.loads(line)["metrics"] for line in Path(run, "rounds.jsonl").read_text().splitlines()[1:]]
        for run in ("straight", "halves")
    ]
    losses = [[one["critic/log_loss"] for one in some] for some in read]
    assert losses[0] == losses[1]
    curves = [json.loads(line) for line in Path("straight", "curves.jsonl").read_text().splitlines()]
    named = {one["round"]: one["critical"]["rule"] for one in curves if one["critical"]}
    assert named == {
        i + 2: "critic" if one["critic/is_ready"] else "entropy" for i, one in enumerate(read[0][:3])
    } | {1: "entropy"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["locate", "--task", "chain_sum", "--rule", "critic"],
            "--rule: 'critic' reads a critic, which only online",
        ),
        ([*TRAIN, "--method", "dpo"], "--recipe: is for online training"),
    ],
)
def test_a_rule_that_reads_a_critic_is_refused_where_none_is_kept(
    capsys, tmp_path, monkeypatch, args, message
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_several_processes_and_other_trainers_are_refused_by_name(monkeypatch) -> None:
    from gpo.command_settings import TrainSettings
    from gpo.training import online
    from gpo.trl.checks import check_recipe

    ranks = Ranks()
    ranks.num = 2
    monkeypatch.setattr(online, "processes", lambda _: ranks)
    settings = TrainSettings(task="chain_sum", rule="critic", credit="split", explored="all")
    with pytest.raises(InputError, match="rule: 'critic' reads and fits its critic in one process"):
        online.Online(settings)
    with pytest.raises(InputError, match="rule is 'critic' in the recipe, which only `gpo train` can do"):
        check_recipe(Recipe(rule="critic"), 0.5)
    with pytest.raises(InputError, match="proposal is 'self' in the recipe, which only `gpo train` can do"):
        check_recipe(Recipe(proposal="self"), 0.5)
