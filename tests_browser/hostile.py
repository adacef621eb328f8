"""A run whose every text tries to get out of its place, and one with LaTeX, good and bad."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

ATTACKS = (
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "<!--<script>window.pwned = 3",
    "</style><img src=x onerror='window.pwned = 4'>",
    '" onmouseover="window.pwned = 5" x="',
    "' autofocus onfocus='window.pwned = 6' tabindex=1 '",
    "<svg onload=window.pwned=7><iframe srcdoc='<script>parent.pwned=7</script>'>",
    "</textarea></title></noscript><img src=https://example.com/x.png onerror=window.pwned=8>",
    "{{ 7 * 7 }} {% raw %} ${window.pwned = 9} `${window.pwned = 9}`",
    r"$\href{javascript:window.pwned=10}{x}$ \(\url{javascript:window.pwned=10}\)",
    r"$\htmlData{x=1}{y} \htmlStyle{background:url(https://example.com)}{z} \htmlClass{top}{w}$",
    r"$\includegraphics{https://example.com/x.png}$",
    r"$\def\x{\x\x}\x$ $\gdef\frac#1#2{<script>window.pwned=11</script>}$ $\frac12$",
    r"$\text{</span><script>window.pwned=12</script>}$ $\unicode{0}$ $\char`\<script>$",
    "\u2028window.pwned = 13\u2029 \u202edlrow olleh\u202c \u0000\u0007\ud800 \x1b[31m",
    "__proto__",
    "constructor",
)


def curve(number: int, question: str, answer: str, steps: list[str], **changes: Any) -> dict[str, Any]:
    """A line of curves.jsonl: two tokens a step, the middle step critical."""
    num = len(steps)
    bounds = [2 * i for i in range(num + 1)]
    middle = num // 2
    values = [0.9] * (middle + 1) + [0.05] * (num - middle - 1) + [0.0]
    advantages = [after - before for before, after in itertools.pairwise(values)]
    return {
        "round": 0,
        "problem": f"hostile/{number}",
        "question": question,
        "answer": answer,
        "prompt_ids": [1],
        "completion_ids": [number] * bounds[-1],
        "reward": 0.0,
        "finished": True,
        "steps": steps,
        "bounds": bounds,
        "successes": [3] * (middle + 1) + [0] * (num - middle),
        "trials": [4] * num + [1],
        "values": values,
        "advantages": advantages,
        "intervals": [[a - 0.1, a + 0.1] for a in advantages],
        "probabilities": [float(i == middle) for i in range(num)],
        "critical": {
            "index": middle,
            "advantage": advantages[middle],
            "interval": [-0.95, -0.7],
            "probability": 0.97,
            "credibility": 0.99,
            "rule": "drop",
        },
    } | changes


def rollout(line: dict[str, Any], boundary: int, text: str, reward: float) -> dict[str, Any]:
    """A rollout at one of its boundaries."""
    num = line["bounds"][boundary]
    return {
        "round": line["round"],
        "purpose": "values",
        "problem": line["problem"],
        "prefix_ids": line["completion_ids"][:num],
        "action_ids": [7, 8, 9],
        "text": "".join(line["steps"][:boundary]) + text,
        "finished": True,
        "reward": reward,
    }


def write_run(
    folder: Path, lines: list[dict[str, Any]], rollouts: list[dict[str, Any]], **settings: Any
) -> Path:
    folder.mkdir()
    run = {"command": "locate", "settings": {"task": "own", "rule": "drop", "search": "adaptive", **settings}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "rounds.jsonl").write_text(
        json.dumps({"round": 0, "tokens": {"explore": 10, "values": 20}, "rates": [0.5, 0.0], "sizes": {}})
        + "\n"
    )
    for name, records in (("curves", lines), ("rollouts", rollouts)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return folder


def hostile_run(folder: Path) -> Path:
    """Every attack as question, answer, problem, step, rule, setting and continuation."""
    lines = []
    for number, attack in enumerate(ATTACKS):
        line = curve(
            number, attack, attack, [f"{attack}\n", f"{attack} again\n", f"end {attack}\n"], given=attack
        )
        line["problem"] = attack
        line["critical"]["rule"] = attack
        lines.append(line)
    rollouts = [
        rollout(line, 1, f"{attack}\nother {attack}", reward)
        for line, attack in zip(lines, ATTACKS, strict=True)
        for reward in (0.0, 1.0)
    ]
    return write_run(folder, lines, rollouts, model=ATTACKS[1], splitter=ATTACKS[4])


LATEX = (
    "We have $x^2 + y^2 = \\frac{1}{2}$ and \\(\\sqrt{z}\\).\n",
    "\\[ \\sum_{i=1}^n i = \\frac{n(n+1)}{2} \\]\n",
    "It costs $5 and then $6, so $11 in all.\n",
    "Broken: $\\frac{1}{$ and $\\nosuchcommand{x}$ stay as written.\n",
    "$$\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix} \\cancel{x} \\pmb{y} \\fbox{z} \\color{red}{w}$$\n",
    "So the answer is \\boxed{\\frac{1}{2}}.\n",
)


def latex_run(folder: Path) -> Path:
    lines = [curve(0, "What is $\\frac{1}{4} + \\frac{1}{4}$?", "$\\frac{1}{2}$", list(LATEX))]
    return write_run(folder, lines, [rollout(lines[0], 3, "Then $x = \\frac12$.\nDone.", 1.0)])
