"""Decontamination: which training questions are in an evaluation set, word for word or nearly so.

Two questions overlap if they share at least half of the runs of ten words of the shorter one; a question
of fewer words is one run. Sharing a single run, as some reports count it, would strike out questions for
phrases such as "express your answer as a common fraction" (see docs/benchmarks.md for both counts).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

NUM_WORDS = 10
LEAST_FRAC = 0.5

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Overlap:
    """A training question that is in an evaluation set."""

    train: str
    """Its id."""
    test: str
    """The id of the question that it resembles most."""
    among: str
    """The name of that question's set."""
    frac: float
    """The share of the shorter question's runs that both hold, at least `least_frac`."""


def overlaps(
    train: Mapping[str, str],
    tests: Mapping[str, Mapping[str, str]],
    *,
    num_words: int = NUM_WORDS,
    least_frac: float = LEAST_FRAC,
) -> list[Overlap]:
    """One overlap for every training question ({id: text}) that resembles one of a set ({name: {id: text}}).

    Case, punctuation and LaTeX's braces do not count. In order of the training questions.
    """
    # The training side is indexed: it is the one set that all the others are held against.
    index: dict[int, list[str]] = defaultdict(list)
    sizes = {}
    for name, text in train.items():
        runs = set(_runs(text, num_words))
        sizes[name] = len(runs)
        for run in runs:
            index[run].append(name)
    nearest: dict[str, Overlap] = {}
    for among, questions in tests.items():
        for test, text in questions.items():
            runs = set(_runs(text, num_words))
            shared = Counter(name for run in runs for name in index.get(run, ()))
            for name, num in shared.items():
                frac = num / min(sizes[name], len(runs))
                if frac >= least_frac and (name not in nearest or frac > nearest[name].frac):
                    nearest[name] = Overlap(name, test, among, frac)
    return [nearest[name] for name in train if name in nearest]


def summary(found: Sequence[Overlap]) -> str:
    """How many training questions are in which set, and the first few by name."""
    counts = Counter(one.among for one in found)
    sets = ", ".join(f"{num} in {among}" for among, num in counts.most_common())
    first = ", ".join(f"{one.train} ({one.test})" for one in found[:3])
    return f"{sets}: {first}" + (", ..." if len(found) > 3 else "")


def _runs(text: str, num_words: int) -> Iterator[int]:
    """A hash of every run of `num_words` words; of all words together if there are fewer."""
    words = _WORD.findall(text.casefold())
    for start in range(max(1, len(words) - num_words + 1)):
        yield hash(tuple(words[start : start + num_words]))
