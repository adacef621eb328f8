"""What is asked: benchmarks, the user's own rows, generators and tasks with a planted critical step."""

from gpo.tasks import prompts
from gpo.tasks.benchmarks import BENCHMARKS
from gpo.tasks.catalogue import load, verifier
from gpo.tasks.generated import demonstration, names
from gpo.tasks.planted import planted_step
from gpo.tasks.prompts import prompt
from gpo.tasks.row import Row
from gpo.tasks.rows import problems, read_rows

__all__ = [
    "BENCHMARKS",
    "Row",
    "demonstration",
    "load",
    "names",
    "planted_step",
    "problems",
    "prompt",
    "prompts",
    "read_rows",
    "verifier",
]
