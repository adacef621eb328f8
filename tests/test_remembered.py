import pickle

import pytest
from toy import AllRight, TablePolicy, problems

import gpo
from gpo import steps
from gpo.policies.ray import Worker
from gpo.policies.transformers import TransformersPolicy
from gpo.pool import Pool
from gpo.protocols import Capabilities, ForwardingPolicy, Policy
from gpo.ranks import Ranks, SharedPolicy
from gpo.record import RunFolder
from gpo.record.remembered import SLICE, Remembered, read_samples
from gpo.types import Problem, State


class Dies(TablePolicy):
    """Killed in its second call."""

    def sample(self, requests):
        if self.requests:
            raise KeyboardInterrupt
        return super().sample(requests)


def test_what_was_sampled_before_a_run_was_killed_is_not_sampled_again(tmp_path) -> None:
    wanted = dict.fromkeys(map(State, problems(SLICE // 2)), 5)
    expected = Pool(TablePolicy([0.5, 0.5]), AllRight(), seed=3)
    expected.fill(wanted, "fill")
    path, dies = tmp_path / "run", Dies([0.5, 0.5])
    with RunFolder.create(path, "pairs", {}) as folder, pytest.raises(KeyboardInterrupt):
        Pool(Remembered(dies, folder, {}), AllRight(), seed=3).fill(wanted, "fill")
    num_done = len(dies.requests)
    assert num_done == SLICE // 5
    with (path / "samples.jsonl").open("a") as file:
        file.write('{"state": "p1')
    policy = TablePolicy([0.5, 0.5])
    with RunFolder.resume(path) as folder:
        assert folder.repair() == {"samples.jsonl": 13}
        pool = Pool(Remembered(policy, folder, read_samples(folder.path, 10**6)), AllRight(), seed=3)
        pool.fill(wanted, "fill")
        assert folder.repair() == {}
    assert pool.rollouts == expected.rollouts
    assert len(policy.requests) == len(wanted) - num_done


class Poor(TablePolicy):
    """An engine that lacks what others have."""

    has_entropies, has_logprobs, unreadable, counts = False, False, "no", {"prefixes refused": 2}

    def restartable(self, splitter):
        return lambda ids, tokenizer: [0, len(ids)]

    def interrupt(self):
        self.is_interrupted = True


def test_what_wraps_a_policy_forwards_all_that_a_policy_has(tmp_path) -> None:
    names = {
        name
        for kind in (Policy, Capabilities)
        for name in {*vars(kind), *kind.__annotations__}
        if name[0] != "_"
    }
    assert len(names) == 17
    assert names <= vars(ForwardingPolicy).keys()
    poor = Poor([0.5, 0.5])
    with RunFolder.create(tmp_path / "run", "pairs", {}) as folder:
        for wrapped in (Remembered(poor, folder, {}), SharedPolicy(poor, Ranks())):
            assert (wrapped.has_entropies, wrapped.counts) == (False, {"prefixes refused": 2})
            assert (wrapped.has_logprobs, wrapped.unreadable) == (False, "no")
            assert wrapped.restartable(steps.newline())([1, 2, 3], poor.tokenizer) == [0, 3]
            wrapped.version = poor.version + 1
            assert (poor.version, wrapped.fingerprint) == (wrapped.version, poor.fingerprint)
            poor.is_interrupted = False
            wrapped.interrupt()
            assert poor.is_interrupted


def test_what_an_actor_sends_of_its_policy_asks_and_reads_without_the_engine() -> None:
    policy = TransformersPolicy.load(gpo.DEMO_MODEL, max_tokens=32)
    sent, fingerprint = pickle.loads(pickle.dumps(Worker(lambda: policy).face()))  # noqa: S301 - as Ray does
    assert fingerprint == policy.fingerprint
    assert not hasattr(sent, "model")
    assert (sent.has_entropies, sent.has_logprobs, sent.unreadable) == (True, True, "")
    ids = policy.prompt_ids("1 + 1 =")
    assert sent.prompt_ids("1 + 1 =") == ids
    state = State(Problem("p", ids, "2"))
    said = tuple(policy.tokenizer.encode("1 + 1 = 2"))
    assert sent.completion_text(state, said).seen == policy.completion_text(state, said).seen == "1 + 1 = 2"
    assert sent.room(state) == 32
