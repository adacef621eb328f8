// Runs on the trajectories they share, or the rules on those of one run.
"use strict";
{
  const state = { what: null, at: null };
  const shared = (runs) => {
    const [first, ...others] = runs.map((run) => new Map(run.trajectories.map((one) => [one.key, one])));
    return [...first.keys()].filter((key) => others.every((other) => other.has(key))).map((key) => [first, ...others].map((run) => run.get(key)));
  };

  // Rows of {title, one, columns: [{label, step, probability}], curves}.
  const byRuns = (runs) => shared(runs).map((ones) => ({
    one: ones[0], curves: ones,
    columns: ones.map((one, i) => ({ label: runs[i].name, step: one.critical?.index, probability: one.critical?.probability })),
  }));
  const byRules = (run) => run.trajectories.filter((one) => Object.keys(one.rules).length > 1).map((one) => ({
    one, curves: [one],
    columns: R.data.rules.filter((rule) => one.rules[rule]).map((rule) => ({ label: rule, step: one.rules[rule][0], probability: one.rules[rule][1] })),
  }));
  const certainty = (row) => Math.min(...row.columns.map((column) => column.probability ?? 0));
  const numDifferent = (row) => new Set(row.columns.map((column) => column.step ?? -1)).size;

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
      height: 44 + 30 * labels.length, marginTop: 8, marginBottom: 30, x: R.stepDomain(num), y: { axis: null, domain: labels },
      marks: [
        Plot.ruleY(labels, { stroke: "var(--line)" }),
        Plot.text(labels, { y: (d) => d, frameAnchor: "left", dx: 2, dy: -9, fontSize: 11 }),
        Plot.dot(picks, { x: (d) => d.step + 0.5, y: "name", r: 7, fill: (d) => (isRuns ? R.colour(d.i) : "var(--curve)"), fillOpacity: (d) => 0.25 + 0.75 * (d.probability ?? 0), stroke: (d) => (isRuns ? R.colour(d.i) : "var(--curve)") }),
        Plot.text(picks, { x: (d) => d.step + 0.5, y: "name", dy: 14, fontSize: 10, text: (d) => R.percent(d.probability) }),
        R.stepAxis(num, "step"),
      ],
      color: { type: "identity" },
    }, link, num, { note: "fuller: likelier to be the rule's step" });
    return [isRuns && R.legend(labels), chart, lanes];
  };

  const show = (place, row, isRuns) => {
    const link = R.linked(row.columns[0].step ?? 0);
    R.link = link;
    R.numSteps = row.one.steps.length;
    const tags = (i) => {
      const names = row.columns.filter((column) => column.step === i).map((column) => R.h("span.chip", null, R.visible(column.label)));
      return names.length ? R.h("div.tags", null, "named by ", names) : null;
    };
    const list = R.stepList({ ...row.one, critical: null }, link, tags);
    place.replaceChildren(R.h("header.verdict", null,
      R.h("h2", null, numDifferent(row) === 1 ? "All name the same step" : `${numDifferent(row)} different steps`),
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
      rows.sort((a, b) => numDifferent(b) - numDifferent(a) || certainty(b) - certainty(a));
      const detail = R.h("article.detail");
      const same = rows.filter((row) => numDifferent(row) === 1).length;
      const table = R.h("table.comparison", null,
        R.h("thead", null, R.h("tr", null, R.h("th", null, "trajectory"), rows[0].columns.map((column) => R.h("th.number", null, R.visible(column.label))))),
        R.h("tbody"));
      let now = 0;
      const choose = (k) => {
        now = k;
        [...table.tBodies[0].rows].forEach((line, i) => line.classList.toggle("on", i === k));
        show(detail, rows[k], isRuns);
      };
      rows.forEach((row, k) => {
        const first = row.columns[0].step;
        table.tBodies[0].append(R.h("tr", { onclick: () => choose(k) },
          R.h("td", null, R.h("button.link", { type: "button" }, R.short(row.one).slice(0, 80))),
          row.columns.map((column) => R.h(`td.number${column.step === first ? "" : ".differs"}`, null, column.step ?? "–"))));
      });
      body.replaceChildren(R.h("p", null, `The same step in ${same} of ${R.count(rows.length)} trajectories. Click one, or use ← and →.`),
        R.h("div.scroll.tall", null, table), detail);
      choose(0);
      R.nextTrajectory = (by) => choose(Math.max(0, Math.min(rows.length - 1, now + by)));
    };
    view.append(R.h("div.head", null, R.h("h2", null, "Compare"), R.select("compare", options, state.what, (value) => { state.what = value; draw(); })), body);
    draw();
  };
}
