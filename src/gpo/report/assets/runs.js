// The index of many runs: a table that sorts, filters and saves, each run with its report behind a link.
"use strict";
{
  const state = { order: { key: "run", down: false }, text: "" };
  const rate = (name, part = 0) => (row) => row[name]?.[part];
  const share = (name) => (row) => (row[name] == null ? "" : R.percent(row[name][0], 1) + (row[name][1] == null ? "" : ` ± ${(100 * row[name][1]).toFixed(1)}`));
  const count = (name) => ({ key: name, label: name, value: (row) => row[name], show: (row) => (row[name] == null ? "" : R.count(row[name])) });
  const text = (name) => ({ key: name, label: name, value: (row) => row[name], isText: true });
  // Of a path only its end; the whole is told where it is pointed at.
  const last = (name) => (row) => (row[name] == null ? "" : R.h("span", { title: R.visible(row[name]) }, R.visible(row[name].split("/").at(-1))));
  const success = (row) => {
    const [first, now] = [row.before, row.after ?? row.rate];
    return now == null ? "" : (first ? `${R.num(100 * first[0], 1)} → ` : "") + share(row.after ? "after" : "rate")(row);
  };
  const done = (row) => (row.rounds != null ? R.plural(row.rounds, "round") : row.problems != null ? R.plural(row.problems, "problem") : row.rows?.pairs != null ? R.plural(row.rows.pairs, "pair") : "");
  const link = (row) => (row.report == null ? R.visible(row.run) : R.h("a", { href: `#r${row.report}/overview` }, R.visible(row.run)));
  const COLUMNS = [
    { ...text("run"), show: link }, text("command"), { ...text("model"), show: last("model") }, { ...text("task"), show: last("task") }, text("state"),
    { key: "done", label: "done", value: (row) => row.rounds ?? row.problems ?? row.rows?.pairs, show: done },
    { key: "success", label: "success", title: "in percent, with its standard error; of a training before and after", value: (row) => (row.after ?? row.rate)?.[0], show: success },
    count("located"), count("credible"), count("tokens"),
  ];
  const FILE = [
    ...COLUMNS.filter(({ key }) => !["done", "success"].includes(key)), count("rounds"), count("problems"),
    ...["rate", "before", "after"].flatMap((name) => [{ key: name, value: rate(name) }, { key: `${name}_stderr`, value: rate(name, 1) }]), text("error"),
  ];
  const listed = () => R.sorted(R.all.index.filter((row) => Object.values(row).join("\n").toLowerCase().includes(state.text.toLowerCase())), COLUMNS, state.order);

  R.runs = (view) => {
    const place = R.h("div.scroll.card");
    const used = COLUMNS.filter((column) => R.all.index.some((row) => column.value(row) != null));
    const draw = () => {
      const table = R.table("runs", used, state.order, (order) => { state.order = order; draw(); });
      table.tBodies[0].append(...listed().map((row) => R.h("tr", { title: row.error ? R.visible(row.error) : null }, R.cells(used, row))));
      place.replaceChildren(table);
    };
    const search = R.h("input", { type: "search", id: "search", value: state.text, placeholder: "text in it", oninput: () => { state.text = search.value; draw(); } });
    const damaged = R.all.index.filter((row) => row.error);
    view.append(R.h("div.head", null, R.h("h2", null, R.plural(R.all.index.length, "run")), R.h("label.field", null, R.h("span", null, "search"), search),
      R.downloads("runs", FILE, listed, ({ report, ...row }) => row)), place,
      ...damaged.map((row) => R.h("p.note", null, R.visible(row.error))));
    draw();
  };
}
