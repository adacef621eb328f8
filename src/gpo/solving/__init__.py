"""Tokens spent on problems: whole answers, pruned partial ones, ways back to before a weak step.

A strategy is a generator (`strategies`), as a search is: it asks for rollouts and looks, and depends on
nothing but what it is given. `workings` holds what it knows of a problem and its budget, `answers` what
attempts come to together, and `solver` drives many problems at once on the scheduler that searches use.
"""

from gpo.solving.answers import Attempt, Solution, solution
from gpo.solving.settings import Solving
from gpo.solving.solver import Solved, Solver

__all__ = ["Attempt", "Solution", "Solved", "Solver", "Solving", "solution"]
