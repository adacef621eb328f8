// The first page: what the runs came to, and where their reasoning broke.
"use strict";
{
  const PURPOSES = {
    explore: "first rollouts", values: "value estimates", resets: "resets", archive: "archived states",
    fill: "missing sides of pairs", evaluation: "evaluation",
  };

  const tile = (value, label, note) =>
    R.h("div.tile", null, R.h("strong", null, value), R.h("span", null, label), note && R.h("small", null, note));

  const tiles = (runs) => {
    const sum = (pick) => runs.reduce((total, run) => total + pick(run), 0);
    const [num, credible] = [sum((run) => run.num), sum((run) => run.credible)];
    const found = num ? [
      tile(R.count(num), "located trajectories", `${R.count(sum((run) => run.failed))} of them failed`),
      tile(R.count(credible), credible === 1 ? "has a credible step" : "have a credible step", `${R.percent(credible / num, credible && credible / num < 0.1 ? 1 : 0)}; P(|A| ≥ 0.2) at least ${R.data.credible_at}`),
    ] : [];
    found.push(
      tile(R.count(sum((run) => Object.values(run.ledger).reduce((a, b) => a + b, 0))), "generated tokens", "evaluation included"),
    );
    const name = (run, label) => (runs.length > 1 ? `${R.visible(run.name)}: ${label}` : label);
    const error = (stderr) => stderr != null && `± ${R.percent(stderr, 1)} (s.e.)`;
    for (const run of runs) {
      if (run.rate[0] != null) found.push(tile(R.percent(run.rate[0]), name(run, "success rate"), error(run.rate[1])));
      if (run.reset[0] != null) found.push(tile(R.percent(run.reset[0]), name(run, "mean V of reset states"), error(run.reset[1])));
      const learned = run.updates.filter((point) => point.loss != null);
      if (learned.length) {
        const across = (name, form) => (learned.length > 1 ? `${form(learned[0][name])} → ${form(learned.at(-1)[name])}` : form(learned[0][name]));
        found.push(tile(across("loss", R.num), name(run, "loss"), `${R.count(learned.at(-1).update)} updates`));
        if (learned[0].margin != null) found.push(tile(across("margin", R.signed), name(run, "margin"), "chosen above rejected, in reward"));
      }
      const rates = run.series.filter((point) => point.accuracy[0] != null);
      if (!rates.length) continue;
      const [first, last] = [rates[0].accuracy, rates.at(-1).accuracy];
      found.push(tile(`${R.percent(first[0])} → ${R.percent(last[0])}`,
        name(run, "held-out accuracy"), error(last[1])));
    }
    return R.h("div.tiles", null, found);
  };

  const learning = (all) => {
    // The chunks of problems of a locate are one policy's: its rates are tiles, not curves.
    const runs = all.filter((run) => run.command !== "locate");
    if (!runs.length) return [];
    const hasTokens = runs.some((run) => run.series.some((point) => point.tokens > 0));
    const grid = R.h("div.charts");
    const draw = (x) => {
      const charts = [
        ["accuracy", "Accuracy on held-out problems", "band: ± 1.96 standard errors"],
        ["reward", "Mean reward of first rollouts", "of each round's problems"],
        ["signal", "Groups with signal", "share of groups at prompts whose rewards differ"],
        ["reset", "V of the reset states", "mean value before the critical step; signal is largest at 50%"],
      ];
      grid.replaceChildren(...charts.flatMap(([name, title, note]) => {
        const options = R.lines(runs, x, name);
        return options ? [R.chart(title, options, { note })] : [];
      }));
      return grid.children.length;
    };
    const field = hasTokens && R.select("over", [["tokens", "tokens"], ["round", "rounds"]], "tokens", draw);
    return draw(hasTokens ? "tokens" : "round") ? [R.h("div.head", null, R.h("h2", null, "Rounds"), field), runs.length > 1 && R.legend(runs.map((r) => r.name)), grid] : [];
  };

  // What a preference loss came to, update by update.
  const updates = (runs) => {
    const plain = { points: "updates", y: { nice: true, ticks: 5, tickFormat: "~g" }, format: R.num };
    const charts = [
      ["loss", "Loss", "of each update", plain],
      ["margin", "Margin", "reward of the chosen answer above the rejected one's", plain],
      ["accuracy", "Pairs in order", "share with the chosen answer's reward above", { ...plain, y: undefined, format: undefined }],
    ].flatMap(([name, title, note, more]) => {
      const options = R.lines(runs, "update", name, more);
      return options ? [R.chart(title, options, { note })] : [];
    });
    return charts.length ? [R.h("h2", null, "Updates"), R.h("div.charts", null, charts)] : [];
  };

  const ledger = (runs) => {
    const found = new Set([...Object.keys(PURPOSES), ...runs.flatMap((run) => Object.keys(run.ledger))]);
    const names = [...found].filter((name) => runs.some((run) => run.ledger[name]));
    const label = (name) => PURPOSES[name] ?? R.visible(name);
    const colour = (name) => names.indexOf(name) % 5;
    const rows = runs.flatMap((run, i) => names.map((name) => ({ run: R.visible(run.name), name, tokens: run.ledger[name] ?? 0, i })));
    const total = (run) => Object.values(run.ledger).reduce((a, b) => a + b, 0);
    const table = R.h("table", null,
      R.h("thead", null, R.h("tr", null, R.h("th", null, "tokens for"), runs.map((run) => R.h("th.number", null, R.visible(run.name))))),
      R.h("tbody", null,
        names.map((name) => R.h("tr", null, R.h("th", null, R.h(`span.key.purpose${colour(name)}`), label(name)),
          runs.map((run) => R.h("td.number", null, R.count(run.ledger[name] ?? 0))))),
        R.h("tr.total", null, R.h("th", null, "total"), runs.map((run) => R.h("td.number", null, R.count(total(run)))))));
    const chart = R.chart("Where the tokens went", {
      height: 50 + 34 * runs.length, marginLeft: 8, marginTop: 6,
      x: { label: null, tickFormat: "~s", ticks: 5, grid: true }, y: { axis: null, domain: runs.map((run) => R.visible(run.name)) },
      marks: [Plot.barX(rows, { x: "tokens", y: "run", fill: (row) => `var(--purpose${colour(row.name)})`, stroke: "var(--card)",
        title: (row) => `${row.run}: ${label(row.name)} ${R.count(row.tokens)}` })],
      color: { type: "identity" },
    });
    chart.append(table);
    return chart;
  };

  const positions = (runs) => {
    if (!runs.some((run) => run.named)) return null;
    const rows = [];
    for (let tenth = 0; tenth < 10; tenth++)
      for (const kind of ["credible", "other"])
        rows.push({ x1: 10 * tenth, x2: 10 * tenth + 10, kind, num: runs.reduce((sum, run) => sum + run.positions[kind][tenth], 0) });
    let low = 0;
    rows.forEach((row, i) => { low = i % 2 ? low : 0; row.y1 = low; row.y2 = low += row.num; });
    return R.chart("Where in the trace the critical step begins", {
      x: { domain: [0, 100], label: "share of the trace's tokens before it", tickFormat: (v) => `${v}%`, ticks: 5 },
      y: { label: null, grid: true, ticks: R.wholeTicks(0, d3.max(rows, (row) => row.y2), 4), tickFormat: "d" },
      marks: [
        Plot.rect(rows.filter((row) => row.num), { x1: "x1", x2: "x2", y1: "y1", y2: "y2", inset: 1,
          fill: (row) => (row.kind === "credible" ? "var(--accent)" : "transparent"), stroke: "var(--accent)",
          title: (row) => `${row.x1} to ${row.x2} %: ${row.num} ${row.kind === "credible" ? "credible" : "less sure"}` }),
        Plot.ruleY([0], { stroke: "var(--line)" }),
      ],
      color: { type: "identity" },
    }, { note: "filled: credible; outlined: less sure" });
  };

  const rules = (runs) => {
    const names = R.data.rules;
    const sum = (kind, a, b) => runs.reduce((total, run) => total + run.agreement[kind][a][b], 0);
    if (!names.some((_, a) => sum("named", a, a))) return null;
    const cell = (a, b) => {
      if (a === b) return R.h("td.self", null, "·");
      if (R.areOpposite(names[a], names[b])) return R.h("td.self", { title: "one looks for a rise, the other for a fall" }, "–");
      const named = sum("named", a, b);
      const share = named ? sum("same", a, b) / named : null;
      const found = R.h("td.share", { title: `the same step in ${sum("same", a, b)} of ${named}` }, R.percent(share));
      found.style.setProperty("--share", share ?? 0);
      return found;
    };
    return R.h("figure.chart", null,
      R.h("figcaption", null, "How often two rules name the same step",
        R.h("small", null, `over ${R.plural(sum("named", 1, 1), "trajectory")}, from the same rollouts`)),
      R.h("div.scroll", null, R.h("table.matrix", null,
        R.h("thead", null, R.h("tr", null, R.h("th"), names.map((name) => R.h("th", null, name)))),
        R.h("tbody", null, names.map((name, a) => R.h("tr", null, R.h("th", null, name), names.map((_, b) => cell(a, b))))))),
      R.h("p.hint", null, "signed: the largest rise · absolute: the largest change · drop: the largest fall, so it is not held against signed · as-released: the highest value at a step's start"));
  };

  const surest = (runs) => {
    const all = runs.flatMap((run, r) => run.trajectories.map((one) => ({ one, r })))
      .filter(({ one }) => one.critical && !one.right && one.critical.advantage < 0)
      .sort((a, b) => b.one.critical.credibility - a.one.critical.credibility || a.one.critical.advantage - b.one.critical.advantage);
    const credible = all.filter(({ one }) => R.isCredible(one));
    if (!all.length) return null;
    const title = credible.length ? "Where it broke most surely" : "No step is credible; the likeliest so far";
    const more = "More rollouts make it surer (--search-traces). Where no value is above 0, no step can lower it: raise --max-tokens, or take other problems or another model.";
    return R.h("section", null, R.h("div.head", null, R.h("h2", null, title), R.h("a", { href: R.address("trajectories") }, "all trajectories →")),
      !credible.length && R.h("p", null, more),
      R.h("ol.breaks", null, (credible.length ? credible : all).slice(0, 4).map(({ one, r }) => {
        const i = one.critical.index;
        return R.h("li", null, R.h(`a.break${R.isCredible(one) ? "" : ".unsure"}`, { href: R.address("trajectories", r, one.row) },
          R.h("span.where", null, `step ${i} of 0 to ${one.steps.length - 1}`, R.spark(one)),
          R.h("q", null, R.visible(one.steps[i].trim().slice(0, 120)) || "(blank)"),
          R.h("span.change", null, `V ${R.num(one.values[i])} → ${R.num(one.values[i + 1])}`, R.h("small", null, `${R.percent(one.critical.credibility)} credible`))));
      })));
  };

  const settings = (runs) => R.h("details.settings", null, R.h("summary", null, "Settings"), R.h("div.scroll", null, R.h("table", null,
    R.h("thead", null, R.h("tr", null, R.h("th"), runs.map((run) => R.h("th", null, R.visible(run.name))))),
    R.h("tbody", null, [...new Set(runs.flatMap((run) => Object.keys(run.settings)))].map((key) => R.h("tr", null, R.h("th", null, key),
      runs.map((run) => R.h("td", null, R.visible(run.settings[key] ?? "–")))))))));

  R.overview = (view) => {
    const runs = R.data.runs;
    const located = [positions(runs), rules(runs)].filter(Boolean);
    view.append(tiles(runs), surest(runs) ?? "", ...learning(runs).filter(Boolean), ...updates(runs), R.h("h2", null, located.length ? "Critical steps and their cost" : "Cost"),
      R.h("div.charts", null, ledger(runs), ...located), settings(runs));
  };
}
