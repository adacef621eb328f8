import pytest
from toy import AllRight, TablePolicy, problems

from gpo.commands.remembered import SLICE, Remembered, read_samples
from gpo.pool import Pool
from gpo.record import RunFolder
from gpo.types import State


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
