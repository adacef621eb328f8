// Which trajectories are listed: filtered, sorted by any column, grouped by question, as a list or a wide table.
"use strict";
{
  const state = { run: "all", outcome: "all", sure: "all", order: { key: "sure", down: true }, text: "", isGrouped: false, isWide: false };
  R.listState = state;

  const critical = (name) => ({ one }) => one.critical?.[name];
  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
  const percent = (value) => (row) => R.percent(value(row));
  const number = (value, form) => (row) => form(value(row));
  const beside = (offset) => ({ one }) => (one.critical ? one.values[one.critical.index + offset] : null);
  const COLUMNS = [
    { key: "outcome", label: "✓", title: "right or failed", value: ({ one }) => (one.right ? "right" : one.finished ? "failed" : "failed, cut"), show: ({ one }) => (one.right ? "✓" : "✗"), isText: true },
    { key: "question", label: "question", value: ({ one }) => one.question || one.problem, show: ({ one }) => R.h("button.link", { type: "button" }, R.short(one)), isText: true },
    { key: "said", label: "answer", value: ({ one }) => one.said, isText: true },
    { key: "step", label: "step", value: critical("index") },
    { key: "advantage", label: "A", title: "sorts by its size", value: critical("advantage"), rank: ({ one }) => (one.critical ? Math.abs(one.critical.advantage ?? 0) : null), show: number(critical("advantage"), R.signed) },
    { key: "credibility", label: "credible", title: "P(|A| ≥ 0.2)", value: critical("credibility"), show: percent(critical("credibility")) },
    { key: "probability", label: "P", title: "that it is the rule's step", value: critical("probability"), show: percent(critical("probability")) },
    { key: "before", label: "V before", value: beside(0), show: number(beside(0), R.num) },
    { key: "after", label: "V after", value: beside(1), show: number(beside(1), R.num) },
    { key: "steps", label: "steps", value: ({ one }) => one.steps.length },
    { key: "length", label: "tokens", value: ({ one }) => total(one.num_tokens), show: ({ one }) => R.count(total(one.num_tokens)) },
    { key: "spent", label: "searched", title: "tokens of its search", value: ({ one }) => one.tokens, show: ({ one }) => R.count(one.tokens) },
    { key: "round", label: "round", value: ({ one }) => one.round },
    { key: "row", label: "no.", title: "order of the run", value: ({ one }) => one.row },
  ];
  // What sorts and is no column: the credible ones first, the largest change first among them.
  const SURE = { key: "sure", label: "credible first", value: ({ one }) => (R.isCredible(one) ? 2 : 0) + Math.min(1, Math.abs(one.critical?.advantage ?? -1)) };
  const ALL = [SURE, ...COLUMNS];
  const run = (item) => R.data.runs[item.r];
  const FILE = [
    { key: "run", value: (item) => run(item).name }, ...COLUMNS.map((column) => (column.key === "row" ? { ...column, name: "trajectory" } : column)),
    { key: "problem", value: ({ one }) => one.problem }, { key: "expected", value: ({ one }) => one.answer }, { key: "reward", value: ({ one }) => one.reward },
    { key: "low", value: ({ one }) => one.critical?.interval[0] }, { key: "high", value: ({ one }) => one.critical?.interval[1] },
    { key: "rule", value: critical("rule") }, { key: "step_text", value: ({ one }) => (one.critical ? one.steps[one.critical.index] : null) },
    { key: "trace", value: ({ one }) => one.given + one.steps.join("") },
  ];

  const OUTCOMES = { all: "all", failed: "failed", right: "right", cut: "cut by the limit" };
  const SURES = { all: "all", yes: "credible", half: "at least 50 %", no: "not credible" };
  const isSure = (one) => ({ all: true, yes: R.isCredible(one), half: (one.critical?.credibility ?? 0) >= 0.5, no: !R.isCredible(one) })[state.sure];
  const searched = new WeakMap();
  const textOf = (one) => {
    if (!searched.has(one)) searched.set(one, `${one.question}\n${one.problem}\n${one.steps.join("")}`.toLowerCase());
    return searched.get(one);
  };
  const isShown = ({ one, r }) =>
    (state.run === "all" || Number(state.run) === r) &&
    (state.outcome === "all" || (state.outcome === "cut" ? !one.finished : one.right === (state.outcome === "right"))) &&
    isSure(one) && (!state.text || textOf(one).includes(state.text.toLowerCase()));

  // The items of the moment; grouped, those of a question stand together, in the order of each question's first.
  R.listed = () => {
    const items = R.sorted(R.data.runs.flatMap((run, r) => run.trajectories.map((one) => ({ one, r }))).filter(isShown), ALL, state.order);
    return state.isGrouped ? [...d3.group(items, ({ one }) => one.problem + one.question).values()].flat() : items;
  };

  const groupTitle = (items) => {
    const credible = items.filter(({ one }) => R.isCredible(one)).length;
    const counts = ` ${R.plural(items.length, "trajectory")}, ${items.filter(({ one }) => one.right).length} right, ${credible} credible`;
    return [R.h("b", null, R.short(items[0].one)), items.length > 1 && R.h("small", null, counts)];
  };
  const asItem = (item, choose) => {
    const { one } = item;
    return R.h("li", null, R.h("button.item", { type: "button", onclick: () => choose(item) },
      R.h("span.mark", { title: one.right ? "right" : "failed" }, one.right ? "✓" : "✗"),
      R.h("span.what", null, !state.isGrouped ? R.short(one) : one.said == null ? `trajectory ${one.row}` : `answers ${R.visible(one.said)}`),
      R.spark(one),
      R.h("span.how", null, one.critical ? `step ${one.critical.index}, A ${R.signed(one.critical.advantage)}${R.isCredible(one) ? "" : " ?"}` : "no step")));
  };
  const asLine = (columns) => (item, choose) => R.h("tr.item", { onclick: () => choose(item) }, R.cells(columns, item));

  // The list or the table, and the element of each item, by which the chosen one is marked.
  R.listing = (items, choose, sort) => {
    const columns = COLUMNS.filter((column) => column.key !== "round" || items.some(({ one }) => one.round));
    const make = state.isWide ? asLine(columns) : asItem;
    const groups = state.isGrouped ? d3.group(items, ({ one }) => one.problem + one.question) : new Map([[null, items]]);
    const title = (some) => (state.isWide ? R.h("tr.group", null, R.h("td", { colspan: columns.length }, groupTitle(some))) : R.h("li.group", null, groupTitle(some)));
    const elements = new Map();
    const put = (item) => () => { elements.set(item, make(item, choose)); return elements.get(item); };
    const places = new Map();
    const makers = [...groups].flatMap(([key, some]) => [...(key == null ? [] : [() => title(some)]), ...some.map(put)]);
    let at = 0;
    for (const some of groups.values()) {
      at += Number(state.isGrouped);
      for (const item of some) places.set(item, ++at);
    }
    const table = state.isWide && R.table("listing", columns, state.order, sort);
    const list = table ? R.h("div.list.wide-list", null, table) : R.h("ol.list", { "aria-label": "trajectories" });
    const upTo = R.growing(table ? table.tBodies[0] : list, list, makers);
    let marked = null;
    const mark = (item) => {
      marked?.classList.remove("on");
      if (item) upTo(places.get(item));
      const element = elements.get(item);
      marked = element?.matches(".item") ? element : element?.firstChild;
      marked?.classList.add("on");
      return element;
    };
    return { list, mark };
  };

  R.filters = (set) => {
    const search = R.h("input", { type: "search", id: "search", value: state.text, placeholder: "text in it", oninput: () => set("text")(search.value) });
    const turn = R.h("button", { type: "button", id: "turn", title: "the other way round", onclick: () => set("order")({ ...state.order, down: !state.order.down }) }, "⇅");
    const check = (key, label) => {
      const box = R.h("input", { type: "checkbox", id: key, checked: state[key], onchange: () => set(key)(box.checked) });
      return R.h("label.check", null, box, R.h("span", null, label));
    };
    const order = R.select("sort by", ALL.map(({ key, label, title }) => [key, key === "outcome" ? title : label]), state.order.key, (key) => set("order")({ key, down: !COLUMNS.find((one) => one.key === key)?.isText }));
    order.append(turn);
    order.classList.add("sorting");
    return R.h("div.filters", null,
      R.data.runs.length > 1 && R.select("run", [["all", "all"], ...R.data.runs.map((one, i) => [String(i), one.name])], state.run, set("run")),
      R.select("outcome", Object.entries(OUTCOMES), state.outcome, set("outcome")),
      R.select("credible", Object.entries(SURES), state.sure, set("sure")),
      order,
      R.h("label.field", null, R.h("span", null, "search"), search),
      R.h("div.checks", null, check("isGrouped", "group by question"), check("isWide", "all columns"),
        R.downloads(R.data.runs.map((one) => one.name).join("-"), FILE, R.listed, (item) => ({ run: run(item).name, ...item.one }))));
  };
}
