"""A run's folder: one JSON line per rollout, curve and round, written as they come; resume.

    run.json             settings, seed and versions
    rows.jsonl           the rows that it is made of, as digests: a resume with others is refused
    rollouts.jsonl       every rollout that was sampled, with the round and purpose it was sampled for
    curves.jsonl         every located trajectory: its steps, counts and critical step
    rounds.jsonl         one line per complete round: metrics, token ledger, where the others stood
    problems.jsonl       without rounds (`gpo sample`, `locate` and `eval`): one line per finished problem
    samples.jsonl        of `gpo pairs`: what was sampled to fill a side
    checkpoints/NNNN/    the model after NNNN rounds, and the optimizer's state
    discarded/N/         lines of a round that was torn when the run was killed, moved here on resuming

A line of rounds.jsonl commits its round: it is written last, after the checkpoint, and holds the
sizes of the other files. What lies beyond those sizes is of a round that was torn; resuming counts
and discards it, and samples the round again from the same seed. Nothing else is ever moved or removed, and
nothing at all unless a committed round shows that it is newer. Where there are no rounds every line
stands for itself: only a torn last line is cut, and a rollout that is there is not sampled again.
"""

from gpo.record.base import Json, finite
from gpo.record.files import read_as, read_json, read_lines, read_records, write_as, write_json, write_lines
from gpo.record.folder import RunFolder
from gpo.record.new import is_running
from gpo.record.rows import check_begun_rows, check_rows, row_lines, trained_lines
from gpo.record.run_json import stored_run, stored_settings
from gpo.record.silent import SilentFolder

__all__ = [
    "Json",
    "RunFolder",
    "SilentFolder",
    "check_begun_rows",
    "check_rows",
    "finite",
    "is_running",
    "read_as",
    "read_json",
    "read_lines",
    "read_records",
    "row_lines",
    "stored_run",
    "stored_settings",
    "trained_lines",
    "write_as",
    "write_json",
    "write_lines",
]
