// One trajectory: its steps as text, the charts beside them, and the continuations sampled at a boundary.
"use strict";
{
  // What is pointed at or chosen in one place is shown in all; listeners get (chosen step, step pointed at).
  R.linked = (chosen) => {
    const link = { chosen, pointed: null, listeners: [] };
    const tell = () => link.listeners.forEach((listen) => listen(link.chosen, link.pointed));
    link.point = (i) => { if (i !== link.pointed) { link.pointed = i; tell(); } };
    link.choose = (i) => { link.chosen = i; link.pointed = null; tell(); };
    link.listen = (listen) => { link.listeners.push(listen); listen(link.chosen, link.pointed); };
    return link;
  };

  R.isCredible = (one) => one.critical != null && one.critical.credibility >= R.data.credible_at;

  // What every place says of a trajectory's critical step, so that none contradicts another: [headline, flag, colour].
  R.standing = (one) => {
    if (!one.critical) return [one.steps.length === 1 ? "A single step, so nothing to compare" : "No step was named critical", null, "flat"];
    const { index, advantage, probability } = one.critical;
    if (!R.isCredible(one)) return [`No credible step; the likeliest is ${index}`, "likeliest step, not credible", "flat"];
    const isSure = probability >= 0.5;
    const [verb, colour] = advantage < 0 ? ["reaks", "loss"] : ["urns right", "gain"];
    const place = `${verb} ${isSure ? "at" : "around"} step ${index}`;
    return [(advantage < 0 ? "B" : "T") + place, `critical step: it ${advantage < 0 ? "b" : "t"}${verb} ${isSure ? "here" : "around here"}`, colour];
  };

  R.stepList = (one, link, tags = () => null) => {
    const list = R.h("ol.steps", { "aria-label": "steps" });
    one.steps.forEach((text, i) => {
      const change = one.advantages[i];
      const isCritical = one.critical?.index === i;
      const item = R.h(`li.step${isCritical ? ".critical" : ""}${isCritical && !R.isCredible(one) ? ".unsure" : ""}`, { tabindex: "-1", onclick: () => link.choose(i),
        onpointerenter: () => link.point(i), onpointerleave: () => link.point(null) },
        R.h("div.rail", null, R.h("b", null, isCritical ? `${R.isCredible(one) ? "▶" : "▷"} ${i}` : String(i)), R.h("small", { title: "V before this step" }, R.num(one.values[i]))),
        R.h("div.body", null,
          isCritical && R.h("div.flag", null, R.standing(one)[1]),
          R.prose(text), tags(i)),
        R.h("div.change", { title: "what the step changed: A, and its 95 % interval" },
          R.h("b", null, R.signed(change)), R.h("small", null, change == null ? "" : R.range(one.intervals[i]))));
      if (change != null) {
        item.classList.add(change < 0 ? "loss" : "gain");
        item.style.setProperty("--strength", Math.min(1, Math.abs(change)).toFixed(3));
      }
      list.append(item);
    });
    link.listen((chosen, pointed) => {
      [...list.children].forEach((item, i) => {
        item.classList.toggle("chosen", i === chosen);
        item.classList.toggle("pointed", i === pointed);
        if (i === chosen) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
      });
    });
    return list;
  };

  // Which columns of a step chart belong to what is pointed at or chosen, and back from the pointer to a step.
  const connect = (link, numSteps) => (figure, place) => {
    const x = figure.scale("x");
    const make = (name) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      rect.setAttribute("class", name);
      rect.setAttribute("y", 0);
      rect.setAttribute("height", figure.getAttribute("height"));
      figure.append(rect);
      return rect;
    };
    const [chosenBand, pointedBand] = [make("band chosen"), make("band pointed")];
    const put = (rect, i) => {
      rect.setAttribute("visibility", i == null ? "hidden" : "visible");
      if (i == null) return;
      rect.setAttribute("x", x.apply(i));
      rect.setAttribute("width", x.apply(i + 1) - x.apply(i));
    };
    place.mark = (chosen, pointed) => { put(chosenBand, chosen); put(pointedBand, pointed); };
    place.mark(link.chosen, link.pointed);
    const at = (event) => {
      const box = figure.getBoundingClientRect();
      return Math.max(0, Math.min(numSteps - 1, Math.floor(x.invert(event.clientX - box.left))));
    };
    figure.addEventListener("pointermove", (event) => link.point(at(event)));
    figure.addEventListener("pointerleave", () => link.point(null));
    figure.addEventListener("click", (event) => link.choose(at(event)));
  };

  R.linkedChart = (title, options, link, numSteps, more = {}) => {
    const chart = R.chart(title, { marginLeft: 42, marginRight: 10, ...options }, { ...more, drawn: connect(link, numSteps), name: "figure.chart.linked" });
    const place = chart.querySelector(".plot");
    link.listen((chosen, pointed) => place.mark?.(chosen, pointed));
    return chart;
  };

  R.stepAxis = (num, label) => {
    const every = Math.max(1, Math.ceil(num / 14));
    const centres = d3.range(0, num, every).map((i) => i + 0.5);
    return Plot.axisX(centres, { tickFormat: (v) => String(v - 0.5), tickSize: 0, label });
  };
  R.stepDomain = (num) => ({ domain: [-0.35, num + 0.35] });

  R.valuePoints = (one) =>
    one.values.map((v, i) => ({ i, v, low: one.bands[i]?.[0] ?? null, high: one.bands[i]?.[1] ?? null, n: one.trials[i] })).filter((p) => p.v != null);

  R.valueMarks = (one, colour, dash = "") => {
    const points = R.valuePoints(one);
    return [
      Plot.areaY(points.filter((p) => p.low != null), { x: "i", y1: "low", y2: "high", fill: colour, fillOpacity: 0.16 }),
      Plot.lineY(points, { x: "i", y: "v", stroke: colour, strokeWidth: 2, strokeDasharray: dash }),
      Plot.dot(points, { x: "i", y: "v", r: 3, stroke: colour, strokeWidth: 1.5, fill: (p) => (p.n ? colour : "var(--card)") }),
    ];
  };

  R.stepCharts = (one, link) => {
    const num = one.steps.length;
    const critical = one.critical?.index;
    const sign = one.critical?.advantage >= 0 ? "gain" : "loss";
    const isSure = R.isCredible(one);
    const values = R.linkedChart("V: chance of success", {
      height: 190, marginTop: 20, marginBottom: 24, x: R.stepDomain(num),
      y: { domain: [0, 1], grid: true, ticks: 3, label: null, tickFormat: (v) => `${Math.round(100 * v)}%` },
      marks: [
        critical != null && Plot.rect([critical], { x1: (i) => i, x2: (i) => i + 1, y1: 0, y2: 1, fill: `var(--${sign})`, fillOpacity: isSure ? 0.22 : 0.06 }),
        critical != null && Plot.text([critical], { x: (i) => i + 0.5, y: 1, dy: -10, fontWeight: 700, fill: `var(--${sign}-text)`,
          text: () => `${isSure ? "▼" : "▽"} A ${R.signed(one.critical.advantage)}` }),
        ...R.valueMarks(one, "var(--curve)"),
        R.stepAxis(num, null),
      ],
    }, link, num, { note: "band: 95 %; filled: sampled there" });
    const probabilities = one.probabilities.some((p) => p != null) && R.linkedChart("P: is this the step?", {
      height: 74, marginTop: 10, marginBottom: 8, x: { ...R.stepDomain(num), axis: null },
      y: { domain: [0, 1], ticks: 2, label: null, tickFormat: (v) => `${Math.round(100 * v)}%`, grid: true },
      marks: [Plot.rect(one.probabilities.map((p, i) => ({ p, i })).filter((row) => row.p > 0), { x1: (r) => r.i, x2: (r) => r.i + 1, y1: 0, y2: "p",
        inset: 0.5, fill: (r) => (r.i === critical && isSure ? `var(--${sign})` : "var(--curve)") }), Plot.ruleY([0], { stroke: "var(--line)" })],
      color: { type: "identity" },
    }, link, num, { note: one.critical ? `rule: ${R.visible(one.critical.rule)}` : null });
    const trials = one.trials.slice(0, -1).map((n, i) => ({ i, n, wins: one.successes[i] })).filter((row) => row.n);
    const spent = trials.length > 0 && R.linkedChart("Rollouts spent before each step", {
      height: 86, marginTop: 10, marginBottom: 24, x: R.stepDomain(num),
      y: { ticks: R.wholeTicks(0, d3.max(trials, (row) => row.n), 2), label: null, grid: true, tickFormat: "d" },
      marks: [
        Plot.rect(trials, { x1: (r) => r.i - 0.3, x2: (r) => r.i + 0.3, y1: 0, y2: "wins", fill: "var(--gain)" }),
        Plot.rect(trials, { x1: (r) => r.i - 0.3, x2: (r) => r.i + 0.3, y1: "wins", y2: "n", fill: "var(--loss)", fillOpacity: 0.25, stroke: "var(--loss)" }),
        Plot.ruleY([0], { stroke: "var(--line)" }), R.stepAxis(num, "step"),
      ],
    }, link, num, { note: "filled: right; outlined: wrong" });
    const readout = R.h("p.readout", { "aria-live": "polite" });
    link.listen((chosen, pointed) => { readout.textContent = reading(one, pointed ?? chosen); });
    return R.h("div.curves", null, values, readout, probabilities, spent);
  };

  const reading = (one, i) => {
    if (i == null) return "";
    const sure = one.probabilities[i] == null ? "" : `; P ${R.num(one.probabilities[i])}`;
    return `step ${i}: V ${R.num(one.values[i])} → ${R.num(one.values[i + 1])}, A ${R.signed(one.advantages[i])} (${R.range(one.intervals[i])})${sure}; ` +
      `right ${one.successes[i]} of ${one.trials[i]} before it`;
  };
}
