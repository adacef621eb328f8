"""The page of `gpo report` as a reader has it: opened from disk in a browser, clicked, typed at, printed."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from pathlib import Path

import pytest
from conftest import Browser
from hostile import ATTACKS, LATEX, hostile_run, latex_run
from reported import curve, rollout, write_run
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from gpo.cli import main
from gpo.commands.report import reader_of, stamp
from gpo.report import live
from gpo.report.reading import read_run, rollouts
from gpo.report.views import Limits, Sources, page_data

VIEWS = ("overview", "trajectories", "compare")
IMAGES = Path(__file__).parent.parent / "docs" / "img"


def report(run: Path) -> Path:
    output = run.with_suffix(".html")
    main(["report", str(run), "-o", str(output)])
    return output


def choose(browser: Browser, label: str, value: str) -> None:
    """Chooses in the field with this label."""
    for field in browser.all(".field"):
        if field.text.startswith(label):
            Select(field.find_element("tag name", "select")).select_by_value(value)
            break  # what is chosen may draw the fields again
    browser.settle()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["page", "two", "trained"])
def test_it_opens_from_disk_asks_for_nothing_and_complains_of_nothing(browser, request, name, view) -> None:
    page = request.getfixturevalue(name)
    browser.requests()
    browser.open(page, view)
    assert browser.requests() == [f"{page.as_uri()}#{view}"] or browser.requests() == []
    assert browser.logs() == []
    assert browser.all(".plot svg") or view == "compare"


def test_hostile_text_is_shown_as_text_and_nothing_runs(browser, tmp_path) -> None:
    page = report(hostile_run(tmp_path / "hostile"))
    browser.requests()
    for view in VIEWS:
        browser.open(page, view)
        for _ in ATTACKS if view != "overview" else ["once"]:
            browser.js(
                "for (const name of ['mouseover', 'focus'])"
                " for (const e of document.querySelectorAll('main *'))"
                " e.dispatchEvent(new Event(name)); document.querySelector('.step')?.click()"
            )
            browser.press(Keys.ARROW_RIGHT)
        assert browser.js("return window.pwned === undefined")
        assert browser.js("return document.querySelectorAll('main img, iframe, object, embed').length") == 0
        assert browser.js("return document.querySelectorAll('a[href^=\"java\" i]').length") == 0
        assert (
            browser.js(
                "return [...document.querySelectorAll('main *')].some(e => [...e.attributes].some("
                "a => a.name.startsWith('on')))"
            )
            is False
        )
        assert browser.logs() == []
    browser.open(page, "trajectories", width=360)
    for button in ("isWide", "isGrouped"):
        browser.js("document.querySelector('.side-list').open = true")
        browser.js("document.getElementById(arguments[0]).click()", button)
        assert browser.js("return document.documentElement.scrollWidth") <= 360
    assert browser.js("return window.pwned === undefined")
    assert browser.logs() == []
    assert {url.partition("#")[0] for url in browser.requests()} == {page.as_uri()}


@pytest.mark.parametrize("attack", ATTACKS[:8])
def test_hostile_text_is_readable_letter_by_letter(browser, tmp_path, attack) -> None:
    page = report(hostile_run(tmp_path / "hostile"))
    number = ATTACKS.index(attack)
    browser.open(page, f"trajectories/0/{number}")
    shown = browser.js("return document.querySelector('.step .prose').textContent")
    assert shown == attack


def test_characters_that_reorder_or_hide_text_are_shown_by_their_code(browser, tmp_path) -> None:
    page = report(hostile_run(tmp_path / "hostile"))
    browser.open(page, f"trajectories/0/{next(i for i, a in enumerate(ATTACKS) if 'olleh' in a)}")
    shown = browser.js("return document.querySelector('.step .prose').textContent")
    assert "⟨202e⟩dlrow olleh⟨202c⟩" in shown
    assert "⟨0000⟩⟨0007⟩" in shown
    assert not set(shown) & set("\u202e\u2028\u0007\x1b")


def test_the_policy_refuses_scripts_styles_and_requests_that_are_not_the_pages_own(browser, page) -> None:
    browser.open(page)
    browser.js(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        "document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.com/x.png'; document.body.append(i);"
        "document.body.insertAdjacentHTML('beforeend', '<p id=styled style=\"color: red\">x</p>');"
        "fetch('https://example.com').catch(() => { window.refused = true })"
    )
    browser.wait("window.refused === true")
    assert browser.js("return window.pwned === undefined")
    assert browser.js("return getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    assert len([message for message in browser.logs() if "Content Security Policy" in message]) >= 4


def test_latex_is_typeset_and_what_is_none_stays_as_written(browser, tmp_path) -> None:
    browser.open(report(latex_run(tmp_path / "latex")), "trajectories")
    steps = browser.all(".step .prose")
    assert [len(step.find_elements("css selector", ".katex")) for step in steps] == [2, 1, 0, 0, 1, 1]
    assert steps[2].text == LATEX[2].strip()
    assert steps[3].text == LATEX[3].strip()
    assert len(browser.all(".question .katex")) == 1
    assert browser.js("return document.querySelector('.display .katex-display') !== null")
    assert browser.logs() == []
    browser.wait("document.fonts.status === 'loaded'")
    assert browser.js(
        "return [...document.fonts].some(f => f.family === 'KaTeX_Main' && f.status === 'loaded')"
    )


def test_the_filters_and_the_order_decide_what_is_listed(browser, page) -> None:
    browser.open(page, "trajectories")
    num = len(browser.all(".item"))
    assert num > 20
    texts = [item.text.split("A ")[1] for item in browser.all(".item")]
    found = [(text.endswith("?"), -abs(float(text.split()[0].replace("\u2212", "-")))) for text in texts]
    assert found == sorted(found)
    choose(browser, "credible", "yes")
    credible = len(browser.all(".item"))
    choose(browser, "credible", "no")
    assert credible + len(browser.all(".item")) == num
    assert 0 < credible < num
    assert all(item.text.endswith("?") for item in browser.all(".item"))
    choose(browser, "credible", "all")
    choose(browser, "outcome", "right")
    assert browser.all(".item") == []
    assert "loosen the filters" in browser.one(".detail").text
    choose(browser, "outcome", "failed")
    assert len(browser.all(".item")) == num
    choose(browser, "sort by", "probability")
    browser.one("#turn").click()
    first = browser.js(
        "return R.data.runs[0].trajectories.map(o => o.critical?.probability ?? 2).sort((a, b) => a - b)[0]"
    )
    browser.all(".item")[0].click()
    assert f"{round(100 * first)} % sure that it is the step" in browser.one(".verdict").text
    browser.one("#search").send_keys("no such text anywhere")
    browser.settle()
    assert browser.all(".item") == []


def column(browser: Browser, number: int) -> list[str]:
    return [row.find_elements("css selector", "td")[number].text for row in browser.all(".listing tr.item")]


def test_the_table_sorts_by_any_column_both_ways_and_groups_by_question(browser, page) -> None:
    browser.open(page, "trajectories")
    browser.one("#isWide").click()
    heads = [head.text for head in browser.all(".listing th")]
    for number, name in enumerate(heads):
        head = browser.all(".listing th button")[number]
        head.click()
        first = column(browser, number)
        assert browser.all(".listing th")[number].get_attribute("aria-sort") in ("ascending", "descending")
        browser.all(".listing th button")[number].click()
        again = column(browser, number)
        assert sorted(first) == sorted(again)
        if len(set(first)) == len(first):
            assert again == first[::-1], name
        if name in ("credible", "P", "steps", "no."):
            numbers = [int(text.split()[0].replace(",", "")) for text in first]
            assert numbers == sorted(numbers, reverse=True), name
    browser.one("#isGrouped").click()
    questions = browser.js("return new Set(R.data.runs[0].trajectories.map(o => o.question)).size")
    assert len(browser.all(".listing tr.group")) == questions
    browser.press(Keys.ARROW_RIGHT)
    assert len(browser.all(".listing tr.item.on")) == 1
    browser.one("#isWide").click()
    browser.one("#isGrouped").click()


def grabbed(browser: Browser, button: str) -> str:
    """The text of the file that the button would save."""
    browser.js(
        "window.saved = null; R.download = (name, type, text) => { window.saved = [name, type, text] };"
        f"[...document.querySelectorAll('.downloads button')].find(b => b.textContent === '{button}').click()"
    )
    return browser.js("return window.saved[2]")


FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(1)", "\t=1", '"=1"', "\uff1d1", "|cmd", "%00", " \n=cmd|'/c calc'!A0")


def test_what_is_listed_is_saved_as_csv_without_formulas_and_as_json_letter_by_letter(
    browser, tmp_path
) -> None:
    lines = [
        curve(i, text, text, [f"{text}\n", 'b, "c"\n', f"\u202e{text}"], round=i)
        for i, text in enumerate(FORMULAS)
    ]
    browser.open(report(write_run(tmp_path / "formulas", lines, [])), "trajectories")
    rows = list(csv.DictReader(io.StringIO(grabbed(browser, "CSV"), newline="")))
    assert len(rows) == len(FORMULAS)
    for row in rows:
        texts = [row[name] for name in ("question", "expected", "trace", "step_text", "problem", "run")]
        assert not [text for text in texts if re.match(r"[\s'\"]*[=+\-@\uff1d|%]", text) and text[0] != "'"]
        assert "\u202e" not in row["trace"]
    assert {row["question"].lstrip("'").strip() for row in rows} == {text.strip() for text in FORMULAS}
    assert {row["advantage"] for row in rows} == {"-0.85"}
    text = grabbed(browser, "JSON")
    assert "\u202e" not in text
    assert {tuple(one["steps"]) for one in json.loads(text)} == {tuple(line["steps"]) for line in lines}
    browser.one("#search").send_keys("no such text")
    assert json.loads(grabbed(browser, "JSON")) == []


def test_a_trace_is_copied_as_it_is(browser, page) -> None:
    browser.open(page, "trajectories")
    browser.js("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve() }")
    browser.one(".verdict button").click()
    browser.wait("window.copied")
    assert browser.one(".verdict button").text == "copied"
    assert browser.js("const o = R.listed()[0].one; return window.copied === o.given + o.steps.join('')")


def test_a_long_list_grows_as_it_is_scrolled_and_holds_what_is_chosen(browser, tmp_path) -> None:
    lines = [curve(i, f"question {i}", "a", ["a\n", "b\n", "c"]) for i in range(450)]
    browser.open(report(write_run(tmp_path / "many", lines, [])), "trajectories")
    assert len(browser.all(".item")) == 200
    browser.js("const list = document.querySelector('.list'); list.scrollTop = list.scrollHeight")
    browser.wait("document.querySelectorAll('.item').length === 400")
    last = browser.js("const o = R.listed().at(-1); return `trajectories/${o.r}/${o.one.row}`")
    browser.open(browser_page := tmp_path / "many.html", last)
    assert browser_page.is_file()
    assert len(browser.all(".item")) == 450
    assert browser.one(".item.on").is_displayed()


def test_pointing_at_a_step_marks_the_charts_and_pointing_at_a_chart_marks_the_step(browser, page) -> None:
    browser.open(page, "trajectories")
    browser.point_at(browser.all(".step")[1])
    bands = browser.all(".band.pointed")
    assert len(bands) == 3
    assert all(band.get_attribute("visibility") == "visible" for band in bands)
    assert browser.one(".readout").text.startswith("step 1:")
    svg = browser.one(".curves svg")
    width = svg.size["width"]
    browser.point_at(svg, x=-width // 2 + 60)
    assert [i for i, step in enumerate(browser.all(".step")) if "pointed" in step.get_attribute("class")] == [
        0
    ]
    browser.point_at(svg, x=width // 2 - 40)
    last = len(browser.all(".step")) - 1
    assert [i for i, step in enumerate(browser.all(".step")) if "pointed" in step.get_attribute("class")] == [
        last
    ]


def test_the_keys_move_between_views_trajectories_and_steps(browser, page) -> None:
    browser.open(page)
    browser.press("2")
    assert browser.one("nav a[aria-current]").text == "Trajectories"

    def chosen() -> int:
        return next(i for i, step in enumerate(browser.all(".step")) if step.get_attribute("aria-current"))

    critical = next(
        i for i, step in enumerate(browser.all(".step")) if "critical" in step.get_attribute("class")
    )
    assert chosen() == critical
    browser.press(Keys.ARROW_UP)
    assert chosen() == critical - 1
    browser.press("k", "j", "j", "c")
    assert chosen() == critical
    before = browser.one(".item.on").text
    browser.press(Keys.ARROW_RIGHT)
    assert browser.one(".item.on").text != before
    address = browser.js("return location.hash")
    assert address.startswith("#trajectories/0/")
    browser.press("h")
    assert browser.one(".item.on").text == before
    browser.press("/", "x", "2")
    assert browser.one("#search").get_attribute("value") == "x2"
    browser.press(Keys.ESCAPE)
    browser.press("1")
    browser.press("/")
    browser.wait("document.activeElement.id === 'search'")
    browser.press(Keys.ESCAPE)
    browser.press("?")
    assert browser.one("#help").is_displayed()
    browser.press(Keys.ESCAPE)
    browser.press("t")
    assert browser.js("return document.documentElement.dataset.theme") == "dark"
    browser.press("3")
    assert browser.one("nav a[aria-current]").text == "Compare"
    browser.press("1")
    assert browser.one("nav a[aria-current]").text == "Overview"


def test_right_and_wrong_stand_side_by_side_with_their_first_difference(browser, tmp_path) -> None:
    line = curve(0, "1 + 2 + 3 = ?", "6", ["1 + 2 = 3\n", "3 + 3 = 7\n", "Answer: 7"])
    right = [rollout(line, 1, "3 + 3 = 6\nAnswer: 6", 1.0), rollout(line, 1, "It is 6\nAnswer: 6", 1.0)]
    wrong = [rollout(line, 1, "3 + 3 = 8\nAnswer: 8", 0.0)]
    browser.open(report(write_run(tmp_path / "small", [line], right + wrong)), "trajectories")
    assert "2 of 3 rollouts right" in browser.one(".continuations h3").text
    assert "Success 67 % (95 %: 21 … 94 %)" in browser.one(".continuations").text
    answers = [
        [cell.text for cell in row.find_elements("css selector", "td")]
        for row in browser.all(".answers tbody tr")
    ]
    assert answers == [
        ["6", "2", "67 % (21 … 94 %)", "✓ right"],
        ["8", "1", "33 % (6 … 79 %)", "✗ wrong"],
        ["7 this trajectory", "0", "", "✗ wrong"],
    ]
    assert [mark.text for mark in browser.all(".sides .first mark")] == ["6", "7"]
    assert "this one" in browser.one(".side.wrong h4").text
    browser.all(".side.wrong .choice")[1].click()
    assert [mark.text for mark in browser.all(".sides .first mark")] == ["6", "8"]
    browser.all(".answers button")[0].click()
    browser.all(".side.wrong .choice")[0].click()
    browser.all(".answers button")[1].click()
    assert [mark.text for mark in browser.all(".sides .first mark")] == ["6", "8"]
    browser.all(".step")[0].click()
    assert "no right continuation was sampled here" in browser.one(".side.right").text


def test_the_step_shows_the_token_at_which_right_and_wrong_part_and_the_least_sure_one(
    browser, tmp_path
) -> None:
    ends = [5, 10, 17, 21, 26, 30]
    line = curve(0, "1 + 2 + 3 = ?", "6", ["1 + 2 = 3\n", "3 + 3 = 17\n", "Answer: 7"], ends=ends)
    line["completion_ids"] = [1, 2, 3, 4, 5, 6]
    own = rollout(line, 0, "3 + 3 = 17", 0.0) | {"action_ids": [1, 2, 3, 4, 5, 6], "logprobs": [0.0] * 6}
    own["entropies"] = [0.0, 0.0, 0.2, 1.25, 0.0, 0.0]
    right = rollout(line, 1, "3 + 3 = 16\nAnswer: 6", 1.0) | {"action_ids": [3, 9]}
    browser.open(report(write_run(tmp_path / "pivotal", [line], [own, right])), "trajectories")
    inside = browser.one(".inside").text
    assert "1 of 1 right rollouts part from it at" in inside
    assert "least sure token, 1.25 nats" in inside
    assert [mark.text for mark in browser.all(".inside mark")] == [" 17↵", " 17↵"]
    assert [mark.text for mark in browser.all(".sides .first mark")] == ["16", "17"]


def test_the_same_trajectory_in_two_runs_is_compared_and_so_are_the_rules(browser, two) -> None:
    browser.open(two, "compare")
    rows = browser.all(".comparison tbody tr")
    assert len(rows) > 20
    assert [head.text for head in browser.all(".comparison th")] == ["trajectory", "adaptive", "uniform"]
    paths = browser.js(
        "return [...document.querySelectorAll('[aria-label=line] path')].map("
        "p => [p.getAttribute('stroke') ?? p.parentNode.getAttribute('stroke'),"
        " p.getAttribute('stroke-dasharray') ?? p.parentNode.getAttribute('stroke-dasharray')])"
    )
    assert len({colour for colour, _ in paths}) == 2
    assert len({dash for _, dash in paths}) == 2
    choose(browser, "compare", "rules1")
    assert [head.text for head in browser.all(".comparison th")][1:] == [
        "signed",
        "absolute",
        "drop",
        "as-released",
    ]
    assert "signed looks for a rise and is not counted" in browser.one("#view").text
    assert browser.one(".comparison tr.on").text == browser.all(".comparison tbody tr")[0].text
    chosen = browser.one(".step.chosen")
    named = browser.all(".step:has(.chip)")
    changes = [
        abs(float(one.find_element("css selector", ".change b").text.replace("\u2212", "-"))) for one in named
    ]
    own = float(chosen.find_element("css selector", ".change b").text.replace("\u2212", "-"))
    assert abs(own) == max(changes)
    browser.open(two, "compare", width=360, height=740)
    choose(browser, "compare", "rules1")
    heights = browser.js("return [...document.querySelectorAll('.comparison th')].map(e => e.offsetHeight)")
    assert max(heights) < 40
    assert browser.logs() == []


def test_no_headline_contradicts_another_where_no_step_is_credible(browser, tmp_path) -> None:
    line = curve(0, "1 + 2 + 3 = ?", "6", ["1 + 2 = 3\n", "3 + 3 = 7\n", "Answer: 7"])
    line["critical"] |= {"credibility": 0.3, "probability": 0.06}
    page = report(write_run(tmp_path / "unsure", [line], []))
    browser.open(page)
    assert "No step is credible; the likeliest so far" in browser.one("#view").text
    assert "broke most surely" not in browser.one("#view").text
    browser.open(page, "trajectories")
    assert browser.one(".verdict h2").text.startswith("No credible step; the likeliest is 1")
    assert browser.one(".flag").text.lower() == "likeliest step, not credible"
    assert "breaks" not in browser.one("#view").text.lower()


def offline_run(folder: Path) -> Path:
    """Of given pairs: nothing sampled, and one round of 40 updates."""
    run = write_run(folder, [], [])
    (run / "problems.jsonl").unlink()
    about = {"command": "train", "settings": {"task": "own", "method": "dpo"}}
    (run / "run.json").write_text(json.dumps(about))
    rate = {"accuracy": 0.5, "stderr": 0.1}
    metrics = {"train/rows": 80.0, "train/updates": 40.0}
    updates = [{"loss": 0.7 - i / 100, "margin": i / 50, "accuracy": 0.9} for i in range(40)]
    lines = [
        {"round": 0, "tokens": {"evaluation": 9}, "metrics": {}, "evaluation": rate},
        {"round": 1, "tokens": {"evaluation": 9}, "metrics": metrics, "evaluation": rate, "updates": updates},
    ]
    (run / "rounds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return run


@pytest.mark.parametrize("width", [360, 1400])
def test_an_offline_run_shows_loss_and_margin_and_no_axis_is_nan(browser, tmp_path, width) -> None:
    browser.open(report(offline_run(tmp_path / "dpo")), width=width)
    assert "0.70 → 0.31" in browser.one(".tiles").text
    assert [one.text.split("\n")[0] for one in browser.all("figcaption")] == [
        "Accuracy on held-out problems", "Loss", "Margin", "Pairs in order", "Where the tokens went",
    ]  # fmt: skip
    assert browser.js(
        "return [...document.querySelectorAll('.tile')].every(e => e.scrollWidth <= e.offsetWidth)"
    )
    labels = browser.js("return [...document.querySelectorAll('.plot svg text')].map(e => e.textContent)")
    assert labels
    assert not [label for label in labels if "NaN" in label]
    assert browser.logs() == []


@pytest.mark.parametrize("num", [1, 2, 3])
def test_a_histogram_of_few_counts_marks_every_whole_number_once(browser, tmp_path, num) -> None:
    lines = [curve(i, f"question {i}", "6", ["a\n", "b\n", "c"]) for i in range(num)]
    browser.open(report(write_run(tmp_path / "few", lines, [])))
    labels = browser.js(
        'return [...document.querySelectorAll(\'[aria-label^="Where in the trace"]'
        ' [aria-label="y-axis tick label"] text\')].map(e => e.textContent)'
    )
    assert labels == [str(i) for i in range(num + 1)]


def test_an_index_leads_to_each_report_and_back_and_saves_its_table(browser, tmp_path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for name, num in (("first", 1), ("second", 3)):
        lines = [curve(i, f"{name} {i}", "6", ["a\n", "b\n", "c"]) for i in range(num)]
        write_run(folder / name, lines, [], model="=1+1", task=f"own-{name}")
    write_run(folder / "torn", [], [])
    (folder / "torn" / "curves.jsonl").write_text('{"round": "</script><img src=x>"}\n')
    browser.open(report(folder))
    assert [row.find_elements("css selector", "td")[0].text for row in browser.all(".runs tbody tr")] == [
        "first", "second", "torn",
    ]  # fmt: skip
    assert "damaged" in browser.all(".runs tbody tr")[2].text
    assert "curves.jsonl: row 1" in browser.one(".note").text
    heads = [head.text for head in browser.all(".runs th")]
    browser.all(".runs th button")[heads.index("located")].click()
    assert browser.all(".runs tbody tr")[0].text.startswith("second")
    saved = list(csv.DictReader(io.StringIO(grabbed(browser, "CSV"), newline="")))
    assert [(row["run"], row["model"], row["located"]) for row in saved] == [
        ("second", "'=1+1", "3"), ("first", "'=1+1", "1"), ("torn", "", ""),
    ]  # fmt: skip
    browser.all(".runs a")[0].click()
    browser.wait("document.querySelector('main').className === 'overview'")
    assert browser.one("#names").text == "second"
    browser.press("3")
    assert browser.one("nav a[aria-current]").text == "Trajectories"
    assert len(browser.all(".item")) == 3
    browser.press(Keys.ARROW_RIGHT)
    assert browser.js("return location.hash").startswith("#r1/trajectories/0/")
    browser.press("1")
    assert len(browser.all(".runs tbody tr")) == 3
    assert browser.logs() == []


def test_a_live_page_follows_its_run_asks_only_its_server_and_says_when_that_ended(browser, tmp_path) -> None:
    run = write_run(tmp_path / "run", [curve(0, "q 0", "6", ["a\n", "b\n", "c"])], [])

    def make() -> dict:
        limits = Limits(100, 1_000_000, 0.9)
        data = page_data([read_run(run, may_be_empty=True)], Sources(rollouts, reader_of), limits)
        return data | {"is_running": True}

    server = live.Server(live.Followed(make, lambda: stamp(run)), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        browser.requests()
        browser.driver.get(server.url)
        browser.wait("document.querySelector('.tile')")
        assert browser.one(".live").text == "live"
        assert browser.one(".tile strong").text == "1"
        more = [curve(i, f"q {i}", "6", ["a\n", "b\n", "c"]) for i in range(3)]
        (run / "curves.jsonl").write_text("".join(json.dumps(one) + "\n" for one in more))
        browser.wait("document.querySelector('.tile strong').textContent === '3'")
        browser.press("2")
        assert len(browser.all(".item")) == 3
        more += [curve(3, "q 3", "6", ["a\n", "b\n", "c"])]
        (run / "curves.jsonl").write_text("".join(json.dumps(one) + "\n" for one in more))
        browser.wait("document.querySelector('.live button')")
        assert len(browser.all(".item")) == 3
        browser.one(".live button").click()
        assert len(browser.all(".item")) == 4
        assert {url.split("#")[0].split("?")[0] for url in browser.requests()} <= {
            server.url,
            f"{server.url}data",
        }
        assert browser.logs() == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    browser.wait("document.querySelector('.live').textContent === 'no longer served'")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["two", "trained"])
def test_at_360_pixels_nothing_jumps_and_nothing_is_wider(browser, request, name, view) -> None:
    browser.open(request.getfixturevalue(name), view, width=360, height=740)
    assert browser.js("return document.documentElement.scrollWidth") <= 360
    shift = browser.driver.execute_async_script(
        "let sum = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value })"
        ".observe({type: 'layout-shift', buffered: true}); setTimeout(() => arguments[0](sum), 300)"
    )
    assert shift < 0.01


CONTRAST = """
const parse = (text) => {
  const n = text.match(/[\\d.]+/g).map(Number);
  const scale = text.startsWith('color(') ? 255 : 1;
  return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const background = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
};
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const all = [...document.querySelectorAll(arguments[0])];
const shown = all.filter((e) => e.offsetParent && e.textContent.trim());
return shown.map((e) => {
  const under = background(e);
  const [a, b] = [light(over(parse(getComputedStyle(e).color), under)), light(under)];
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), `${e.className} ${e.textContent.slice(0, 40)}`];
});
"""
"""WCAG 2.2's contrast ratio of every such element's text with what lies under it."""


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("view", VIEWS)
def test_text_has_the_contrast_that_wcag_asks_for(browser, two, view, is_dark) -> None:
    browser.open(two, view, is_dark=is_dark)
    found = browser.js(
        CONTRAST,
        "h2, h3, h4, p, small, .prose, td, th, b, .flag, .hint, .item span, .chip, mark, "
        ".lines li, nav a, figcaption, .change, .break q, summary",
    )
    assert len(found) > 20
    assert min(found)[0] >= 4.5, min(found)


def test_in_print_the_page_is_light_and_without_controls_whatever_the_theme(browser, page) -> None:
    browser.open(page, "trajectories", is_dark=True)
    browser.press("t")
    browser.press("t")
    assert browser.js("return document.documentElement.dataset.theme") == "dark"
    browser.media("print", is_dark=True)
    assert browser.js("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    controls = "nav, .tools, .side-list, .choice, .verdict button"
    assert not any(element.is_displayed() for element in browser.all(controls))
    assert browser.one(".step.critical").is_displayed()
    pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    assert len(pdf) > 10_000
    browser.media("")


def test_without_scripts_the_page_says_so(browser, page) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get("about:blank")
        browser.driver.get(page.as_uri())
        assert "switched off" in browser.one("noscript").text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    ("name", "view", "image", "width", "height", "is_dark"),
    [
        ("page", "trajectories", "trajectory.png", 1280, 1000, False),
        ("trained", "overview", "overview.png", 1280, 900, False),
        ("two", "compare", "compare.png", 1280, 900, True),
        ("page", "trajectories", "phone.png", 360, 900, False),
    ],
)
def test_the_pictures_of_the_docs_are_of_this_page(
    browser, request, name, view, image, width, height, is_dark
) -> None:
    browser.open(request.getfixturevalue(name), view, width=width, height=height, is_dark=is_dark)
    IMAGES.mkdir(exist_ok=True)
    browser.screenshot(IMAGES / image)
    assert 10_000 < (IMAGES / image).stat().st_size < 200_000
