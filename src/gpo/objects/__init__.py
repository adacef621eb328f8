"""What Python users hold: a run's folder read as objects and data frames, one trajectory located, an answer.

`gpo.read_run`, `gpo.locate`, `gpo.solve` and `gpo.push` come from here.
"""

from gpo.objects.frames import Table
from gpo.objects.locating import Progress, locate
from gpo.objects.runs import Run, read_run
from gpo.objects.solving import Answer, solve
from gpo.objects.trajectory import Trajectory

__all__ = ["Answer", "Progress", "Run", "Table", "Trajectory", "locate", "read_run", "solve"]
