"""One HTML file that needs nothing else: the bundles, our scripts and styles, and the data, in a template.

What may run is named by hash in a content security policy, and nothing may be fetched. Text of models and
files is only in the JSON block and in the escaped title; the scripts put it on the page as text nodes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from gpo.report.text import csp_hash, encoded

SCRIPTS = (
    "vendor/d3.min.js",
    "vendor/plot.min.js",
    "vendor/katex.min.js",
    "dom.js",
    "math.js",
    "charts.js",
    "overview.js",
    "steps.js",
    "rollouts.js",
    "table.js",
    "listing.js",
    "trajectories.js",
    "compare.js",
    "runs.js",
    "answers.js",
    "main.js",
    "live.js",
)
STYLES = ("vendor/katex.min.css", "page.css")

MAX_BYTES = 10_000_000
"""Largest file."""


@cache
def asset(name: str) -> str:
    """A file of the assets folder."""
    return files("gpo.report").joinpath("assets", name).read_text(encoding="utf-8")


def room() -> int:
    """Bytes that are left for the data."""
    return MAX_BYTES - sum(len(asset(name).encode()) for name in (*SCRIPTS, *STYLES, "page.html")) - 20_000


def render(title: str, data: dict[str, Any], *, is_live: bool = False) -> str:
    """The page; a live one may ask where it came from for new data, and for nothing else."""
    scripts, styles = [asset(name) for name in SCRIPTS], [asset(name) for name in STYLES]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(csp_hash, scripts))}; "
        f"style-src {' '.join(map(csp_hash, styles))}; font-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ) + ("; connect-src 'self'" if is_live else "")
    # Autoescape is on: only the package's own files are taken as they are.
    template = Environment(autoescape=True).from_string(asset("page.html"))
    return template.render(
        title=title,
        policy=policy,
        scripts=map(Markup, scripts),
        styles=map(Markup, styles),
        data=Markup(encoded(data)),  # noqa: S704 - holds no character that HTML knows
    )
