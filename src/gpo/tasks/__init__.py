"""What is asked: the user's own rows, reasoning-gym's generators and tasks with a planted critical step."""

from gpo.tasks.embedded import demonstration, load, names, verifier
from gpo.tasks.planted import planted_step
from gpo.tasks.row import Row
from gpo.tasks.rows import problems, read_rows

__all__ = ["Row", "demonstration", "load", "names", "planted_step", "problems", "read_rows", "verifier"]
