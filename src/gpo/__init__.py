"""Guided Pivotal Optimization: find the critical step, reset before it, learn from what follows."""

__version__ = "0.1.0"
