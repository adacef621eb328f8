"""Many problems at once on one engine: explored and searched in lock-step, so that it is never idle.

    tasks = [Task(i, problem) for i, problem in enumerate(problems)]
    for event in Lockstep(policy, verifier, Recipe(explored="failed"), seed=0).run(tasks):
        ...                                  # Drawn, Found, Finished

A problem's work is a generator (`work`) that depends on nothing but what it is given; the scheduler
(`schedule`) merges what all of them need, on an engine (`engine`) that takes requests one at a time or in
waves; what finished searches teach the later ones is fixed by their places in the queue (`lessons`).
"""

from gpo.lockstep.engine import Engine, engine_of
from gpo.lockstep.lessons import Lessons
from gpo.lockstep.schedule import Drawn, Event, Finished, Found, Lockstep, Task

__all__ = ["Drawn", "Engine", "Event", "Finished", "Found", "Lessons", "Lockstep", "Task", "engine_of"]
