// Runs on the trajectories they share, or the rules on those of one run.
"use strict";
{
  const state = { what: null, at: null };
  const shared = (runs) => {
    const [first, ...others] = runs.map((run) => new Map(run.trajectories.map((one) => [one.key, one])));
    return [...first.keys()].filter((key) => others.every((other) => other.has(key))).map((key) => [first, ...others].map((run) => run.get(key)));
  };

  // Rows of {one, columns: [{label, step, probability}], reference, curves}; `reference` is the column that others are held against.
  const byRuns = (runs) => shared(runs).map((ones) => ({
    one: ones[0], curves: ones, reference: 0,
    columns: ones.map((one, i) => ({ label: runs[i].name, step: one.critical?.index, probability: one.critical?.probability })),
  }));
  const byRules = (run) => {
    const own = run.trajectories.find((one) => one.critical && R.data.rules.includes(one.critical.rule))?.critical.rule ?? "absolute";
    return run.trajectories.filter((one) => Object.keys(one.rules).length > 1).map((one) => ({
      one, curves: [one], reference: R.data.rules.indexOf(own),
      columns: R.data.rules.map((rule) => ({ label: rule, step: one.rules[rule]?.[0], probability: one.rules[rule]?.[1], isApart: R.areOpposite(rule, own) })),
    }));
  };
  const comparable = (row) => row.columns.filter((column) => !column.isApart);
  const isSame = (row, column) => column.step === row.columns[row.reference].step;
  const numDifferent = (row) => new Set(comparable(row).map((column) => column.step ?? -1)).size;
  // What the step of a column changed, as its own run has it.
  const effect = (row, column) => Math.abs((row.curves[row.columns.indexOf(column)] ?? row.one).advantages[column.step] ?? 0);
  // How surely and by how much they differ: where two name two steps, the chance that both are right by what is at stake, over all pairs.
  const disagreement = (row) => comparable(row).reduce((sum, a, i, all) => all.slice(i + 1).reduce((more, b) =>
    more + (a.step === b.step ? 0 : (a.probability ?? 0) * (b.probability ?? 0) * Math.max(effect(row, a), effect(row, b))), sum), 0);
  // The step that opens: the one that changed most of those that are named.
  const widest = (row) => d3.greatest(comparable(row), (column) => (column.step == null ? -1 : effect(row, column)))?.step ?? 0;

  const overlay = (row, link, isRuns) => {
    const num = row.one.steps.length;
    const labels = row.columns.map((column) => R.visible(column.label));
    const picks = row.columns.map((column, i) => ({ ...column, name: labels[i], i })).filter((column) => column.step != null);
    const chart = R.linkedChart("V: chance of success", {
      height: 230, marginBottom: 24, x: R.stepDomain(num),
      y: { domain: [0, 1], grid: true, ticks: 3, label: null, tickFormat: (v) => `${Math.round(100 * v)}%` },
      marks: [...row.curves.flatMap((one, i) => R.valueMarks(one, isRuns ? R.colour(i) : "var(--curve)", isRuns ? R.dashes[i % 6] : "")), R.stepAxis(num, null)],
    }, link, num, { note: "band: 95 %" });
    const lanes = R.linkedChart("The step each names", {
      height: 44 + 38 * labels.length, marginTop: 12, marginBottom: 30, x: R.stepDomain(num), y: { axis: null, domain: labels },
      marks: [
        Plot.ruleY(labels, { stroke: "var(--line)" }),
        Plot.text(labels, { y: (d) => d, frameAnchor: "left", dx: 2, dy: -14, fontSize: 11 }),
        Plot.dot(picks, { x: (d) => d.step + 0.5, y: "name", r: 7, fill: (d) => (isRuns ? R.colour(d.i) : "var(--curve)"), fillOpacity: (d) => 0.25 + 0.75 * (d.probability ?? 0), stroke: (d) => (isRuns ? R.colour(d.i) : "var(--curve)") }),
        Plot.text(picks, { x: (d) => d.step + 0.5, y: "name", dy: 14, fontSize: 10, text: (d) => R.percent(d.probability) }),
        R.stepAxis(num, "step"),
      ],
      color: { type: "identity" },
    }, link, num, { note: "fuller: likelier to be the rule's step" });
    return [isRuns && R.legend(labels), chart, lanes];
  };

  const apart = (row) => {
    const name = row.columns.find((column) => column.isApart)?.label;
    return name ? `, ${name} aside` : "";
  };

  const summary = (rows) => {
    const { columns, reference } = rows[0];
    const others = columns.flatMap((column, i) => (i === reference || column.isApart ? [] :
      [`${R.visible(column.label)} in ${R.count(rows.filter((row) => isSame(row, row.columns[i])).length)}`]));
    const aside = columns.find((column) => column.isApart)?.label;
    return `The same step as ${R.visible(columns[reference].label)}, of ${R.plural(rows.length, "trajectory")}: ${others.join(", ")}.` +
      (aside ? ` ${aside} looks for ${aside === "signed" ? "a rise" : "a fall"} and is not counted.` : "") + " The surest and largest differences come first.";
  };

  const show = (place, row, isRuns) => {
    const link = R.linked(widest(row));
    R.link = link;
    R.numSteps = row.one.steps.length;
    const tags = (i) => {
      const names = row.columns.filter((column) => column.step === i).map((column) => R.h("span.chip", null, R.visible(column.label)));
      return names.length ? R.h("div.tags", null, "named by ", names) : null;
    };
    const list = R.stepList({ ...row.one, critical: null }, link, tags);
    place.replaceChildren(R.h("header.verdict", null,
      R.h("h2", null, (numDifferent(row) === 1 ? "All name the same step" : `${numDifferent(row)} different steps`) + apart(row)),
      R.prose(row.one.question || row.one.problem, "div.question")),
      R.h("div.pair", null, R.h("div.column", null, list), R.h("div.column.sticky", null, overlay(row, link, isRuns))));
  };

  R.compare = (view) => {
    const runs = R.data.runs;
    const options = [];
    if (runs.length > 1) options.push(["runs", "the runs"]);
    runs.forEach((run, i) => options.push([`rules${i}`, runs.length > 1 ? `the rules on ${run.name}` : "the rules"]));
    state.what ??= options[0][0];
    const body = R.h("div");
    const draw = () => {
      const isRuns = state.what === "runs";
      const rows = isRuns ? byRuns(runs) : byRules(runs[Number(state.what.slice(5))]);
      if (!rows.length) {
        const why = isRuns ? "These runs share no trajectory, so only their rounds can be compared (see the overview). Runs of gpo locate with the same model, task and seed share theirs."
          : "No trajectory here was sampled at its boundaries, so every rule but the run's own has nothing to go by.";
        body.replaceChildren(R.h("p.note", null, why));
        R.nextTrajectory = null;
        R.link = null;
        return;
      }
      rows.sort((a, b) => disagreement(b) - disagreement(a));
      const detail = R.h("article.detail");
      const table = R.h("table.comparison", null,
        R.h("thead", null, R.h("tr", null, R.h("th", null, "trajectory"), rows[0].columns.map((column) => R.h("th.number", null, R.visible(column.label))))),
        R.h("tbody"));
      let now = 0;
      const choose = (k) => {
        now = k;
        upTo(k + 1);
        [...table.tBodies[0].rows].forEach((line, i) => line.classList.toggle("on", i === k));
        show(detail, rows[k], isRuns);
      };
      const scroller = R.h("div.scroll.tall", null, table);
      const upTo = R.growing(table.tBodies[0], scroller, rows.map((row, k) => () =>
        R.h("tr", { onclick: () => choose(k) },
          R.h("td", null, R.h("button.link", { type: "button" }, R.short(row.one).slice(0, 80))),
          row.columns.map((column) => R.h(`td.number${isSame(row, column) || column.isApart ? "" : ".differs"}${column.isApart ? ".hint" : ""}`, null, column.step ?? "–")))));
      body.replaceChildren(R.h("p", null, summary(rows)),
        scroller, detail);
      choose(0);
      R.nextTrajectory = (by) => choose(Math.max(0, Math.min(rows.length - 1, now + by)));
    };
    view.append(R.h("div.head", null, R.h("h2", null, "Compare"), R.select("compare", options, state.what, (value) => { state.what = value; draw(); })), body);
    draw();
  };
}
