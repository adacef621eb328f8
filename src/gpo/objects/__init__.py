"""What Python users hold: a run's folder read as objects and data frames, and one trajectory located.

`gpo.read_run`, `gpo.locate` and `gpo.push` come from here.
"""

from gpo.objects.frames import Table
from gpo.objects.locating import Progress, locate
from gpo.objects.runs import Run, read_run
from gpo.objects.trajectory import Trajectory

__all__ = ["Progress", "Run", "Table", "Trajectory", "locate", "read_run"]
