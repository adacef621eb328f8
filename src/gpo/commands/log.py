"""What a run says of itself while it trains: a line a round, warnings, trackers; and when it should stop."""

from __future__ import annotations

from gpo.commands import learning
from gpo.commands.trackers import Trackers
from gpo.config import TrainSettings
from gpo.console import Ui
from gpo.learn.watchdog import warnings
from gpo.record import Json, RunFolder
from gpo.report import terminal


class Log:
    """Writes rounds to the terminal and to trackers; a warning is given once, until it was gone."""

    def __init__(self, folder: RunFolder, settings: TrainSettings, ui: Ui) -> None:
        self.settings, self.ui = settings, ui
        self.trackers = Trackers(
            settings.track, folder.path, settings.model_dump(), is_cpu=learning.is_cpu(settings)
        )
        self.seconds: list[float] = []
        self.known: set[str] = set()

    def round(self, lines: list[Json]) -> str:
        """The line for the bar about the last of these rounds; printed instead where no bar is shown."""
        last = lines[-1]
        self.seconds.append(last["metrics"]["time/round_s"])
        left = (self.settings.rounds - last["round"]) * sum(self.seconds) / len(self.seconds)
        text = terminal.progress(last, self.settings.rounds, left)
        is_shown = self.ui.progress_console.is_terminal
        if not is_shown:
            self.ui.log(text)
        found = warnings([line["metrics"] for line in lines if "train/updates" in line["metrics"]])
        for name in found.keys() - self.known:
            self.ui.log(f"warning: round {last['round']}: {found[name]}")
        self.known = set(found)
        self.trackers.log(last)
        return text if is_shown else ""

    def close(self) -> None:
        self.trackers.close()


def accuracies(lines: list[Json]) -> list[float]:
    """Of every evaluation so far."""
    return [line["evaluation"]["accuracy"] for line in lines if "evaluation" in line]


def is_stale(lines: list[Json], patience: int | None) -> bool:
    """Whether the last `patience` evaluations were all no better than the best before them."""
    found = accuracies(lines)
    return patience is not None and len(found) > patience and max(found[-patience:]) <= max(found[:-patience])


def diverged(index: int, reason: str, folder: RunFolder) -> str:
    """What to tell about a round whose numbers were not finite; the round before is on disk."""
    good = folder.last_checkpoint()
    kept = f"the last good checkpoint is {good}" if good else "there is no checkpoint before it"
    return (
        f"training diverged in round {index}: {reason}; {kept}; start again from its model with a lower "
        "learning_rate, a smaller clip or more warmup_updates"
    )
