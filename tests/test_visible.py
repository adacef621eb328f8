"""Text that others wrote reaches the terminal and the page, and nothing in it acts, hides or reorders."""

from __future__ import annotations

import ast
import io
import json
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gpo import console as ui
from gpo.cli import main
from gpo.progress import Progress
from gpo.report import terminal
from gpo.report.text import encoded
from gpo.types import CriticalStep
from gpo.visible import LONGEST, printable, printable_lines

SRC = Path(ui.__file__).parent
HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "8-bit escape": "\x9b31mred",
    "8-bit string": "\x9d0;owned\x9c",
    "carriage return": "bad\rgood",
    "backspace": "bad\b\b\bgood",
    "bell, tab, feeds": "a\x07b\x0bc\x0cd\x85e\x7ff\0g",
    "a forged line": "name\ngpo: error: forged",
    "a forged line of Unicode": "name\u2028gpo: error: forged\u2029x",
    "right to left": "\u202ecod.exe\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "marks": "a\u200eb\u200fc\u061cd",
    "embeddings": "\u202aa\u202bb\u202dc",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "invisible operators": "a\u2061b\u2062c\u2063d\u2064e",
    "soft hyphen": "pass\u00adword",
    "tags": "a" + "".join(chr(0xE0000 + ord(c)) for c in "hidden"),
    "variations": "a\ufe0f\ufe0eb\U000e0100c\u180bd",
    "fillers": "a\u3164b\u115fc\u1160d\uffa0e\u034ff\u17b4g",
    "musical": "a\U0001d173b\U0001d17ac",
    "shorthand": "a\U0001bca0b",
    "annotation": "\ufff9a\ufffab\ufffb",
    "halves": "a\ud800b\udfffc\udc80",
    "markup": "[red]not red[/red] [link=http://evil.example]x[/link] [bold",
    "emoji names": ":smile: :bomb:",
    "accents": "a" + "\u0301" * 500,
    "enclosing": "a" + "\u20dd" * 50,
    "unassigned and ignorable": "a\u2065b\ufff0c\U000e0fffd",
}
ALLOWED = {"\n"}
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def assert_harmless(text: str) -> None:
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - ALLOWED
    assert not bad, ascii(bad)
    assert not UNSEEN.search(text), ascii(text)
    assert not re.search("[\u0300-\u036f\u20d0-\u20f0]{9}", text)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_shown_by_its_codes_on_one_line(kind) -> None:
    shown = printable(HOSTILE[kind])
    assert_harmless(shown)
    assert "\n" not in shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["plain", "", "naïve café", "Ελληνικά", "العربية", "עברית", "हिन्दी", "ไทย", "中文。", "한국어", "日本語",
     "½ × √2 ≤ ∞", "😀👍🏽", "a\u0301e\u0323\u0302", "→ ⏎ ▶", "\\x1b as it is written", "C:\\temp",
     "\u3000wide"],
)  # fmt: skip
def test_what_is_seen_as_itself_is_left_as_it_is(text) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[0m", "\\x1b[0m"),
        ("a\nb", "a\\nb"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\U000e0041"),
        ("👩\u200d🔬", "👩\\u200d🔬"),
        ("क्\u200dष", "क्\\u200dष"),
        ("می\u200cخواهم", "می\\u200cخواهم"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("\udcff", "\\udcff"),
        ("e" + "\u0301" * 9, "e" + "\u0301" * 8 + "\\u0301"),
    ],
)
def test_each_hidden_character_has_its_code(text, shown) -> None:
    assert printable(text) == shown


def test_lines_are_kept_where_they_are_asked_for_and_long_text_is_cut() -> None:
    assert printable_lines("a\nb\x1b\r\nc") == "a\nb\\x1b\\r\nc"
    assert printable("x" * (LONGEST + 1_234)) == "x" * LONGEST + " … (1,234 more characters)"


def captured(print_it: Any, monkeypatch: Any, *, is_terminal: bool) -> tuple[str, str]:
    """What goes to standard output and standard error, with or without a terminal's styles."""
    streams = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setenv("COLUMNS", "100")
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    print_it(ui.Ui(as_json=False))
    return streams[0].getvalue(), streams[1].getvalue()


OUR_STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""Colours and weights, which rich writes; a hostile text has some too, but its escape is shown as a code."""


def table(text: str) -> Table:
    found = Table(title=text, caption=text)
    found.add_column(text, header_style="bold")
    found.add_row(text)
    found.add_row(text, style="red")
    return found


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_hostile_leaves_through_any_way_of_printing(kind, is_terminal, monkeypatch) -> None:
    text = HOSTILE[kind]

    def print_it(out: ui.Ui) -> None:
        out.print(text, f"run {text}: done", table(text), Group(text, f"{text}: gpo train"))
        out.print(*[] if "\n" in text else [Text(text)])  # which is how a command prints several lines
        out.line(text)
        out.log(f"{text}: 3 rollouts")
        ui.warning(text)
        ui.error(text)
        ui.others_warning(UserWarning(text), UserWarning, "file.py", 1)
        with Progress(out, text, text, 1) as bar:
            bar.stage = bar.note = text

    out, err = captured(print_it, monkeypatch, is_terminal=is_terminal)
    found = OUR_STYLES.sub("", out + err)
    # A bar that is redrawn moves the cursor, and only that.
    found = re.sub(r"\x1b\[(?:\?25[lh]|[0-9]*[AKG]|2K)|\r", "", found) if is_terminal else found
    assert_harmless(found)
    if kind == "markup":
        assert found.count("[red]not red[/red]") >= 5
    if kind == "emoji names":
        assert ":smile:" in found
    if is_terminal and kind == "colour":
        assert "\x1b[31mred" not in out.replace("\x1b[31m" + "\\x1b", "")
    for line in (out + err).splitlines():
        assert not line.startswith("gpo: error: forged")


def test_random_text_of_all_of_unicode_leaves_as_lines_of_harmless_text(monkeypatch) -> None:
    draw = random.Random(7)  # noqa: S311 - the same texts each time
    texts = ["".join(chr(draw.randrange(0x110000)) for _ in range(40)) for _ in range(300)]
    texts += ["".join(chr(draw.randrange(0x3000)) for _ in range(40)) for _ in range(300)]
    texts += [
        "".join(draw.choice("\x1b[]\\;:mHJ8\x07\x9b\r\n\u202e\u200da") for _ in range(40)) for _ in range(300)
    ]

    def print_it(out: ui.Ui) -> None:
        for text in texts:
            out.line(text)

    out, _ = captured(print_it, monkeypatch, is_terminal=False)
    assert_harmless(out)
    assert out.count("\n") == len(texts)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_json_object_is_one_line_of_ascii_that_means_the_same(kind, capsys) -> None:
    text = HOSTILE[kind]
    ui.json_object({text: [text, {"inner": text}], "number": 1.5, "none": None})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert out.strip().isprintable()
    assert json.loads(out) == {text: [text, {"inner": text}], "number": 1.5, "none": None}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_data_of_a_page_holds_no_unseen_character_and_means_the_same(kind) -> None:
    text = HOSTILE[kind]
    found = encoded({"text": text})
    assert not UNSEEN.search(found)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>&]", found)
    assert json.loads(found) == {"text": text}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_ledger_and_a_comparison_with_hostile_names_are_harmless(kind, monkeypatch) -> None:
    text = HOSTILE[kind]
    row = {"run": text, "rounds": 1, "before": (None, None), "after": (0.5, 0.1), "tokens": 10}
    row |= {"credible": 1, "located": 2, "reset_value": None}
    critical = CriticalStep(0, -0.5, (-0.7, -0.2), 0.5, 0.5, text)

    def print_it(out: ui.Ui) -> None:
        out.print(terminal.ledger({text: 10}), terminal.comparison([row]), terminal.naming(critical))

    out, _ = captured(print_it, monkeypatch, is_terminal=False)
    assert_harmless(out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "runs/{}"],
        ["watch", "{}"],
        ["report", "{}", "-o", "x.html"],
        ["sample", "--task", "{}"],
        ["sample", "--model", "{}", "--task", "chain_sum"],
        ["sample", "--data", "{}.jsonl", "--verifier", "exact"],
        ["sample", "--task", "chain_sum", "--splitter", "{}"],
        ["sample", "--task", "chain_sum", "--task-options", "{}"],
        ["sample", "--task", "chain_sum", "--engine", "server", "--server", "{}"],
        ["locate", "--task", "chain_sum", "--rule", "{}"],
        ["sample", "--config", "{}.yaml"],
        ["sample", "--{}"],
        ["{}"],
        ["train", "--resume", "{}"],
        ["data", "check", "{}"],
        ["doctor", "{}"],
    ],
    ids=" ".join,
)
def test_hostile_arguments_are_one_harmless_line(arguments, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("\x1b]8;;x\x07a", "a\rb\u202ec\u200d", "\U000e0041\ufe0f\x9b2J"):
        with pytest.raises(SystemExit) as stopped:
            main([one.replace("{}", text) for one in arguments])
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert_harmless(err)
        assert len(err.splitlines()) == 1
        assert len(err) < ui.LONGEST_LINE + 100


@pytest.mark.parametrize(
    "kind", ["colour", "link", "a forged line", "right to left", "tags", "marks", "zero width"]
)
def test_hostile_files_are_one_harmless_line(kind, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    text = HOSTILE[kind]
    rows = [{text: text, "id": text}, {"question": text, "answer": "1", "id": 5, text: 1}, {"question": 5}]
    for i, row in enumerate(rows):
        Path(f"{i}.jsonl").write_text(json.dumps(row) + "\n")
    Path("settings.yaml").write_text(json.dumps({text: text}))
    Path("other.yaml").write_text(json.dumps({"task": text, "splitter": text}))
    data = ["--verifier", "number", "--prompt-column", "question", "--answer-column", "answer"]
    for arguments in (
        *(["sample", "--data", f"{i}.jsonl", *data] for i in (0, 2)),
        ["sample", "--data", "1.jsonl", "--verifier", "number", "--prompt-column", text],
        ["sample", "--task", "chain_sum", "--config", "settings.yaml"],
        ["locate", "--config", "other.yaml"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert_harmless(err)
        assert len(err.splitlines()) == 1


def test_a_message_of_a_million_characters_is_one_line_of_a_few_thousand(capsys) -> None:
    ui.error("\x1b" * 1_000_000)
    ui.warning("word " * 1_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) < ui.LONGEST_LINE + 30


def test_an_unforeseen_error_shows_a_harmless_traceback(tmp_path) -> None:
    code = "from gpo import cli\ndef run(args): raise KeyError('\\x1b[2J\\u202e\\n')\n"
    code += "cli.run = run\ncli.main([])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "Traceback" in result.stderr
    assert_harmless(result.stderr)


def test_a_terminal_that_knows_ascii_alone_gets_codes_and_no_traceback(tmp_path) -> None:
    code = "from gpo import cli\nfrom gpo.console import Ui\n"
    code += "cli.run = lambda args: Ui(False).print('± é')\ncli.main([])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert result.stdout.endswith("\\xb1 \\xe9\n")


PRINTING = {"print", "echo", "secho", "Console", "Live", "pprint", "StreamHandler", "basicConfig"}
ELSEWHERE = {
    "verifiers/zygote.py": "a worker's own streams, which its verifier prints to",
    "flags.py": "the help of a command, which holds no data",
}


def names_that_print(path: Path) -> set[str]:
    """Calls and streams in a file by which text could reach a terminal."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            is_ours = isinstance(function, ast.Attribute) and ast.unparse(function.value) in (
                "ui",
                "self.ui",
                "out",
            )
            if name in PRINTING and not is_ours:
                found.add(name)
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "__stdout__", "__stderr__"):
            found.add(ast.unparse(node))
    return found


def test_nothing_prints_but_the_one_module_that_makes_text_harmless() -> None:
    found = {}
    for path in SRC.rglob("*.py"):
        name = str(path.relative_to(SRC))
        streams = {one for one in names_that_print(path) if one in PRINTING or one.startswith("sys.")}
        if streams and name not in ("console.py", *ELSEWHERE):
            found[name] = streams
    # cli.py tells the streams to write what a terminal cannot show as codes, and ending.py flushes them.
    streams = {"sys.stdout", "sys.stderr"}
    assert found == {"cli.py": streams, "ending.py": streams}
