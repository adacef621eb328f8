"""The report: what is read of a run, what is drawn from it, and a file that holds nothing but text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import curve, rollout, write_run

from gpo.cli import main
from gpo.curve import paired_estimate, wilson
from gpo.paths import PathPosterior
from gpo.pooled import pooled_estimate
from gpo.record.base import checked
from gpo.record.lines import CurveLine, RolloutLine
from gpo.report import page
from gpo.report.evidence import MAX_ANSWER, MAX_CHARACTERS, Evidence
from gpo.report.figures import intervals, mean_reset_value, positions, series, success_rate, updates
from gpo.report.reading import read_run, read_runs, rollouts
from gpo.report.rules import agreement, picks
from gpo.report.text import encoded
from gpo.report.views import Limits, Sources, page_data
from gpo.types import InputError, ValueCurve

STEPS = ["1 + 2 = 3\n", "3 + 3 = 7\n", "Answer: 7"]


def line_of(**changes) -> CurveLine:
    return CurveLine.model_validate(curve(5, "1 + 2 + 3 = ?", "6", STEPS, **changes))


class Elements(HTMLParser):
    """The elements of a page with their attributes and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict, list[str]]] = []
        self.is_inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs), []))
        self.is_inside = True

    def handle_endtag(self, tag) -> None:
        self.is_inside = False

    def handle_data(self, data) -> None:
        if self.is_inside:
            self.found[-1][2].append(data)

    def texts(self, tag: str) -> list[str]:
        return ["".join(texts) for name, _, texts in self.found if name == tag]


def made(run: Path, *more: str) -> str:
    output = run.parent / "page.html"
    main(["report", str(run), "-o", str(output), *more])
    return output.read_text(encoding="utf-8")


@given(st.text())
def test_json_in_the_page_reads_back_and_holds_nothing_that_html_or_a_script_could_end_at(text) -> None:
    found = encoded({"key": text, text: [1, None]})
    assert json.loads(found)["key"] == text if text != "key" else json.loads(found)["key"] == [1, None]
    assert not set(found) & set("<>&\u2028\u2029")
    found.encode("utf-8")


def test_numbers_in_the_page_are_rounded_and_nan_is_null() -> None:
    assert encoded([0.123456, float("nan"), float("inf"), 3, True]) == "[0.1235,null,null,3,true]"
    assert encoded("</script>\u2028\ud800") == r'"\u003c/script\u003e\u2028\ud800"'


def test_the_policy_names_every_script_and_style_by_hash_and_the_page_refers_to_nothing(tmp_path) -> None:
    run = write_run(tmp_path / "run", [curve(0, "</script><script>x</script>", "a", STEPS)], [])
    elements = Elements(made(run))
    policy = next(a["content"] for tag, a, _ in elements.found if a.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    scripts = [(a, "".join(texts)) for tag, a, texts in elements.found if tag == "script"]
    assert [a for a, _ in scripts if a] == [{"type": "application/json", "id": "data"}]
    sources = [text for a, text in scripts if not a] + elements.texts("style")
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in sources}
    assert hashes == set(re.findall(r"'sha256-([^']+)'", policy))
    assert len(sources) == len(page.SCRIPTS) + len(page.STYLES)
    links = [a.get("href") or a.get("src") for _, a, _ in elements.found if a.get("href") or a.get("src")]
    assert links == ["data:,"]


def test_no_embedded_library_can_end_its_own_element() -> None:
    for name in page.SCRIPTS:
        assert "</script" not in page.asset(name).lower(), name
        assert "<!--" not in page.asset(name), name
    for name in page.STYLES:
        assert "</style" not in page.asset(name).lower(), name
        assert not re.search(r"url\((?!data:)|@import", page.asset(name)), name


def test_the_vendored_files_are_all_named_with_version_hash_and_licence() -> None:
    vendor = Path(page.__file__).parent / "assets" / "vendor"
    known = json.loads((vendor / "versions.json").read_text())
    named = {target for about in known.values() for target in about["files"].values()}
    named.add(known["katex"]["fonts_licence"])
    assert {file.name for file in vendor.iterdir()} == named | {"versions.json"}
    for about in known.values():
        assert len(base64.b64decode(about["sha512"])) == 64
        assert about["version"]
        assert about["licence"]
        assert any(target.endswith(".LICENSE") for target in about["files"].values())


def test_the_data_of_the_page_are_those_of_the_run(tmp_path) -> None:
    line = curve(5, "1 + 2 + 3 = ?", "6", STEPS)
    right = rollout(line, 1, "3 + 3 = 6\nAnswer: 6", 1.0)
    run = write_run(tmp_path / "run", [line], [right, rollout(line, 2, "Answer: 7", 0.0)])
    data = json.loads(Elements(made(run)).texts("script")[0])
    [shown] = data["runs"]
    assert shown["name"] == "run"
    assert [shown[name] for name in ("num", "named", "credible", "failed")] == [1, 1, 1, 1]
    assert shown["ledger"] == {"explore": 10, "values": 20}
    assert shown["rate"] == [0.25, 0.25]
    [one] = shown["trajectories"]
    assert one["steps"] == STEPS
    assert one["values"] == [0.9, 0.9, 0.05, 0.0]
    right = {"text": "3 + 3 = 6\nAnswer: 6", "right": True, "tokens": 3, "n": 1, "a": 0}
    assert one["at"]["1"] == {
        "n": 1,
        "right": 1,
        "interval": [0.2065, 1],
        "answers": [{"answer": "6", "n": 1, "right": 1, "share": [0.2065, 1]}],
        "unlisted": 0,
        "texts": [right],
    }
    assert one["at"]["2"]["texts"] == [{"text": "Answer: 7", "right": False, "tokens": 3, "n": 1, "a": 0}]
    assert one["said"] == "7"
    assert one["pivots"] == {}
    assert data["notes"] == []


def test_all_credible_trajectories_are_listed_and_what_is_long_or_many_stays_within_the_bytes(
    tmp_path, monkeypatch
) -> None:
    steps = [f"{i}: " + "some words of reasoning " * 12 + "\n" for i in range(30)]
    lines = [curve(i, f"question {i}", "a", steps) for i in range(260)]
    for line in lines[:250]:
        line["critical"]["credibility"] = 0.5
    other = "other words " * 300
    found = [rollout(line, b, other, reward) for line in lines for b in (3, 15) for reward in (0.0, 1.0)]
    run = write_run(tmp_path / "run", lines, found)
    monkeypatch.setattr(page, "MAX_BYTES", 4_000_000)
    html = made(run)
    assert 2_500_000 < len(html.encode()) < 4_000_000
    data = json.loads(Elements(html).texts("script")[0])
    shown = data["runs"][0]["trajectories"]
    rows = [one["row"] for one in shown]
    assert 100 < len(rows) < 200
    assert rows == sorted(rows)
    assert rows[-10:] == list(range(250, 260))
    assert "260 located trajectories are listed: 10 of the 10 with a credible step" in data["notes"][0]
    assert data["runs"][0]["num"] == 260
    assert all(len(one["at"]) == 2 for one in shown[-10:])
    few = json.loads(Elements(made(run, "--trajectories", "12")).texts("script")[0])
    rows = [one["row"] for one in few["runs"][0]["trajectories"]]
    assert len(rows) == 12
    assert rows[2:] == list(range(250, 260))


def test_two_sampled_runs_show_the_same_of_the_trajectories_that_they_share(tmp_path) -> None:
    lines = [curve(i, f"question {i}", "a", STEPS) for i in range(50)]
    runs = read_runs([write_run(tmp_path / name, lines, []) for name in ("a", "b")])
    data = page_data(runs, Sources(rollouts, lambda _: last_word), Limits(20, 1_000_000, 0.9))
    first, second = ([one["key"] for one in run["trajectories"]] for run in data["runs"])
    assert len(first) == 10
    assert first == second


def last_word(text: str) -> str | None:
    return text.split()[-1] if text.strip() else None


def evidence_of(line: CurveLine, offered: list[dict], room: float = 1e6) -> Evidence:
    evidence = Evidence.wanted_by([line], 1.0, last_word, room)
    for record in offered:
        evidence.offer(RolloutLine.model_validate(record))
    return evidence


def test_a_continuation_is_what_follows_the_prefix_of_its_own_round_and_is_never_the_trajectory() -> None:
    line = line_of(given="So: ")
    own = {**rollout(curve(5, "", "", STEPS), 0, "So: all of it", 0.0), "action_ids": line.completion_ids}
    offered = [
        own,
        rollout(line.model_dump(), 1, "right\n", 1.0) | {"text": "So: 1 + 2 = 3\nright\n"},
        rollout(line.model_dump(), 1, "half", 0.5) | {"text": "So: 1 + 2 = 3\nhalf", "finished": False},
        rollout(line.model_dump(), 1, "later", 1.0) | {"round": 1},
        rollout(line.model_dump(), 1, "measured", 1.0) | {"purpose": "evaluation"},
        rollout(line.model_dump(), 2, "x", 1.0) | {"text": "So: 1 + 2 = 4, odd"},
        rollout(line.model_dump(), 2, "y", 0.0) | {"text": "So: 1 + 2 = 3\n3 + 3 = 7\n" + "z" * 7000},
    ]
    evidence = evidence_of(line, offered)
    assert evidence.at(line, 0) == {}
    assert evidence.said_by(line) == "it"
    first = evidence.at(line, 1)
    assert first["texts"] == [
        {"text": "right\n", "right": True, "tokens": 3, "n": 1, "a": 0},
        {"text": "half", "right": False, "tokens": 3, "n": 1, "cut": True, "a": 1},
    ]
    answers = [(one["answer"], one["n"], one.get("cut")) for one in first["answers"]]
    assert answers == [("right", 1, None), (None, 1, 1)]
    cut = {"text": "z" * MAX_CHARACTERS, "right": False, "tokens": 3, "n": 1, "left": 1000, "a": 1}
    odd = {"text": "4, odd", "right": True, "tokens": 3, "n": 1, "a": 0}
    assert evidence.at(line, 2)["texts"] == [odd, cut]
    assert len(evidence.at(line, 2)["answers"][1]["answer"]) == MAX_ANSWER


def test_every_rollout_is_counted_and_equal_answers_are_one_row_with_the_share_and_its_interval() -> None:
    line = line_of()
    said = ["6"] * 6 + ["7"] * 3 + [str(100 + i) for i in range(15)]
    record = line.model_dump()
    offered = [rollout(record, 1, f"{i}: {word}", float(word == "6")) for i, word in enumerate(said)]
    found = evidence_of(line, offered).at(line, 1)
    assert (found["n"], found["right"], found["unlisted"]) == (24, 6, 5)
    assert found["interval"] == wilson(6, 24)
    assert found["answers"][:2] == [
        {"answer": "6", "n": 6, "right": 6, "share": wilson(6, 24)},
        {"answer": "7", "n": 3, "right": 0, "share": wilson(3, 24)},
    ]
    assert len(found["answers"]) == 12


def test_few_texts_of_an_outcome_are_kept_but_one_of_every_answer_and_equal_texts_once() -> None:
    line, same = line_of(), 5
    record = line.model_dump()
    offered = [rollout(record, 1, "the same 6", 1.0) for _ in range(same)]
    offered += [rollout(record, 1, f"{number}: 6", 1.0) for number in range(20)]
    offered += [rollout(record, 1, "other 8", 1.0)]
    texts = evidence_of(line, offered).at(line, 1)["texts"]
    assert [(one["text"], one["n"]) for one in texts] == [
        ("the same 6", 5), *[(f"{number}: 6", 1) for number in range(7)], ("other 8", 1),
    ]  # fmt: skip
    assert evidence_of(line, offered, room=0).at(line, 1)["texts"] == []


def test_the_pivotal_tokens_are_where_the_other_outcome_leaves_and_where_the_entropy_is_highest() -> None:
    ids, steps = [1, 2, 3, 4, 5, 6, 7], ["1 + 2", " = 4\n", "so 4"]
    ends = [1, 4, 5, 8, 10, 12, 14]
    changes = {"completion_ids": ids, "bounds": [0, 3, 5, 7], "ends": ends}
    line = CurveLine.model_validate(curve(5, "1 + 2 + 3 = ?", "6", steps, **changes))
    record = line.model_dump()
    own = rollout(record, 0, "".join(steps), 0.0) | {"action_ids": ids, "logprobs": [0.0] * 7}
    own["entropies"] = [0.01, 0.02, 0.03, 0.9, 0.2, 0.5, None]
    after = rollout(record, 1, "", 1.0)
    leaving = [after | {"action_ids": one} for one in ([4, 9], [4, 8, 1], [9], [4, 5, 6])]
    wrong = after | {"action_ids": [8, 8], "reward": 0.0}
    evidence = evidence_of(line, [own, *leaving, wrong])
    assert evidence.pivots_of(line, is_right=False) == {
        "1": {"peak": [0, 3, 0.9], "part": [3, 5, 2, 4]},
        "2": {"peak": [0, 2, 0.5]},
    }
    assert evidence.pivots_of(line_of(), is_right=False) == {}


@pytest.mark.parametrize("search", ["adaptive", "uniform", "bisect"])
def test_every_rule_picks_its_step_from_the_counts_and_the_runs_own_rule_keeps_its(search) -> None:
    counts = {"successes": [10, 10, 38, 1, 0], "trials": [40, 40, 40, 40, 1]}
    steps = ["a\n", "b\n", "c\n", "d"]
    line = CurveLine.model_validate(curve(1, "", "", steps, **counts))
    found = picks(line, search, 40)
    assert {rule: index for rule, (index, _) in found.items()} == {
        "signed": 1,
        "absolute": 2,
        "drop": 2,
        "as-released": 2,
    }
    assert found["drop"] == (2, 0.97)
    assert all(probability > 0.9 for _, probability in found.values())


def test_without_samples_there_is_the_recorded_step_and_no_other() -> None:
    line = line_of(successes=[0, 0, 0, 0], trials=[0, 0, 0, 1])
    assert picks(line, "adaptive", 4) == {"drop": (1, 0.97)}
    assert picks(line.model_copy(update={"critical": None}), "adaptive", 4) == {}


def test_agreement_counts_the_trajectories_where_both_rules_named_a_step() -> None:
    first = {"signed": (1, 0.5), "absolute": (2, 0.5), "drop": (2, 0.5), "as-released": (2, 0.5)}
    found = agreement([first, {"drop": (0, 1.0), "absolute": (0, 1.0)}])
    assert found["named"] == [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1]]
    assert found["same"] == [[1, 0, 0, 0], [0, 2, 2, 1], [0, 2, 2, 1], [0, 1, 1, 1]]


def test_rounds_are_points_over_the_tokens_spent_so_far(tmp_path) -> None:
    curves = [curve(number, "", "", STEPS, round=1) for number in range(2)]
    run = write_run(tmp_path / "run", curves, [])
    rounds = [
        {
            "round": 0,
            "tokens": {"evaluation": 99},
            "metrics": {},
            "evaluation": {"accuracy": 0.5, "stderr": 0.1},
        },
        {"round": 1, "tokens": {"explore": 7, "values": 3}, "metrics": {"sample/signal_groups_frac": 0.75}},
    ]
    (run / "rounds.jsonl").write_text("".join(json.dumps({**one, "sizes": {}}) + "\n" for one in rounds))
    first, second = series(read_run(run))
    assert (first["tokens"], first["accuracy"], first["signal"]) == (0, (0.5, 0.1), None)
    assert (second["tokens"], second["accuracy"], second["signal"]) == (10, (None, None), 0.75)
    assert second["reset"] == (0.9, 0.0)
    assert success_rate(read_run(run)) == (None, None)


def test_critical_steps_fall_into_the_tenth_of_the_tokens_where_they_begin() -> None:
    early = line_of(bounds=[0, 1, 2, 6])
    late = line_of(bounds=[1, 5, 5 + 1, 6])
    unsure = late.model_copy(update={"critical": late.critical.model_copy(update={"credibility": 0.5})})
    single = CurveLine.model_validate(curve(6, "1 + 2 = ?", "3", ["Answer: 4"]))
    assert (single.critical is None, single.named, single.is_credible(0.9)) == (False, None, False)
    assert picks(single, "adaptive", 1) == {}
    found = positions([early, late, unsure, single, line_of(critical=None)], 0.9)
    assert found == {"credible": [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], "other": [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]}
    assert mean_reset_value([early, line_of(critical=None)]) == (0.9, None)


def test_a_run_of_before_intervals_were_kept_has_those_of_its_counts() -> None:
    line = line_of(successes=[3, 0, 0, 0], trials=[4, 0, 4, 1])
    assert intervals(line) == [wilson(3, 4), None, wilson(0, 4), (0.0, 0.0)]
    kept = line_of(value_intervals=[[0.1, 0.2]] * 4)
    assert intervals(kept) == [(0.1, 0.2)] * 4


def test_the_pooled_intervals_of_values_hold_the_means_and_narrow_with_trials() -> None:
    def found(factor: int) -> list[tuple[float, float]]:
        path = PathPosterior(4, 0.0)
        path.fit([8 * factor, 7 * factor, 0, 0], [10 * factor, 10 * factor, 10 * factor, 0])
        estimate = pooled_estimate(path)
        for value, (low, high) in zip(estimate.values, estimate.value_intervals, strict=True):
            assert 0 <= low <= value <= high <= 1
        return estimate.value_intervals

    few, many = found(1), found(30)
    assert all(b[1] - b[0] < a[1] - a[0] for a, b in zip(few[:3], many[:3], strict=True))
    assert few[-1] == (0.0, 0.0)
    path = PathPosterior(4, None)
    assert pooled_estimate(path).value_intervals[-1] == (0.0, 1.0)
    assert paired_estimate(ValueCurve((0, 1, 2), (1, 2, 1), (4, 4, 1))).value_intervals == [
        wilson(1, 4),
        wilson(2, 4),
        (1.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"reward": "much"},
            "reward: input should be a valid number, got 'much'",
        ),
        (
            {"values": [0.5, None]},
            "values: has 2 entries, and 3 steps need 4; it was damaged since it was written",
        ),
        ({"successes": [5, 0, 0, 0]}, "successes.0: 5 is not between 0 and the 4 trials"),
        ({"bounds": [0, 4, 2, 6]}, "bounds: do not increase"),
        ({"bounds": [0, 2, 4, 60]}, "bounds: end at 60, behind the 6 completion_ids"),
        ({"steps": []}, "steps: is empty"),
        ({"critical": {"index": 1}}, "critical.advantage: field required"),
        ({"trials": [4, 4, "x", 1]}, "trials.2: input should be a valid integer"),
    ],
)
def test_an_edited_line_is_named_by_file_row_and_field(tmp_path, changes, told) -> None:
    with pytest.raises(InputError, match=re.escape(f"c.jsonl: row 3: {told}")):
        checked(Path("c.jsonl"), 3, CurveLine, curve(0, "", "", STEPS) | changes)


def refused(capsys, *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_cannot_be_reported_is_refused_in_one_line(tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", [curve(0, "", "", STEPS)], [])
    other = write_run(tmp_path / "other", [curve(0, "", "", STEPS)], [], task="another")
    empty = write_run(tmp_path / "empty", [], [])
    (empty / "problems.jsonl").unlink()
    measured = write_run(tmp_path / "measured", [], [])
    (measured / "run.json").write_text('{"command": "eval", "settings": {}}')
    (tmp_path / "nothing").mkdir()
    output = str(tmp_path / "page.html")
    assert "holds no run.json, so it is not a run" in refused(capsys, "report", str(tmp_path / "nothing"))
    assert "has nothing complete yet" in refused(capsys, "report", str(empty), "-o", output)
    assert "which locates nothing" in refused(capsys, "report", str(measured), "-o", output)
    assert "is of another, and" in refused(capsys, "report", str(run), str(other), "-o", output)
    assert "is named twice" in refused(capsys, "report", str(run), f"{run}/.", "-o", output)
    assert "is a folder; name a file" in refused(capsys, "report", str(run), "-o", str(tmp_path))
    assert "there is no folder" in refused(
        capsys, "report", str(run), "-o", str(tmp_path / "no" / "page.html")
    )
    assert "Missing argument 'RUNS...'" in refused(capsys, "report")
    with (run / "curves.jsonl").open("a") as file:
        file.write(json.dumps(curve(1, "", "", STEPS, finished="perhaps")) + "\n" + '{"torn": ')
    told = refused(capsys, "report", str(run), "-o", output)
    assert "run/curves.jsonl: row 2: finished: input should be a valid boolean" in told
    assert "run/curves.jsonl: row 2: finished" in refused(capsys, "show", str(run))
    assert not Path(output).exists()


def test_a_torn_last_line_is_passed_over_and_a_torn_line_between_is_named(tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", [curve(0, "", "", STEPS)], [])
    whole = (run / "curves.jsonl").read_text()
    (run / "curves.jsonl").write_text(whole + whole[:50])
    assert len(read_run(run).curves) == 1
    (run / "curves.jsonl").write_text(whole[:50] + "\n" + whole)
    assert "curves.jsonl: row 1: is not valid JSON" in refused(capsys, "report", str(run))


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path) -> None:
    paths = []
    for parent in ("first", "second"):
        (tmp_path / parent).mkdir()
        paths.append(write_run(tmp_path / parent / "run", [curve(0, "", "", STEPS)], []))
    assert [run.name for run in read_runs(paths)] == ["first/run", "second/run"]


def test_the_json_of_a_report_says_what_is_in_it(tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", [curve(0, "", "", STEPS)], [])
    main(["report", str(run), "-o", str(tmp_path / "page.html"), "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["trajectories"] == summary["located"] == 1
    assert summary["bytes"] == (tmp_path / "page.html").stat().st_size
    assert summary["notes"] == []


UPDATE = {"train/updates": 2.0, "train/rows": 4.0, "train/loss": 0.7, "train/rewards/margins": -0.5}


@pytest.mark.parametrize(
    ("rounds", "points"),
    [
        ([{"metrics": {"train/updates": 2.0}}], []),
        (
            [{"metrics": UPDATE}, {"metrics": UPDATE | {"train/loss": 0.5}}],
            [(2, 0.7, -0.5, None), (4, 0.5, -0.5, None)],
        ),
        (
            [{"metrics": UPDATE, "updates": [{"loss": 0.7}, {"loss": 0.3, "margin": 1.0, "accuracy": 0.5}]}],
            [(1, 0.7, None, None), (2, 0.3, 1.0, 0.5)],
        ),
    ],
    ids=["online", "rounds alone", "every update"],
)
def test_an_offline_run_has_its_losses_and_margins(tmp_path, rounds, points) -> None:
    run = write_run(tmp_path / "run", [], [])
    lines = [{"round": i, "tokens": {}, **one} for i, one in enumerate(rounds, start=1)]
    (run / "rounds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    found = updates(read_run(run))
    assert [(p["update"], p["loss"], p["margin"], p["accuracy"]) for p in found] == points


def test_many_updates_become_means_of_neighbours(tmp_path) -> None:
    run = write_run(tmp_path / "run", [], [])
    every = [{"loss": float(i)} for i in range(700)]
    line = {"round": 1, "tokens": {}, "metrics": UPDATE, "updates": every}
    (run / "rounds.jsonl").write_text(json.dumps(line) + "\n")
    found = updates(read_run(run))
    assert (len(found), found[0]["update"], found[0]["loss"]) == (234, 3, 1.0)
    assert (found[-1]["update"], found[-1]["loss"]) == (700, 699.0)
