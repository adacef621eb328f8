"""`make test-ray`: policies in Ray actors sample what one in this process samples, and share the work."""

import json
from functools import partial
from pathlib import Path

import pytest
import ray
from test_explore import CHANCES, curves, recipe, tasks
from toy import AllRight, TablePolicy, problems

from gpo.cli import main
from gpo.explore import Explorer
from gpo.policies.ray import RayPolicy
from gpo.policies.transformers import TransformersPolicy
from gpo.record import read_records
from gpo.types import InputError, Request, State


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    ray.init(num_cpus=4, log_to_driver=False, include_dashboard=False)
    yield
    ray.shutdown()


@pytest.fixture
def policy():
    policy = RayPolicy(partial(TablePolicy, CHANCES), 2, slots=8, num_cpus=0.5)
    yield policy
    policy.close()


def test_actors_sample_and_read_what_the_policy_alone_does(policy) -> None:
    alone = TablePolicy(CHANCES)
    requests = [Request(State(problem), 1 + i % 3, i) for i, problem in enumerate(problems(30))]
    assert policy.sample(requests) == alone.sample(requests)
    given = [(State(problem), (1, 3, 2)) for problem in problems(5)]
    assert policy.read(given) == alone.read(given)
    assert policy.fingerprint == alone.fingerprint
    assert (policy.slots, policy.max_tokens) == (16, alone.max_tokens)
    assert policy.text((1, 3)) == alone.text((1, 3))


def test_searches_on_actors_find_what_they_find_in_one_process(policy) -> None:
    found = [
        curves(Explorer(one, AllRight(), recipe(), seed=1).run(tasks(20)))
        for one in (policy, TablePolicy(CHANCES))
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 20


def test_an_actor_that_dies_is_started_again_and_nothing_is_lost(policy) -> None:
    futures = []
    for i in range(200):
        futures.append(policy.submit(Request(State(problems(1)[0]), 1, i)))
        if i == 100:
            ray.kill(policy._actors[0], no_restart=False)
    alone = TablePolicy(CHANCES)
    expected = alone.sample([Request(State(problems(1)[0]), 1, i) for i in range(200)])
    assert [future.result(60) for future in futures] == expected


def test_more_actors_than_the_cluster_holds_are_refused() -> None:
    with pytest.raises(InputError, match="actors: 9 with 1 CPU each need 9; the cluster has 4"):
        RayPolicy(partial(TablePolicy, CHANCES), 9, slots=8)


def test_a_policy_that_cannot_be_made_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^actors: cannot be started \(.*nowhere.*\)$"):
        RayPolicy(partial(TransformersPolicy.load, "/nowhere"), 1, slots=8)


def test_locate_on_actors_over_a_ray_dataset_resumes_and_equals_one_process(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = "State the final answer to the following arithmetic problem: {0} + 3 - 1 + {0} ="
    rows = [{"prompt": asked.format(i), "answer": str(2 * i + 2)} for i in range(1, 7)]
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = ["--verifier", "number", "--max-tokens", "96", "--min-step-tokens", "1", "--explored", "all"]
    args = ["locate", "--data", "ray:data.jsonl", *args, "--slots", "16", "--json"]
    main([*args, "--output", "one"])
    main([*args, "--actors", "2", "--budget-tokens", "1500", "--output", "two"])
    part = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < part["problems"] < part["given"] == 6
    main(["locate", "--resume", "two", "--budget-tokens", "1000000", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == 6
    lines = [read_records(Path(run, "curves.jsonl")) for run in ("one", "two")]
    one, two = ({line["place"]: line for line in some} for some in lines)
    assert len(one) == 6
    for place, curve in one.items():
        assert curve["completion_ids"] == two[place]["completion_ids"]
        assert curve["trials"] == two[place]["trials"]


def test_data_that_ray_cannot_read_is_one_line(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["sample", "--data", "ray:nowhere.parquet", "--verifier", "number", "--output", "x"])
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("gpo: ")]
    assert line.startswith("gpo: error: --data ray:nowhere.parquet: cannot be read (")
