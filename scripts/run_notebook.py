"""Runs docs/tutorial.ipynb top to bottom and keeps what it prints: `run_notebook.py [NOTEBOOK]`.

A cell's output is what it prints and, as in Jupyter, the value of its last line. The project needs no
Jupyter for this; the file is an ordinary notebook that opens in one.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def run(path: Path) -> dict[str, Any]:
    """The notebook with fresh outputs; what a cell raises passes through."""
    notebook: dict[str, Any] = json.loads(path.read_text())
    names: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            printed = run_cell("".join(cell["source"]), names, number)
            cell["execution_count"] = number
            lines = printed.splitlines(keepends=True)
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    return notebook


def run_cell(source: str, names: dict[str, Any], number: int) -> str:
    """What one cell prints, with the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, f"cell {number}", "exec"), names)  # noqa: S102 - our own notebook
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307
            if value is not None:
                print(repr(value))
    return printed.getvalue()


if __name__ == "__main__":
    place = Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK
    place.write_text(json.dumps(run(place), indent=1, ensure_ascii=False) + "\n")
