// The list of trajectories, filtered and sorted, and one of them.
"use strict";
{
  const state = { run: "all", outcome: "all", sure: "all", sort: "effect", text: "", at: null };
  const strength = (one) => Math.abs(one.critical?.advantage ?? 0);
  const SORTS = {
    effect: ["largest |A|", (a, b) => strength(b.one) - strength(a.one)],
    surest: ["most certain", (a, b) => (b.one.critical?.probability ?? -1) - (a.one.critical?.probability ?? -1)],
    unsure: ["least certain", (a, b) => (a.one.critical?.probability ?? 2) - (b.one.critical?.probability ?? 2)],
    long: ["most steps", (a, b) => b.one.steps.length - a.one.steps.length],
    file: ["order of the run", () => 0],
  };
  const OUTCOMES = { all: "all", failed: "failed", right: "right", cut: "cut by the limit" };
  const isShown = ({ one, r }) =>
    (state.run === "all" || Number(state.run) === r) &&
    (state.outcome === "all" || (state.outcome === "cut" ? !one.finished : one.right === (state.outcome === "right"))) &&
    (state.sure === "all" || R.isCredible(one) === (state.sure === "yes")) &&
    (!state.text || `${one.question}\n${one.problem}\n${one.steps.join("")}`.toLowerCase().includes(state.text.toLowerCase()));

  const chosenOnes = () => {
    const all = R.data.runs.flatMap((run, r) => run.trajectories.map((one) => ({ one, r })));
    return all.filter(isShown).sort(SORTS[state.sort][1]);
  };

  const summary = (one) => {
    if (!one.critical) return "Too little changed, or nothing was sampled.";
    const { index, advantage, interval, probability, credibility, rule } = one.critical;
    return [R.h("b", null, `V ${R.num(one.values[index])} → ${R.num(one.values[index + 1])}`), `, A ${R.signed(advantage)} (95 %: ${R.range(interval)}). ` +
      `${R.percent(probability)} sure that it is the step of the rule `, R.h("i", null, R.visible(rule)), `, ${R.percent(credibility)} sure that |A| ≥ 0.2.`];
  };

  const head = ({ one, r }) => {
    const [text, , name] = R.standing(one);
    const question = R.prose(one.question || one.problem, "div.question");
    return R.h("header.verdict", null,
      R.h(`h2.${name}`, null, text, R.h("span.chip", null, one.right ? "✓ right" : "✗ failed", !one.finished && ", cut by the limit")),
      one.critical && R.h(`p.culprit.${name}`, null, R.h("q", null, R.pieces(one.steps[one.critical.index].trim().replace(/\s+/g, " ").slice(0, 240)))),
      R.h("p", null, summary(one)),
      R.h("div.asked", null, question, R.h("p.hint", null, "expected: ", ...R.pieces(one.answer), ` · ${R.plural(one.steps.length, "step")}, numbered from 0 · `,
        R.data.runs.length > 1 && `${R.visible(R.data.runs[r].name)} · `, `trajectory ${one.row}, round ${one.round} · `, R.count(one.tokens), " tokens of search")),
      one.given && R.h("details", null, R.h("summary", null, "given beginning"), R.prose(one.given)));
  };

  const show = (place, item) => {
    const { one } = item;
    const link = R.linked(one.critical?.index ?? 0);
    R.link = link;
    R.numSteps = one.steps.length;
    const list = R.stepList(one, link);
    place.replaceChildren(head(item), R.h("div.pair", null,
      R.h("div.column", null, R.h("div.legendline", null, R.h("span.gain", null, "■ raised the chance"), R.h("span.loss", null, "■ lowered it"), R.h("span", null, "left: V before · right: A")), list),
      R.h("div.column.sticky", null, R.stepCharts(one, link), R.continuations(one, link))));
    let before = link.chosen;
    link.listen((chosen) => {
      if (chosen !== before) list.children[chosen]?.scrollIntoView({ block: "nearest" });
      before = chosen;
    });
  };

  const row = (item, choose) => {
    const { one } = item;
    const button = R.h("button.item", { type: "button", onclick: () => choose(item) },
      R.h("span.mark", { title: one.right ? "right" : "failed" }, one.right ? "✓" : "✗"),
      R.h("span.what", null, R.short(one)),
      R.spark(one),
      R.h("span.how", null, one.critical ? `step ${one.critical.index}, A ${R.signed(one.critical.advantage)}${R.isCredible(one) ? "" : " ?"}` : "no step"));
    return R.h("li", null, button);
  };

  R.trajectories = (view, [run, number]) => {
    const list = R.h("ol.list", { "aria-label": "trajectories" });
    const detail = R.h("article.detail");
    const num = R.h("p.hint", { "aria-live": "polite" });
    let items = [];
    const choose = (item, isQuiet = false) => {
      state.at = item ? `${item.r}/${item.one.row}` : null;
      [...list.children].forEach((li, i) => li.firstChild.classList.toggle("on", items[i] === item));
      if (!item) return detail.replaceChildren(R.h("p.hint", null, "No trajectory is left: loosen the filters."));
      show(detail, item);
      const chosen = list.children[items.indexOf(item)];
      if (chosen && list.offsetParent) list.scrollTop = Math.max(0, chosen.offsetTop - list.offsetTop - list.clientHeight / 3);
      if (!isQuiet) history.replaceState(null, "", `#trajectories/${state.at}`);
    };
    const refresh = (isQuiet = false) => {
      items = chosenOnes();
      list.replaceChildren(...items.map((item) => row(item, choose)));
      num.textContent = `${items.length} of ${R.plural(R.data.runs.reduce((sum, one) => sum + one.trajectories.length, 0), "trajectory")}`;
      choose(items.find((item) => `${item.r}/${item.one.row}` === state.at) ?? items[0], isQuiet);
    };
    const set = (key) => (value) => { state[key] = value; refresh(); };
    if (run != null && number != null) {
      Object.assign(state, { at: `${run}/${number}` });
      if (!chosenOnes().some((item) => `${item.r}/${item.one.row}` === state.at)) Object.assign(state, { run: "all", outcome: "all", sure: "all", text: "" });
    }
    const search = R.h("input", { type: "search", id: "search", value: state.text, placeholder: "text in it", oninput: () => set("text")(search.value) });
    view.append(R.h("div.browse", null,
      R.h("details.side-list", { open: window.innerWidth >= 900 }, R.h("summary", null, "Choose a trajectory"),
        R.h("div.filters", null,
          R.data.runs.length > 1 && R.select("run", [["all", "all"], ...R.data.runs.map((one, i) => [String(i), one.name])], state.run, set("run")),
          R.select("outcome", Object.entries(OUTCOMES), state.outcome, set("outcome")),
          R.select("credible", [["all", "all"], ["yes", "yes"], ["no", "no"]], state.sure, set("sure")),
          R.select("sort by", Object.entries(SORTS).map(([key, [label]]) => [key, label]), state.sort, set("sort")),
          R.h("label.field", null, R.h("span", null, "search"), search)), num, list),
      detail));
    refresh(true);
    R.nextTrajectory = (by) => {
      const now = items.findIndex((item) => `${item.r}/${item.one.row}` === state.at);
      const next = items[Math.max(0, Math.min(items.length - 1, now + by))];
      if (next && next !== items[now]) choose(next);
    };
  };
}
