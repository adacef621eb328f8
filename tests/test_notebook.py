"""What notebooks show of curves, groups and critical steps; and the figures for papers."""

import json
import math
import sys
from html.parser import HTMLParser
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from reported import curve as curve_line
from reported import write_run
from test_house import loaded

import gpo
from gpo.located import Located
from gpo.paths import PathPosterior
from gpo.plot import _mean_band
from gpo.pooled import named_step, pooled_estimate, probabilities
from gpo.report import notebook
from gpo.types import CriticalStep, Group, InputError, Problem, Rollout, State, ValueCurve

HOSTILE = "<script>alert(1)</script></details>' onload=\"x\u202e"


class Checker(HTMLParser):
    """Fails on anything but the few elements and attributes that are meant."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        assert tag not in ("script", "img", "iframe", "style", "link", "a")
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs)
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


def rollout(text: str = "ok", reward: float = 0.0, num: int = 6) -> Rollout:
    state = State(Problem(HOSTILE, (1,), "3"))
    return Rollout(state, (5,) * num, (0.0,) * num, (), text, reward == 1, reward, 0)


def test_a_curve_is_a_chart_and_a_row_for_each_step() -> None:
    shown = Checker(notebook.html(ValueCurve((0, 3, 5, 6), (3, 1, 0, 0), (4, 4, 0, 1), rollout(HOSTILE))))
    assert shown.tags.count("tr") == 4
    assert shown.tags.count("circle") == 3  # the boundary without trials has no value
    assert "3 of 4" in shown.text
    assert "-0.50" in shown.text
    assert "<script>alert(1)</script></details>" in shown.text
    assert "\\u202e" in shown.text
    assert "nan" not in shown.text


def test_a_located_trajectory_has_its_critical_step_marked_and_its_probabilities() -> None:
    path = PathPosterior(3, 0.0)
    path.fit([20, 20, 0], [20, 20, 20])
    curve = ValueCurve((0, 2, 4, 6), (20, 20, 0, 0), (20, 20, 20, 1), rollout())
    found = Located(curve, named_step(path, "drop"), pooled_estimate(path), probabilities(path, "drop"))
    shown = Checker(notebook.html(found))
    assert "critical step 1 by the rule drop" in shown.text
    assert "▶ 1" in shown.text
    assert shown.tags.count("rect") == 1
    assert "critical step 1" in Checker(notebook.html(found.critical)).text
    title, *lines = str(found).splitlines()
    assert title.split() == ["step", "tokens", "V", "n", "A", "95", "%"]
    assert [line[0] for line in lines] == [" ", "▶", " "]
    assert lines[1].split()[1:5] == ["1", "2", f"{found.estimate.values[1]:.2f}", "20"]


def test_a_group_lists_its_rollouts_escaped_and_not_all_of_a_thousand() -> None:
    group = Group(State(Problem(HOSTILE, (1,), "3")), (rollout(HOSTILE, 1.0), rollout("no")))
    shown = Checker(notebook.html(group))
    assert "2 rollouts of problem <script>" in shown.text
    assert "50.0 ± 50.0 %" in shown.text
    many = Group(group.state, (rollout("x" * 10_000),) * 1000)
    assert len(notebook.html(many)) < 40_000
    assert "and 960 more" in notebook.html(many)
    assert "no rollouts" in Checker(notebook.html(Group(group.state, ()))).text


def test_a_critical_step_is_a_sentence() -> None:
    step = CriticalStep(2, -0.5, (-0.7, -0.2), 0.9, 0.95, "<b>")
    assert (
        "critical step 2 by the rule <b>: P(it is the rule's argmax) = 0.90"
        in Checker(notebook.html(step)).text
    )


def test_a_display_loads_its_html_only_when_it_is_shown() -> None:
    assert "numpy" not in loaded("import gpo.types")
    assert "rich" not in loaded("import gpo.located")
    assert "matplotlib" not in loaded("import gpo.plot")


def test_a_value_curve_is_drawn_with_its_interval_and_step(tmp_path) -> None:
    curve = ValueCurve((0, 3, 5, 6), (3, 1, 0, 0), (4, 4, 0, 1))
    figure = gpo.plot.value_curve(curve)
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 1, 3]
    assert line.get_ydata().tolist() == [0.75, 0.25, 0.0]
    figure.savefig(tmp_path / "curve.pdf")
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
    step = CriticalStep(1, -0.25, (-0.7, 0.3), 0.9, 0.95, "drop")
    found = Located(curve, step, notebook.paired_estimate(curve), [0.0, 1.0, 0.0])
    assert gpo.plot.value_curve(found).axes[0].get_title(loc="left") == "step 1: A = -0.25"


def test_a_band_over_seeds_is_that_of_their_mean_where_all_reach() -> None:
    first = np.array([[0.0, 10.0, 20.0], [0.2, 0.4, 0.6], [math.nan] * 3])
    second = np.array([[0.0, 20.0, 40.0], [0.4, 0.8, 0.8], [math.nan] * 3])
    places, mean, half = _mean_band([first, second])
    assert (places[0], places[-1]) == (0.0, 20.0)
    assert mean[[0, -1]] == pytest.approx([0.3, 0.7])
    assert half[[0, -1]] == pytest.approx([12.706 * 0.1, 12.706 * 0.1])
    _, _, alone = _mean_band([np.array([[0.0, 1.0], [0.5, 0.5], [0.1, math.nan]])])
    assert alone == pytest.approx([0.196, 0.0])


def rated(rate: float) -> dict:
    return {"accuracy": rate, "stderr": 0.1}


def test_learning_curves_and_positions_are_drawn_from_run_folders(tmp_path) -> None:
    line = curve_line(0, "", "", ["a\n", "b\n", "c"])
    runs = [write_run(tmp_path / name, [line], []) for name in ("a", "b")]
    for run, rates in zip(runs, ((0.2, 0.4), (0.4, 0.6)), strict=True):
        lines = [
            {
                "round": i,
                "tokens": {"explore": 100 * i},
                "evaluation": {"accuracy": rate, "stderr": 0.1},
                "sizes": {},
            }
            for i, rate in enumerate(rates)
        ]
        (run / "rounds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    figure = gpo.plot.learning_curves({"arm": runs})
    *seeds, mean = figure.axes[0].lines
    assert len(seeds) == 2
    assert mean.get_ydata()[[0, -1]] == pytest.approx([0.3, 0.5])
    assert mean.get_label() == "arm (2 seeds)"
    bars = gpo.plot.critical_positions(runs).axes[0].patches
    assert [bar.get_height() for bar in bars[:10]] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    with pytest.raises(InputError, match="arm: has no run"):
        gpo.plot.learning_curves({"arm": []})
    with pytest.raises(InputError, match="measured no reward"):
        gpo.plot.learning_curves({"arm": runs}, measure="reward")
    with pytest.raises(InputError, match="measure 'height' over 'tokens': one of accuracy, reward"):
        gpo.plot.learning_curves({"arm": runs}, measure="height")


def test_a_notebook_knows_how_to_draw_what_is_found_without_importing_it(monkeypatch) -> None:
    known = {}

    class Formatter:
        def for_type_by_name(self, module, name, draw):
            known[module, name] = draw

    formatters = {"text/html": Formatter()}
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters=formatters))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    gpo._draw_in_notebooks()
    for (module, name), draw in known.items():
        assert hasattr(import_module(module), name)
        assert draw(CriticalStep(2, -0.5, (-0.7, -0.2), 0.9, 0.95, "drop")).startswith("<div")
    assert len(known) == 4
