"""Many runs on one page: a row for each, and a report of each that has something to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpo.report.figures import Run
from gpo.report.views import Limits, Sources, page_data

Json = dict[str, Any]

LEAST_BYTES = 60_000
"""Of a report in an index."""


def index_data(rows: Sequence[tuple[Json, Run | None]], sources: Sources, limits: Limits) -> Json:
    """All that the page of an index draws: its reports share what a page may hold.

    A row is what the table shows of a run, with the run where it has a report.
    """
    num = max(1, sum(run is not None for _, run in rows))
    share = replace(
        limits,
        num_trajectories=max(1, limits.num_trajectories // num),
        num_bytes=max(LEAST_BYTES, limits.num_bytes // num),
    )
    data: Json = {"index": [], "reports": []}
    for row, run in rows:
        number = None
        if run:
            number = len(data["reports"])
            data["reports"].append({"data": (found := page_data([run], sources, share))})
            if run.curves:
                row = row | {"located": len(run.curves), "credible": found["runs"][0]["credible"]}
        data["index"].append(row | {"report": number})
    return data
