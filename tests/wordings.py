"""How models word an answer, for tests that build pairs of answers, and the seed of the day for them.

The seed is GPO_FUZZ_SEED, else the day's date: every day tries other pairs, and a failure names its seed.
"""

import datetime
import os

SEED = int(os.environ.get("GPO_FUZZ_SEED") or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d"))

PLAIN = [
    "%s",
    "**%s**",
    "The answer is %s.",
    "So the answer is %s",
    "The final answer is: %s",
    "**Answer:** %s",
    "Answer: %s",
    "#### %s",
    "## Answer\n\n%s",
    "**Final Answer**\n\n%s",
    "<answer>%s</answer>",
    "<think>Maybe 99999, or (Z)?</think>Answer: %s",
    "La respuesta correcta es %s",
    "La respuesta: %s",
    "La r\u00e9ponse est %s",
    "R\u00e9ponse : %s",
    "Die Antwort lautet %s",
    "Antwort: %s",
    "La risposta \u00e8 %s",
    "A resposta correta \u00e9 %s",
    "\u041e\u0442\u0432\u0435\u0442: %s",
    "\u7b54\u6848\uff1a%s",
    "\u7b54\u6848\u662f %s",
    "\u7b54\u3048\u306f %s",
    "\uc815\ub2f5: %s",
    "\u0110\u00e1p \u00e1n l\u00e0 %s",
    "Jawabannya adalah %s",
    "Odpowied\u017a: %s",
    "Het antwoord is %s",
]
"""For an answer in plain text."""

FORMULAS = [
    "\\boxed{%s}",
    "$\\boxed{%s}$",
    "Thus $$\\boxed{%s}$$",
    "The answer is:\n\n\\[\n%s\n\\]",
    "The answer is $%s$.",
    "Thus\n$$\n%s\n$$",
    "The answer is \\(%s\\).",
]
"""For an answer in LaTeX."""
