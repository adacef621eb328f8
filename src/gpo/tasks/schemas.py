r"""Records in the schema of each benchmark's upstream, to rows.

A row's question is all that is asked, with the options listed; its columns hold the parts that templates,
verifiers and reports need: 'stem' (the question without its options), 'options', 'subject', 'solution'.
The answer is '' where upstream has none (two rows of MATH), for the caller to leave out and count.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from gpo.tasks.columns import column_of, shown
from gpo.tasks.row import Row
from gpo.types import InputError

Record = Mapping[str, Any]
Schema = Callable[[Record, str], Row]
"""(record, where it stands) to a row without an id; InputError, naming where, if it does not fit."""

LETTERS = tuple(string.ascii_uppercase)
_CALCULATION = re.compile(r"<<[^<>]*>>")
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)


def gsm8k(record: Record, where: str) -> Row:
    """{question, answer}: the gold number follows the last '####' of the worked solution."""
    solution = text(record, "answer", where)
    _, marker, gold = solution.rpartition("####")
    if not marker:
        raise InputError(
            f"{where}: answer 'answer' has no '####' before its number: {shown(solution)}; correct or "
            "remove the row"
        )
    columns = {"solution": _CALCULATION.sub("", solution)}
    return Row("", text(record, "question", where), gold.strip(), columns, where)


def math(record: Record, where: str) -> Row:
    r"""{problem, level, type, solution}: the gold answer is in the last \boxed{} of the solution."""
    solution = text(record, "solution", where)
    gold = last_boxed(solution)
    if gold is None:
        raise InputError(
            f"{where}: answer 'solution' has no \\boxed{{}}: {shown(solution)}; correct or remove the row"
        )
    columns = {"subject": text(record, "type", where), "level": text(record, "level", where)}
    columns["solution"] = solution
    return Row(_name(record, "unique_id"), text(record, "problem", where), gold, columns, where)


def math500(record: Record, where: str) -> Row:
    """{problem, solution, answer, subject, level, unique_id}."""
    columns = {
        "subject": text(record, "subject", where),
        "level": f"Level {column_of(record, 'level', where)}",
    }
    columns["solution"] = text(record, "solution", where)
    question, gold = text(record, "problem", where), text(record, "answer", where)
    return Row(_name(record, "unique_id"), question, gold, columns, where)


def aime(record: Record, where: str) -> Row:
    """{problem (or question), answer}: an integer, as text or a number."""
    question = text(record, "problem" if "problem" in record else "question", where)
    gold = str(column_of(record, "answer", where)).strip()
    if not re.fullmatch(r"[0-9]{1,3}(?:\^\\circ)?", gold):
        raise InputError(
            f"{where}: answer 'answer' is {shown(gold)}, not an integer from 0 to 999; correct or "
            "remove the row"
        )
    return Row("", question, gold.removesuffix("^\\circ"), {}, where)


def bbh(record: Record, where: str) -> Row:
    """{input, target} of one task file; 'subject' is the task, which the reader adds."""
    question = text(record, "input", where)
    options = bbh_options(question)
    stem = question.partition("\nOptions:\n")[0]
    columns: dict[str, Any] = {"subject": text(record, "subject", where), "stem": stem}
    if options:
        columns["options"] = options
    return Row("", question, text(record, "target", where), columns, where)


def mmlu(record: Record, where: str) -> Row:
    """{question, subject, choices, answer}: the answer is an index from 0."""
    answer = column_of(record, "answer", where)
    options = _options(record, "choices", where)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(options):
        raise InputError(
            f"{where}: answer 'answer' is {shown(answer)}, not an index of its {len(options)} choices; "
            "correct or remove the row"
        )
    return _choice(record, where, options, LETTERS[answer], "subject")


def mmlu_pro(record: Record, where: str) -> Row:
    """{question_id, question, options (3 to 10), answer (a letter), category, cot_content}."""
    options = _options(record, "options", where)
    answer = text(record, "answer", where)
    if answer not in LETTERS[: len(options)]:
        raise InputError(
            f"{where}: answer 'answer' is {shown(answer)}, not a letter of its {len(options)} options; "
            "correct or remove the row"
        )
    row = _choice(record, where, options, answer, "category")
    worked = str(record.get("cot_content") or "").removeprefix("A: ")
    return Row(_name(record, "question_id"), row.question, answer, {**row.columns, "solution": worked}, where)


def listing(options: list[str], form: str = "({letter}) {option}") -> str:
    """The options, one a line, with their letters."""
    lines = zip(LETTERS, options, strict=False)
    return "\n".join(form.format(letter=letter, option=option) for letter, option in lines)


def bbh_options(question: str) -> list[str]:
    """The texts of a BBH question's lettered options, [] if it has none or they are not A, B, C, ..."""
    found = _OPTION.findall(question.partition("\nOptions:\n")[2])
    return [option.strip() for _, option in found] if _are_in_order(found) else []


def last_boxed(solution: str) -> str | None:
    r"""What the last \boxed{} of a gold solution holds; a digit or so for '\boxed 2'; None without one."""
    start = max(solution.rfind("\\boxed"), solution.rfind("\\fbox"))
    if start < 0:
        return None
    rest = solution[start:].partition("box")[2].removeprefix("ed").lstrip()
    if not rest.startswith("{"):
        return re.split(r"[\s$.,]", rest, maxsplit=1)[0]
    depth = 0
    for place, char in enumerate(rest):
        if rest[place - 1 : place] != "\\":
            depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            return rest[1:place].strip()
    return None


def text(record: Record, column: str, where: str) -> str:
    """The text in a column; InputError if there is none."""
    value = column_of(record, column, where)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: column '{column}' is {shown(value)}, not text; correct or remove the row")
    return value


def _are_in_order(found: list[tuple[str, str]]) -> bool:
    return [letter for letter, _ in found] == list(LETTERS[: len(found)])


def _choice(record: Record, where: str, options: list[str], answer: str, subject: str) -> Row:
    stem = text(record, "question", where).strip()
    columns = {"subject": text(record, subject, where), "stem": stem, "options": options}
    return Row("", f"{stem}\n{listing(options)}", answer, columns, where)


def _options(record: Record, column: str, where: str) -> list[str]:
    value = column_of(record, column, where)
    options = [str(option).strip() for option in value] if isinstance(value, list | tuple) else []
    if not 2 <= len(options) <= len(LETTERS) or not all(options):
        raise InputError(
            f"{where}: column '{column}' is {shown(value)}, not a list of options; correct or remove the row"
        )
    return options


def _name(record: Record, column: str) -> str:
    value = record.get(column)
    return "" if value is None else str(value)
