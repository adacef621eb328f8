"""The pooled estimator: values along a trace as a hidden path that mostly stays and sometimes jumps.

Neighbouring boundaries have almost the same value, except at the few steps that matter, so a rollout at
one boundary is evidence for its neighbours up to the next jump. V(s_0) .. V(s_{S-1}) is a Markov path over
K fixed levels in [0, 1]: across a step the value diffuses a little or, with a small probability, jumps to
any level. Successes at a boundary are binomial; the trajectory's own outcome is one sample of the last
value. Forward-backward (Rabiner 1989) gives the posterior of every step's effect exactly.

How much a trace drifts and how often it jumps is not known, so the prior is a mixture of both, and a trace's
own counts weigh its components. (Weights fitted to earlier traces did not help on curves like the prior's and
cost a tenth of the quality on others, so they stay equal.) What is learned from finished traces is whether a
proposal knows where the jumps are, and whether values are decided before the last step (`PathPrior.learn`). A
posterior mean is shrunk by the prior, so a step's effect is not biased upwards by having been chosen for its
size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from gpo.curve import Floats
from gpo.levels import CELLS, CHANGES, LEVELS, LOG_LEVELS, LOG_MISSES, NUM_LEVELS, diffusion, inverted

DRIFTS = (0.004, 0.02, 0.05)
"""Standard deviations of the diffusion across a step of a 30-step trace; times sqrt(30 / S) for S steps."""
JUMPS = (0.7, 2.5)
"""Expected jumps in a trace, however long."""
COMPONENTS = tuple(itertools.product(DRIFTS, JUMPS))
"""[H] the mixture."""
MAX_JUMP_FRAC = 0.6
"""Probability of a jump at a step, at most: a short trace has few steps for its jumps."""

QUANTILES = (0.5, 0.75, 0.9)
"""A proposal's scores count by their rank in the trace: lower half, next quarter, ..., top tenth."""
STRENGTHS = {-2.0: 0.03, -1.0: 0.05, 0.0: 0.12, 1.0: 0.15, 2.0: 0.2, 3.0: 0.25, 4.0: 0.2}
"""[B] what a proposal may be worth: jumps are exp(b) times likelier at the top rank than at the lowest; and
how probable each is before anything is learned. Entropy knew on every model that was measured, so a proposal
is trusted at first; one that is wrong is found out within ten traces or so."""
_RAW = np.exp(np.outer([*STRENGTHS], np.linspace(0, 1, len(QUANTILES) + 1)))
LIFTS: Floats = _RAW / (_RAW @ np.diff((0.0, *QUANTILES, 1.0)))[:, None]
"""[B, R] how many times likelier than average a jump is at each rank, for each strength."""
ENDS = {1.0: 0.4, 2.0: 0.2, 4.0: 0.2, 8.0: 0.1, 16.0: 0.1}
"""[W] rollouts from before the last step that an outcome may be worth; and how probable each is."""
SAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""[V] rollouts at every boundary that predicted values may count for."""
DOUBT = 3.0
"""Nats by which the counts of finished traces must speak for predicted values before these count at all."""


@dataclass(frozen=True)
class PathPrior:
    """What earlier searches have taught; shared between searches.

    Whether the proposal knows where the jumps are, and whether values are decided before the last step.
    """

    proposal: tuple[float, ...] = (0.0,) * len(STRENGTHS)
    """[B] log-likelihood of the finished traces' counts for each strength of the proposal."""
    end: tuple[float, ...] = (0.0,) * len(ENDS)
    """[W] the same for each worth of the outcome."""
    says: tuple[float, ...] = (0.0,) * len(SAYS)
    """[V] the same for each say of predicted values, given the outcome."""

    @property
    def lifts(self) -> Floats:
        """How many times likelier than average a jump is at each rank, over what the strength may be."""
        return np.asarray(_weights(self.proposal, STRENGTHS) @ LIFTS)

    @property
    def outcome_trials(self) -> float:
        """How many rollouts from before the last step the outcome counts for.

        n that all end alike leave the value 1 / (n + 2) from them; the n of the mean such distance.
        """
        return float(1 / (_weights(self.end, ENDS) @ (1 / (np.array([*ENDS]) + 2))) - 2)

    @property
    def say(self) -> float:
        """How many rollouts at every boundary predicted values count for: none before anything is learned."""
        doubted = [found - DOUBT * (say > 0) for found, say in zip(self.says, SAYS, strict=True)]
        return SAYS[int(np.argmax(doubted))]

    def learn(self, path: PathPosterior) -> PathPrior:
        """The prior after one more finished trace."""
        if path.num_steps == 1:
            return self
        proposal, end, says = (np.array(known) for known in (self.proposal, self.end, self.says))
        if path.ranks is not None:
            proposal += [path.evidence(lifts=LIFTS[i]) for i in range(len(STRENGTHS))]
        if path.outcome is not None:
            end += [path.evidence(outcome_trials=num) for num in ENDS]
        if path.means is not None:
            says += [path.worth(say) for say in SAYS]
        return PathPrior(*(tuple((x - x.max()).tolist()) for x in (proposal, end, says)))

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[float]]) -> PathPrior:
        """The prior that `dataclasses.asdict` took apart; ValueError for anything else."""
        sizes = {key: len(values) for key, values in asdict(cls()).items()}
        content = {"says": cls().says, **content} if isinstance(content, Mapping) else content
        if not isinstance(content, Mapping) or {k: len(v) for k, v in content.items()} != sizes:
            raise ValueError(f"a prior has the lists {sizes}; learn it again")
        return cls(**{key: tuple(map(float, values)) for key, values in content.items()})


class PathPosterior:
    """The posterior of a trace's path given counts at its boundaries; `fit` before anything is read."""

    def __init__(
        self,
        num_steps: int,
        outcome: float | None,
        prior: PathPrior | None = None,
        proposal: Sequence[float] | None = None,
        means: Sequence[float] | None = None,
        say: float | None = None,
    ) -> None:
        """`outcome` 0 or 1, None if not known; `proposal` [S] scores steps, higher is likelier critical.

        `means` [S] are predicted values, which count as `say` rollouts each, by default as the prior has it.
        """
        self.num_steps, self.outcome, self.prior = num_steps, outcome, prior or PathPrior()
        self.means = None if means is None else np.asarray(means, float)
        self.say = 0.0 if means is None else self.prior.say if say is None else say
        self.ranks = None if proposal is None else _ranks(proposal)
        scale = math.sqrt(30 / num_steps)
        self._diffusions_HKK = np.stack([diffusion(drift * scale) for drift, _ in COMPONENTS])
        self.jump_fracs_HS = self._jump_fracs(self.prior.lifts)
        self.fit(np.zeros(num_steps), np.zeros(num_steps))

    def _jump_fracs(self, lifts: Floats) -> Floats:
        """[H, S-1] probabilities of a jump at each step but the last."""
        rates_H = np.array([jumps / self.num_steps for _, jumps in COMPONENTS])
        lifts_S = np.ones(self.num_steps)
        if self.ranks is not None:
            lifts_S = lifts[self.ranks]
            lifts_S = lifts_S / lifts_S.mean()
        return np.minimum(MAX_JUMP_FRAC, rates_H[:, None] * lifts_S[None, :-1])

    def fit(self, successes: npt.ArrayLike, trials: npt.ArrayLike) -> None:
        """Forward-backward for counts [S] at the boundaries 0 .. S-1."""
        self._wins, self._losses = np.array(successes, float), np.array(trials, float)
        self._losses -= self._wins
        self._lik_SK, _ = self._likelihood(self.prior.outcome_trials)
        self._alpha_SHK, logz_H = self._forward(self._lik_SK, self.jump_fracs_HS)
        weights_H = np.exp(logz_H - logz_H.max())
        self.weights_H = weights_H / weights_H.sum()
        self._backward()

    def evidence(self, *, lifts: Floats | None = None, outcome_trials: float | None = None) -> float:
        """Log-likelihood of the counts, had the prior these `lifts` or this worth of the outcome."""
        fracs_HS = self.jump_fracs_HS if lifts is None else self._jump_fracs(lifts)
        num = self.prior.outcome_trials if outcome_trials is None else outcome_trials
        lik_SK, scale = self._likelihood(num)
        _, logz_H = self._forward(lik_SK, fracs_HS)
        return float(scale + math.log(num + 1) + np.logaddexp.reduce(logz_H))

    def worth(self, say: float) -> float:
        """Log-likelihood of the counts given the outcome, had the means such a `say`."""
        other = copy(self)
        other.say = say
        whole = other.evidence()
        other._wins, other._losses = np.zeros(self.num_steps), np.zeros(self.num_steps)
        return whole - other.evidence()

    def _likelihood(self, outcome_trials: float) -> tuple[Floats, float]:
        """[S, K] the counts' likelihood of each level, scaled to at most 1, and the log of what that took."""
        wins, losses = self._wins.copy(), self._losses.copy()
        if self.means is not None and self.say:
            wins += self.say * self.means
            losses += self.say * (1 - self.means)
        if self.outcome is not None:
            wins[-1] += outcome_trials * self.outcome
            losses[-1] += outcome_trials * (1 - self.outcome)
        loglik_SK = wins[:, None] * LOG_LEVELS + losses[:, None] * LOG_MISSES
        most_S1 = loglik_SK.max(1, keepdims=True)
        return np.exp(loglik_SK - most_S1), float(most_S1.sum())

    def _forward(self, lik_SK: Floats, jump_fracs_HS: Floats) -> tuple[Floats, Floats]:
        """[S, H, K] level given the counts so far, and the log-likelihood [H] of all of them."""
        num_components = len(COMPONENTS)
        stay_SH1 = 1 - jump_fracs_HS.T[:, :, None]
        leap_SH1 = jump_fracs_HS.T[:, :, None] / NUM_LEVELS
        alpha_SHK = np.empty((self.num_steps, num_components, NUM_LEVELS))
        logz_H = np.zeros(num_components)
        state_HK = np.full((num_components, NUM_LEVELS), 1 / NUM_LEVELS)
        for i in range(self.num_steps):
            if i:
                moved_HK = (state_HK[:, None] @ self._diffusions_HKK)[:, 0]
                state_HK = stay_SH1[i - 1] * moved_HK + leap_SH1[i - 1]
            state_HK = state_HK * lik_SK[i]
            total_H1 = state_HK.sum(1, keepdims=True)
            logz_H = logz_H + np.log(total_H1[:, 0])
            state_HK = state_HK / total_H1
            alpha_SHK[i] = state_HK
        return alpha_SHK, logz_H

    def _backward(self) -> None:
        """`_ahead_SHK`[i]: likelihood of everything from boundary i on, given the level there."""
        stay_SH1 = 1 - self.jump_fracs_HS.T[:, :, None]
        leap_SH1 = self.jump_fracs_HS.T[:, :, None] / NUM_LEVELS
        self._ahead_SHK = np.empty_like(self._alpha_SHK)
        self._ahead_SHK[-1] = self._lik_SK[-1]
        for i in range(self.num_steps - 2, -1, -1):
            ahead_HK = self._ahead_SHK[i + 1]
            came_HK = (self._diffusions_HKK @ ahead_HK[:, :, None])[:, :, 0]
            beta_HK = stay_SH1[i] * came_HK + leap_SH1[i] * ahead_HK.sum(1, keepdims=True)
            ahead_HK = beta_HK * self._lik_SK[i]
            self._ahead_SHK[i] = ahead_HK / ahead_HK.sum(1, keepdims=True)

    def _pairs(self, function_KK: Floats) -> Floats:
        """[H, S-1] sums over neighbouring levels of `function` times their unnormalised joint posterior."""
        alpha_HSK = self._alpha_SHK[:-1].transpose(1, 0, 2)
        ahead_HSK = self._ahead_SHK[1:].transpose(1, 0, 2)
        stayed = ((alpha_HSK @ (self._diffusions_HKK * function_KK)) * ahead_HSK).sum(2)
        leapt = ((alpha_HSK @ function_KK) * ahead_HSK).sum(2) / NUM_LEVELS
        return np.asarray((1 - self.jump_fracs_HS) * stayed + self.jump_fracs_HS * leapt)

    def expect(self, function_KK: Floats, at_end_K: Floats | None = None) -> Floats:
        """[S] posterior mean of a function of each step's two levels; the last step's is `at_end_K`."""
        inner = self.weights_H @ (self._pairs(function_KK) / self._pairs(np.ones_like(function_KK)))
        if at_end_K is None:
            return np.append(inner, np.nan)
        return np.append(inner, self.marginals[-1] @ at_end_K)

    @property
    def marginals(self) -> Floats:
        """[S, K] posterior of each boundary's level."""
        raw_SHK = self._alpha_SHK * self._ahead_SHK / np.maximum(self._lik_SK[:, None], 1e-300)
        return np.asarray(np.einsum("shk,h->sk", raw_SHK / raw_SHK.sum(2, keepdims=True), self.weights_H))

    def effect(self, index: int) -> tuple[Floats, Floats]:
        """The possible effects of one step and their posterior weights, which sum to 1."""
        if index == self.num_steps - 1:
            if self.outcome is None:
                raise ValueError("the last step's effect is not known without the outcome")
            return self.outcome - LEVELS, self.marginals[-1]
        jump_H11 = self.jump_fracs_HS[:, index, None, None]
        moves_HKK = (1 - jump_H11) * self._diffusions_HKK + jump_H11 / NUM_LEVELS
        joint_HKK = self._alpha_SHK[index][:, :, None] * moves_HKK * self._ahead_SHK[index + 1][:, None]
        joint_HKK /= joint_HKK.sum((1, 2), keepdims=True)
        joint_KK = np.einsum("hab,h->ab", joint_HKK, self.weights_H)
        return CHANGES.ravel(), joint_KK.ravel()

    def interval(self, index: int) -> tuple[float, float]:
        """2.5 and 97.5 % quantiles of one step's effect, each moved outwards by half a cell.

        Without that, a path that is known to stay on its level would have an interval without width.
        """
        effects, weights = self.effect(index)
        is_last = index == self.num_steps - 1
        cells = CELLS if is_last else np.hypot(CELLS[:, None], CELLS[None, :]).ravel()
        order = np.argsort(effects)
        places = np.searchsorted(np.cumsum(weights[order]), (0.025, 0.975))
        low, high = order[np.minimum(places, len(order) - 1)]
        return (
            max(-1.0, float(effects[low] - cells[low] / 2)),
            min(1.0, float(effects[high] + cells[high] / 2)),
        )

    def value_intervals(self) -> list[tuple[float, float]]:
        """[S] 2.5 and 97.5 % quantiles of each boundary's level, moved outwards by half a cell."""
        below_SK = np.cumsum(self.marginals, axis=1)
        low_S, high_S = ((below_SK < share).sum(1).clip(max=NUM_LEVELS - 1) for share in (0.025, 0.975))
        lows = (LEVELS[low_S] - CELLS[low_S] / 2).clip(min=0).tolist()
        highs = (LEVELS[high_S] + CELLS[high_S] / 2).clip(max=1).tolist()
        return list(zip(lows, highs, strict=True))

    def draw(self, num: int, rng: np.random.Generator) -> Floats:
        """[S, num] paths drawn from the posterior (forward filtering, backward sampling)."""
        components = np.searchsorted(np.cumsum(self.weights_H)[:-1], rng.random(num))
        uniform = rng.random((self.num_steps, num))
        paths = np.empty((self.num_steps, num), int)
        paths[-1] = inverted(self._alpha_SHK[-1][components], uniform[-1])
        for i in range(self.num_steps - 2, -1, -1):
            jump_M = self.jump_fracs_HS[components, i][:, None]
            into_MK = self._diffusions_HKK[components, :, paths[i + 1]]
            weights_MK = self._alpha_SHK[i][components] * ((1 - jump_M) * into_MK + jump_M / NUM_LEVELS)
            paths[i] = inverted(weights_MK, uniform[i])
        return LEVELS[paths]


def _weights(logs: Sequence[float], before: Mapping[float, float]) -> Floats:
    """Posterior weights given log-likelihoods and what was believed before."""
    likely = np.exp(np.array(logs) - max(logs)) * np.array([*before.values()])
    return np.asarray(likely / likely.sum())


def _ranks(proposal: Sequence[float]) -> npt.NDArray[np.int64]:
    """[S] the quantile bin of each score among the trace's own; ties share the middle rank."""
    scores = np.asarray(proposal, float)
    below = ((scores < scores[:, None]).sum(1) + 0.5 * (scores == scores[:, None]).sum(1)) / len(scores)
    return np.asarray(np.searchsorted(np.array(QUANTILES), below, side="right"), np.int64)
