"""What tests/test_ranks.py runs as two processes: each compares what both do with what one does alone."""

import os
import sys
from copy import deepcopy
from pathlib import Path

import torch
from accelerate import Accelerator
from test_policy_gradient import examples, groups, llama
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from toy import AllRight, TablePolicy, problems

from gpo.learn.policy_gradient import Optimisation, PolicyGradient
from gpo.pool import sample
from gpo.ranks import Ranks, SharedPolicy, SharedVerifier
from gpo.types import Request, State


class Sharded(Ranks):
    """As accelerate shards on GPUs with an FSDP configuration; on CPUs it does not offer to."""

    is_sharded = True

    def shard(self, module, optimizer):
        mesh = init_device_mesh("cpu", (2,))
        parameters = dict(module.named_parameters())
        for layer in module.policy.decoder.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(module, mesh=mesh)
        places = {id(old): new for old, new in zip(parameters.values(), module.parameters(), strict=True)}
        for group in optimizer.param_groups:
            group["params"] = [places[id(parameter)] for parameter in group["params"]]
        return module, optimizer


def alone() -> Ranks:
    world = os.environ.pop("WORLD_SIZE")
    try:
        return Ranks()
    finally:
        os.environ["WORLD_SIZE"] = world


def learned(ranks: Ranks, **changes) -> tuple[PolicyGradient, dict[str, float]]:
    """After two rounds on the same groups, with the metrics of the second."""
    model = llama(tie_word_embeddings=True)
    data = groups(model)
    settings = Optimisation(learning_rate=1e-2, minibatch=4, microbatch_tokens=30, epochs=2, **changes)
    reference = llama(seed=1) if settings.kl_coef else None
    learner = PolicyGradient(model, settings, temperature=1.0, seed=0, reference=reference, ranks=ranks)
    learner.update(data, round_index=1)
    return learner, learner.update(data, round_index=2)


def check_learning(ranks: Ranks, folder: Path, **changes) -> None:
    ours, metrics = learned(ranks, **changes)
    theirs, expected = learned(alone(), **changes)
    for name, value in expected.items():
        if name != "train/padding_frac" and value == value:
            assert abs(metrics[name] - value) < 1e-3 * max(1.0, abs(value)), (name, metrics[name], value)
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4), (changes, (a - b).abs().max())
    path = folder / f"{type(ranks).__name__}-{len(list(folder.iterdir())) // 2}.safetensors"
    ours.save(path)
    ranks.wait()
    resumed = PolicyGradient(deepcopy(ours.model), ours.settings, temperature=1.0, seed=0, ranks=ranks,
                             reference=llama(seed=1))  # fmt: skip
    resumed.load(path)
    ours.update(groups(llama()), round_index=3)
    resumed.update(groups(llama()), round_index=3)
    for a, b in zip(ours.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    ranks.wait()


def check_gradient(ranks: Ranks) -> None:
    """Exactly normalised over both: equal up to rounding, before Adam enlarges the difference."""
    found = []
    for one in (ranks, alone()):
        model = llama()
        learner = PolicyGradient(
            model, Optimisation(microbatch_tokens=30), temperature=1.0, seed=0, ranks=one
        )
        learner.accumulate(examples(learner, groups(model)))
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*found, rtol=1e-5, atol=1e-7)


def check_sampling(ranks: Ranks) -> None:
    policy, verifier = TablePolicy([0.7, 0.8, 0.9]), AllRight()
    requests = [Request(State(problem), 1 + i, i) for i, problem in enumerate(problems(5))]
    expected = sample(TablePolicy([0.7, 0.8, 0.9]), AllRight(), requests)
    found = sample(SharedPolicy(policy, ranks), SharedVerifier(verifier, ranks), requests)
    assert found == expected
    assert 0 < sum(request.num for request in policy.requests) < 15
    assert 7 <= verifier.num_scored <= 8


def main(folder: Path) -> None:
    accelerator = Accelerator()
    ranks = Ranks(accelerator)
    assert (ranks.num, ranks.is_sharded) == (2, False)
    check_sampling(ranks)
    check_gradient(ranks)
    for changes in ({}, {"algorithm": "ppo", "kl_coef": 0.1}, {"kl_coef": 0.1, "kl_in": "reward"}):
        check_learning(ranks, folder, **changes)
    check_learning(Sharded(accelerator), folder, algorithm="ppo")
    check_learning(Sharded(accelerator), folder, kl_coef=0.1)
    if ranks.is_first:
        (folder / "done").touch()
    ranks.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
