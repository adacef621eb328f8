"""A run whose every text tries to get out of its place, and one with LaTeX, good and bad."""

from __future__ import annotations

from pathlib import Path

from reported import curve, rollout, write_run

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
    "\u2028window.pwned = 13\u2029 \u202edlrow olleh\u202c \u0000\u0007 \x1b[31m",
    "\x1b]0;pwned\x07\x1b[2J\x1b[1;31m" + "no space in it" * 2000 + "W" * 20_000,
    "__proto__",
    "constructor",
)


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
