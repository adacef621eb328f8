// Charts by Observable Plot, drawn to the width of their place and again when it changes.
"use strict";
{
  const defaults = { marginLeft: 42, marginRight: 18, marginTop: 14, marginBottom: 30, height: 200 };

  // Plot puts a style element into each figure, which the policy forbids; page.css has the same rules.
  R.plot = (options, width) => {
    const figure = Plot.plot({ ...defaults, ...options, width });
    for (const style of figure.querySelectorAll("style")) style.remove();
    return figure;
  };

  const observer = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const width = Math.floor(contentRect.width);
      if (width > 0 && target.drawnWidth !== width) target.draw(width);
    }
  });

  // A figure whose height is known before it is drawn, so that nothing below it moves.
  R.chart = (title, options, { note = null, drawn = null, name = "figure.chart" } = {}) => {
    const height = options.height ?? defaults.height;
    const place = R.h("div.plot", { role: "img", "aria-label": title });
    place.style.height = `${height}px`;
    place.draw = (width) => {
      place.drawnWidth = width;
      const figure = R.plot({ ...options, height }, width);
      place.replaceChildren(figure);
      if (drawn) drawn(figure, place);
    };
    observer.observe(place);
    return R.h(name, null, R.h("figcaption", null, title, note && R.h("small", null, note)), place);
  };

  const band = (point, name) => {
    const [mean, stderr] = point[name];
    const half = 1.96 * (stderr ?? 0);
    return [Math.max(0, mean - half), Math.min(1, mean + half)];
  };

  // Whole numbers to mark on an axis of counts: of few, each; never the same twice.
  R.wholeTicks = (low, high, num = 5) => d3.ticks(low, Math.max(high, low + 1), num).filter(Number.isInteger);

  const X = { tokens: "generated tokens, without evaluation", round: "round", update: "update" };
  const percents = { domain: [0, 1], ticks: 5, tickFormat: (v) => `${Math.round(100 * v)}%` };

  // Lines over tokens, rounds or updates, with a band of two standard errors where there are errors; null without points.
  R.lines = (runs, x, name, { points = "series", y = percents, format = (v) => R.percent(v, 1) } = {}) => {
    const rows = runs.flatMap((run, i) =>
      run[points]
        .filter((point) => point[name] != null && (!Array.isArray(point[name]) || point[name][0] != null))
        .map((point) => {
          const isRate = Array.isArray(point[name]);
          const y = isRate ? point[name][0] : point[name];
          const [low, high] = isRate ? band(point, name) : [y, y];
          return { x: point[x], y, low, high, run: i };
        }),
    );
    if (!rows.length) return null;
    const [first, last] = d3.extent(rows, (row) => row.x);
    const shown = runs.map((_, i) => rows.filter((row) => row.run === i)).filter((some) => some.length);
    return {
      x: { label: X[x], grid: false, ...(x === "tokens" ? { nice: true, tickFormat: "~s", ticks: 5 } : { tickFormat: "d", ticks: R.wholeTicks(first, last) }),
           ...(first === last ? { domain: [first - 1, first + 1], ticks: [first] } : {}) },
      y: { label: null, grid: true, ...y },
      marks: [
        ...shown.map((some) => Plot.areaY(some, { x: "x", y1: "low", y2: "high", fill: R.colour(some[0].run), fillOpacity: 0.16 })),
        ...shown.map((some) => Plot.lineY(some, { x: "x", y: "y", stroke: R.colour(some[0].run), strokeWidth: 2,
          strokeDasharray: R.dashes[some[0].run % 6] })),
        ...shown.filter((some) => some.length === 1).map((some) => Plot.ruleX(some, { x: "x", y1: "low", y2: "high", stroke: R.colour(some[0].run), strokeOpacity: 0.5 })),
        ...shown.filter((some) => some.length <= 60).map((some) => Plot.dot(some, { x: "x", y: "y", fill: R.colour(some[0].run), r: 3 })),
        Plot.tip(rows, Plot.pointer({ x: "x", y: "y", fill: "var(--card)", stroke: "var(--line)",
          title: (row) => `${R.visible(runs[row.run].name)}\n${x} ${R.count(row.x)}\n${format(row.y)}` +
            (row.high > row.low ? `  (${format(row.low)} … ${format(row.high)})` : "") })),
      ],
    };
  };

  // A trajectory's values small, for lists: a line, and a dot where the critical step begins.
  R.spark = (one) => {
    const [width, height] = [64, 20];
    const known = one.values.map((v, i) => [i, v]).filter(([, v]) => v != null);
    const at = ([i, v]) => [(2 + ((width - 4) * i) / one.steps.length).toFixed(1), (height - 3 - (height - 6) * v).toFixed(1)];
    const make = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const svg = make("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    svg.append(make("polyline", { points: known.map((p) => at(p).join(",")).join(" ") }));
    const index = one.critical?.index;
    if (index != null && one.values[index] != null) {
      const [cx, cy] = at([index, one.values[index]]);
      svg.append(make("circle", { cx, cy, r: 2.6 }));
    }
    return svg;
  };
}
