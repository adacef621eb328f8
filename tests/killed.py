"""What tests/test_explore.py kills: locates on a table into a run folder, as `gpo locate` does, slowly."""

import sys
import time
from pathlib import Path

from toy import AllRight, TablePolicy, problems

from gpo import steps
from gpo.explore import Explorer, Task
from gpo.recipe import Recipe
from gpo.record import RunFolder
from gpo.record.progress import Recorded, Writer

RECIPE = Recipe(group_size=4, explored="failed", splitter=steps.newline(min_tokens=1), search_traces=6.0)


class Slow(TablePolicy):
    def sample(self, requests):
        time.sleep(self.wave_s)
        return super().sample(requests)


def locate(path: Path, num: int, wave_s: float, policy: Slow | None = None) -> Slow:
    policy, verifier = policy or Slow([0.9, 0.5, 0.9, 0.8]), AllRight()
    policy.wave_s = wave_s
    tasks = [Task(place, problem) for place, problem in enumerate(problems(num))]
    with RunFolder.resume(path) if path.exists() else RunFolder.create(path, "locate", {}) as folder:
        folder.repair()
        recorded = Recorded.read(path, "locate")
        explorer = Explorer(
            policy, verifier, RECIPE, seed=7, slots=12,
            recorded=lambda task: recorded.of(task, 7), lessons=recorded.lessons(),
        )  # fmt: skip
        writer = Writer(folder, policy, verifier, recorded, success_at=1.0)
        for event in explorer.run(task for task in tasks if task.problem.id not in recorded.done):
            writer.write(event)
    return policy


if __name__ == "__main__":
    locate(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
