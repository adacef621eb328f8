"""What do pairs at the critical step converge to? On tables, where everything is known exactly.

The loss of DPO over all pairs that a table can give is minimised to the end. Its policy is compared with the
optimum of the paper's Theorem 5.3, pi_ref exp(A / beta), and with what it should be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from online_tables import table_head

Path = tuple[int, ...]
Policy = dict[Path, np.ndarray]
DEPTH, ACTIONS = 3, 3
BETA = 1.0
BETAS = np.geomspace(0.05, 5, 60)
"""Of the theorem, tried for the one that is nearest to what DPO converges to."""


class Tree:
    """A random reference policy on a tree, and a success probability for each of its leaves."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        inner = [s for depth in range(DEPTH) for s in itertools.product(range(ACTIONS), repeat=depth)]
        self.policy = {s: rng.dirichlet(np.full(ACTIONS, 2.0)) for s in inner}
        self.success = {y: float(rng.beta(1, 1)) for y in itertools.product(range(ACTIONS), repeat=DEPTH)}

    def chance(self, state: Path, leaf: Path, policy: Policy | None = None) -> float:
        """Of the leaf, from a state before it; of the reference policy by default."""
        steps = ((policy or self.policy)[leaf[:i]][leaf[i]] for i in range(len(state), DEPTH))
        return math.prod(float(p) for p in steps)

    def leaves(self, state: Path) -> list[Path]:
        return [y for y in self.success if y[: len(state)] == state]

    def value(self, state: Path, policy: Policy | None = None) -> float:
        return sum(self.chance(state, y, policy) * self.success[y] for y in self.leaves(state))

    def advantages(self, state: Path) -> np.ndarray:
        return np.array([self.value((*state, a)) for a in range(ACTIONS)]) - self.value(state)

    def resets(self) -> dict[Path, float]:
        """How often each state is the one before a trajectory's step of the largest change of value."""
        found: dict[Path, float] = {}
        for leaf in self.success:
            sizes = [abs(self.advantages(leaf[:i])[leaf[i]]) for i in range(DEPTH)]
            state = leaf[: int(np.argmax(sizes))]
            found[state] = found.get(state, 0.0) + self.chance((), leaf)
        return found


def converged(tree: Tree, *, is_step: bool) -> Policy:
    """The policy at the minimum of DPO's expected loss over right and wrong continuations of reset states.

    With `is_step` only the first step of each answer is trained, as `--target step` does.
    """
    logits = {s: torch.tensor(np.log(p), requires_grad=True) for s, p in tree.policy.items()}
    optimizer = torch.optim.LBFGS(logits.values(), max_iter=500, line_search_fn="strong_wolfe")
    rows = [(s, weight, tree.leaves(s)) for s, weight in tree.resets().items()]

    def loss() -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        logs = {s: logit.log_softmax(0) - torch.tensor(np.log(tree.policy[s])) for s, logit in logits.items()}
        for state, weight, leaves in rows:
            end = len(state) + 1 if is_step else DEPTH
            gains = torch.stack([sum(logs[y[:i]][y[i]] for i in range(len(state), end)) for y in leaves])
            chances = torch.tensor([tree.chance(state, y) for y in leaves], dtype=torch.float64)
            right = torch.tensor([tree.success[y] for y in leaves], dtype=torch.float64)
            pairs = (chances * right)[:, None] * (chances * (1 - right))[None, :]
            margins = BETA * (gains[:, None] - gains[None, :])
            total = total - weight * (pairs * torch.nn.functional.logsigmoid(margins)).sum()
        return total

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(5):
        optimizer.step(closure)
    return {s: logit.detach().softmax(0).numpy() for s, logit in logits.items()}


def tilted(tree: Tree, weights: Policy) -> Policy:
    """The reference policy times these weights [ACTIONS] of some states, and itself elsewhere."""
    made = {s: p * weights.get(s, 1.0) for s, p in tree.policy.items()}
    return {s: p / p.sum() for s, p in made.items()}


def of_theorem(tree: Tree, beta: float, states: Sequence[Path]) -> Policy:
    """Theorem 5.3's optimum at these states."""
    return tilted(tree, {s: np.exp(tree.advantages(s) / beta) for s in states})


def of_pairs(tree: Tree, *, is_step: bool) -> Policy:
    """What pairs of right and wrong answers should converge to, in closed form.

    Of two answers that are right with chances p and q, exactly one of them right, the first is it with odds
    p (1 - q) / (q (1 - p)). So DPO tilts by exp(logit(p) / beta): a step by that of its Q, a whole answer by
    that of its own chance, of which a step gets the mean over what may follow it.
    """

    def weight(state: Path) -> np.ndarray:
        found = []
        for action in range(ACTIONS):
            after = (*state, action)
            if is_step:
                found.append(odds(tree.value(after)) ** (1 / BETA))
            else:
                some = tree.leaves(after)
                found.append(sum(tree.chance(after, y) * odds(tree.success[y]) ** (1 / BETA) for y in some))
        return np.array(found)

    states = tree.resets() if is_step else {s for r in tree.resets() for s in below(tree, r)}
    return tilted(tree, {s: weight(s) for s in states})


def below(tree: Tree, state: Path) -> list[Path]:
    return [s for s in tree.policy if s[: len(state)] == state]


def odds(chance: float) -> float:
    return chance / (1 - chance)


def apart(one: Policy, other: Policy, states: Sequence[Path]) -> float:
    """Mean total variation distance over states."""
    return float(np.mean([np.abs(one[s] - other[s]).sum() / 2 for s in states]))


def measured(tree: Tree) -> dict[str, dict[str, float]]:
    """What each column of the table says of the tree's policies, by their name."""
    states = list(tree.resets())
    found = {
        "the reference": {"V": tree.value(())},
        "Theorem 5.3, the same beta": {"V": tree.value((), of_theorem(tree, BETA, states))},
    }
    for name, is_step in (("DPO, whole answers", False), ("DPO, first steps only", True)):
        policy = converged(tree, is_step=is_step)

        def to_theorem(beta: float, policy: Policy = policy) -> float:
            return apart(policy, of_theorem(tree, beta, states), states)

        best = min(BETAS, key=to_theorem)
        gains = [np.argmax(policy[s] / tree.policy[s]) == np.argmax(tree.advantages(s)) for s in states]
        found[name] = {
            "V": tree.value((), policy),
            "from the closed form": apart(policy, of_pairs(tree, is_step=is_step), states),
            "from the theorem": to_theorem(BETA),
            "from the theorem at its best beta": to_theorem(float(best)),
            "that beta": float(best),
            "the largest advantage gains most": float(np.mean(gains)),
        }
    return found


def page(num: int) -> list[str]:
    """The table: means over random trees."""
    trees = [measured(Tree(seed)) for seed in range(num)]
    columns = list(dict.fromkeys(column for policies in trees for one in policies.values() for column in one))
    lines = table_head([f"mean of {num} trees", *columns])
    for name in trees[0]:
        cells = [
            f"{np.mean([tree[name][column] for tree in trees]):.3f}" if column in trees[0][name] else ""
            for column in columns
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]
