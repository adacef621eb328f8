"""Searches answered: many at once on one engine that is never idle, or in waves on a round's pool.

    tasks = [Task(i, problem) for i, problem in enumerate(problems)]
    for event in Explorer(policy, verifier, Recipe(explored="failed"), seed=0).run(tasks):
        ...                                  # Drawn, Found, Finished

A trajectory's search is a generator (`work`) that depends on nothing but what it is given. A round drives
many in waves on its pool (`waves`). For a whole set of problems a `scheduler`, of which `stream` is the one
that searches, merges what all of them need, on an `engine` that takes requests singly or in waves. What
finished searches teach the later ones is fixed by their places in the queue (`lessons`).
"""

from gpo.explore.engine import Engine, engine_of
from gpo.explore.events import Drawn, Event, Finished, Found, Task
from gpo.explore.lessons import Lessons
from gpo.explore.scheduler import Active, Scheduler
from gpo.explore.stream import Explorer

__all__ = [
    "Active",
    "Drawn",
    "Engine",
    "Event",
    "Explorer",
    "Finished",
    "Found",
    "Lessons",
    "Scheduler",
    "Task",
    "engine_of",
]
