// The list of trajectories, filtered and sorted, and one of them.
"use strict";
{
  const state = R.listState;

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
      R.h(`h2.${name}`, null, text, R.h("span.chip", null, one.right ? "✓ right" : "✗ failed", !one.finished && ", cut by the limit"), R.copyButton("copy trace", () => one.given + one.steps.join(""))),
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

  R.trajectories = (view, [run, number]) => {
    const place = R.h("div");
    const detail = R.h("article.detail");
    const num = R.h("p.hint", { "aria-live": "polite" });
    const name = (item) => `${item.r}/${item.one.row}`;
    let [items, shown] = [[], null];
    const choose = (item, isQuiet = false) => {
      state.at = item ? name(item) : null;
      const [chosen, list] = [shown.mark(item), shown.list];
      if (!item) return detail.replaceChildren(R.h("p.hint", null, "No trajectory is left: loosen the filters."));
      show(detail, item);
      if (chosen && list.offsetParent) list.scrollTop = Math.max(0, chosen.offsetTop - list.offsetTop - list.clientHeight / 3);
      if (!isQuiet) history.replaceState(null, "", R.address("trajectories", state.at));
    };
    const refresh = (isQuiet = false) => {
      items = R.listed();
      shown = R.listing(items, choose, set("order"));
      place.replaceChildren(shown.list);
      browse.classList.toggle("is-wide", state.isWide);
      num.textContent = `${items.length} of ${R.plural(R.data.runs.reduce((sum, one) => sum + one.trajectories.length, 0), "trajectory")}`;
      choose(items.find((item) => name(item) === state.at) ?? items[0], isQuiet);
    };
    const filters = R.h("div");
    const fill = () => filters.replaceChildren(R.filters(set));
    const set = (key) => (value) => {
      state[key] = value;
      if (key === "order") fill();
      refresh();
    };
    if (run != null && number != null) {
      Object.assign(state, { at: `${run}/${number}` });
      if (!R.listed().some((item) => name(item) === state.at)) Object.assign(state, { run: "all", outcome: "all", sure: "all", text: "" });
    }
    const browse = R.h("div.browse", null,
      R.h("details.side-list", { open: window.innerWidth >= 900 }, R.h("summary", null, "Choose a trajectory"), filters, num, place), detail);
    view.append(browse);
    fill();
    refresh(true);
    R.nextTrajectory = (by) => {
      const now = items.findIndex((item) => name(item) === state.at);
      const next = items[Math.max(0, Math.min(items.length - 1, now + by))];
      if (next && next !== items[now]) choose(next);
    };
  };
}
