"""A value model's head, and if asked for an adapter of its backbone, fitted to counts by their likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpo.paths import PathPosterior, PathPrior
from gpo.seeds import derive_seed
from gpo.types import InputError
from gpo.values.backbone import EXTRA, Asked, Backbone
from gpo.values.head import Head
from gpo.values.rows import Counted
from gpo.values.settings import ValueOptimisation

MIN_PROBLEMS = 4
"""Fewer leave nothing to hold out, by which to stop."""
PATIENCE = 3
"""Epochs without a lower held-out loss, after which it ends."""

Watch = Callable[[str, int, int], None]
"""Called with (what is done, how much of it, of how much; 0 where that is not known)."""


@dataclass(frozen=True)
class Fitted:
    """What a fit came to; losses are nats a trial on the held-out problems, by which it stopped."""

    completions: int
    problems: int
    held_out: int
    """Of the problems."""
    trials: float
    epochs: int
    """After which the held-out loss was lowest; 0 if it never fell below that of one rate for all."""
    base_loss: float
    """Of the training problems' rate as every value."""
    loss: float
    scale: float
    shift: float
    """What the logits were multiplied by and raised by, so that they are calibrated."""
    say: float = 0.0
    """Rollouts at every boundary that its values are worth, by the held-out curves; one of gpo.paths.SAYS."""


def fit(
    backbone: Backbone,
    head: Head,
    counted: Sequence[Counted],
    settings: ValueOptimisation,
    *,
    tuned: Sequence[nn.Parameter] = (),
    seed: int = 0,
    watch: Watch = lambda *_: None,
) -> Fitted:
    """Fits the head, and the `tuned` parameters of its backbone, in place.

    Problems are held out whole. The epoch with the lowest loss on them is kept, and their counts calibrate
    the logits by a scale and a shift (Platt): it has no ties, so the order of steps stays; two numbers suit
    few problems; and a linear head takes them up. InputError for fewer than MIN_PROBLEMS problems.
    """
    held = held_out(counted, settings.value_hold_out, seed)
    kept = [one for one in counted if one.problem.question not in held]
    out = [one for one in counted if one.problem.question in held]
    run = Run(backbone, head, settings, tuned, watch)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "values") % 2**63)
        train, test = run.examples(kept), run.examples(out)
        rate = sum(sum(one.wins) for one in kept) / sum(sum(one.trials) for one in kept)
        head.begin()
        head.standardise(torch.cat([run.seen(one)[0] for one in batched(train[:256], 1)]), rate)
        base = run.loss(test)
        epochs, _ = run.train(train, test, np.random.default_rng(derive_seed(seed, "order")))
    head.calibrate(*(found := calibration(*run.judged(test))))
    return Fitted(
        len(counted),
        len({one.problem.question for one in counted}),
        len(held),
        sum(sum(one.trials) for one in counted),
        epochs,
        base,
        run.loss(test),
        *found,
        worth(run, test, out),
    )


def worth(run: Run, test: Sequence[Example], counted: Sequence[Counted]) -> float:
    """What a search that learned from the held-out curves would let the model's values count for."""
    prior = PathPrior()
    for example, one in zip(test, counted, strict=True):
        if one.is_curve and one.offsets[-1] == len(one.ids) and len(one.ids) > 0 and len(one.offsets) > 2:
            means = torch.sigmoid(run.judged([example])[0])[:-1].tolist()
            path = PathPosterior(len(means), one.wins[-1], prior, [0.0] * len(means), means, 0.0)
            path.fit(one.wins[:-1], one.trials[:-1])
            prior = prior.learn(path)
    return prior.say


def held_out(counted: Sequence[Counted], share: float, seed: int) -> set[str]:
    """The questions that are held out, at least one: all that is counted of one goes there."""
    questions = sorted({one.problem.question for one in counted})
    if len(questions) < MIN_PROBLEMS:
        raise InputError(
            f"--run: counts values of {len(questions)} problems; a value model needs at least "
            f"{MIN_PROBLEMS}, as some are held out; locate more"
        )
    order = np.random.default_rng(derive_seed(seed, "hold out")).permutation(len(questions))
    num = min(len(questions) - 1, max(1, round(share * len(questions))))
    return {questions[i] for i in order[:num]}


@dataclass(frozen=True)
class Example:
    """A completion to fit, its features if they are kept, and its counts [K]."""

    given: Asked
    seen_TF: Tensor | None
    offsets_K: Tensor
    wins_K: Tensor
    trials_K: Tensor


class Run:
    """One fit: the head, its optimizer, and the features of what it is fitted to."""

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        settings: ValueOptimisation,
        tuned: Sequence[nn.Parameter],
        watch: Watch,
    ) -> None:
        self.backbone, self.head, self.settings, self.watch = backbone, head, settings, watch
        self.tuned, self.num_read = list(tuned), 0
        groups: list[dict[str, Any]] = [
            {"params": list(head.parameters()), "lr": settings.head_learning_rate}
        ]
        if self.tuned:
            groups.append({"params": self.tuned, "lr": settings.adapter_learning_rate})
        self.optimizer = torch.optim.AdamW(groups, weight_decay=settings.head_weight_decay)

    def examples(self, counted: Sequence[Counted]) -> list[Example]:
        """The completions with their counts; what a frozen backbone shows of them is read once and kept."""
        found = []
        for first in range(0, len(counted), 256):
            some = counted[first : first + 256]
            given = [(one.start, one.ids) for one in some]
            seen = [None] * len(some) if self.tuned else [one.half() for one in self.backbone.read(given)]
            found += [
                Example(
                    asked,
                    seen_TF,
                    torch.tensor(one.offsets),
                    torch.tensor(one.wins, dtype=torch.float32),
                    torch.tensor(one.trials, dtype=torch.float32),
                )
                for asked, seen_TF, one in zip(given, seen, some, strict=True)
            ]
            self.num_read += len(some)
            self.watch("reading", self.num_read, 0)
        return found

    def seen(self, examples: Sequence[Example]) -> list[Tensor]:
        """[T+1, H+EXTRA] of each example; a backbone that is tuned is read again."""
        kept = [one.seen_TF.float() for one in examples if one.seen_TF is not None]
        if kept:
            return kept
        hidden = self.backbone.hidden([one.given for one in examples])
        return [torch.cat([one, one.new_zeros(len(one), EXTRA)], dim=1).cpu() for one in hidden]

    def logits(self, examples: Sequence[Example]) -> Tensor:
        """[N] logits of the counted states, example after example."""
        seen_BTF = nn.utils.rnn.pad_sequence(self.seen(examples), batch_first=True)
        logits_BT = self.head(seen_BTF)
        pairs = zip(logits_BT, examples, strict=True)
        return torch.cat([logits_T[one.offsets_K] for logits_T, one in pairs])

    def train(
        self, train: Sequence[Example], test: Sequence[Example], rng: np.random.Generator
    ) -> tuple[int, float]:
        """Epochs until the held-out loss has not fallen PATIENCE times; then back to the best, returned."""
        best, at, kept = self.loss(test), 0, self.state()
        for epoch in range(1, self.settings.max_epochs + 1):
            self.head.train()
            order = [train[i] for i in rng.permutation(len(train))]
            for batch in batched(order, self.settings.completions_per_update):
                self.update(batch)
            loss = self.loss(test)
            self.watch(f"epoch {epoch}: held-out log loss {loss:.4f}", epoch, self.settings.max_epochs)
            if loss < best:
                best, at, kept = loss, epoch, self.state()
            elif epoch - at >= PATIENCE:
                break
        self.restore(kept)
        return at, best

    def update(self, batch: Sequence[Example]) -> None:
        """One step down the mean negative log-likelihood of a trial."""
        loss = negative_log_likelihood(self.logits(batch), *counts(batch))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def judged(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
        """[N] logits, wins and trials of all counted states."""
        self.head.eval()
        parts = [self.logits(batch) for batch in batched(examples, self.settings.completions_per_update)]
        return torch.cat(parts), *counts(examples)

    def loss(self, examples: Sequence[Example]) -> float:
        return float(negative_log_likelihood(*self.judged(examples)))

    def state(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        return deepcopy(self.head.state_dict()), [one.detach().clone() for one in self.tuned]

    @torch.no_grad()
    def restore(self, state: tuple[dict[str, Tensor], list[Tensor]]) -> None:
        self.head.load_state_dict(state[0])
        for parameter, kept in zip(self.tuned, state[1], strict=True):
            parameter.copy_(kept)


def batched(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for first in range(0, len(examples), size):
        yield examples[first : first + size]


def counts(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """[N] wins and trials of all counted states."""
    return torch.cat([one.wins_K for one in examples]), torch.cat([one.trials_K for one in examples])


def negative_log_likelihood(logits_N: Tensor, wins_N: Tensor, trials_N: Tensor) -> Tensor:
    """Mean over trials of -log p(its outcome), in nats: the binomial likelihood without its constant."""
    losses_N = trials_N * nn.functional.softplus(logits_N) - wins_N * logits_N
    return losses_N.sum() / trials_N.sum()


def calibration(logits_N: Tensor, wins_N: Tensor, trials_N: Tensor) -> tuple[float, float]:
    """The scale, above 0, and the shift of the logits under which the counts are likeliest (Platt 1999).

    One success and one failure are added at either end of the logits, so that few counts move it little.
    """
    ends = torch.stack([logits_N.min(), logits_N.max()]).repeat(2)
    logits_N = torch.cat([logits_N, ends])
    wins_N = torch.cat([wins_N, torch.tensor([0.0, 1.0, 0.0, 1.0]) * 0.5])
    trials_N = torch.cat([trials_N, torch.full((4,), 0.5)])
    weights = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = negative_log_likelihood(weights[0].exp() * logits_N + weights[1], wins_N, trials_N)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    log_scale, shift = weights.tolist()
    return math.exp(log_scale), float(shift)
