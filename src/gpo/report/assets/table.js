// Tables that sort by any column, and what is shown as a file: CSV and JSON made here, without a network.
"use strict";
{
  const compare = (a, b) => {
    if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1; // what is unknown comes last, either way
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  };

  // The rows in the order of {key, down}; a column is {key, label, value, show, rank}: `rank` is what it sorts by where that is not its value.
  R.sorted = (rows, columns, { key, down }) => {
    const column = columns.find((one) => one.key === key);
    if (!column) return rows;
    const rank = column.rank ?? column.value;
    const ranks = new Map(rows.map((row) => [row, rank(row)]));
    const sign = (a, b) => (down && ranks.get(a) != null && ranks.get(b) != null ? -1 : 1);
    return [...rows].sort((a, b) => sign(a, b) * compare(ranks.get(a), ranks.get(b)));
  };

  // A column's heading sorts by it, and the other way round at the second click; numbers begin with the largest.
  R.table = (name, columns, order, sort) => {
    const head = (column) => {
      const isNow = order.key === column.key;
      return R.h(`th${column.isText ? "" : ".number"}`, { scope: "col", "aria-sort": isNow ? (order.down ? "descending" : "ascending") : null },
        R.h("button.link", { type: "button", title: column.title ?? null, onclick: () => sort({ key: column.key, down: isNow ? !order.down : !column.isText }) },
          column.label, R.h("span.arrow", { "aria-hidden": "true" }, isNow ? (order.down ? " ▼" : " ▲") : "")));
    };
    return R.h(`table.${name}`, null, R.h("thead", null, R.h("tr", null, columns.map(head))), R.h("tbody"));
  };
  // Puts the lines into a place as far as they are scrolled to, some hundred at a time; returns what puts at least so many.
  R.growing = (place, scroller, makers) => {
    let done = 0;
    const upTo = (num) => { for (; done < Math.min(num, makers.length); done++) place.append(makers[done]()); };
    scroller.addEventListener("scroll", () => { if (scroller.scrollTop + scroller.clientHeight > scroller.scrollHeight - 800) upTo(done + 200); });
    upTo(200);
    return upTo;
  };
  R.cells = (columns, row) => columns.map((column) => R.h(`td${column.isText ? "" : ".number"}`, null, column.show ? column.show(row) : R.visible(column.value(row) ?? "–")));

  // A text that a spreadsheet would take for a formula gets an apostrophe before it; what is not seen is shown by its code.
  const FORMULA = /^[\s\u00a0'"]*[=+\-@\uff0b\uff0d\uff1d\uff20|%]/;
  const cell = (value) => {
    if (value == null) return "";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    const text = R.visible(value).replace(/\t/g, " ");
    return `"${(FORMULA.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;
  };
  R.csv = (columns, rows) =>
    [columns.map((column) => cell(column.name ?? column.key)), ...rows.map((row) => columns.map((column) => cell(column.value(row))))].map((line) => line.join(",")).join("\r\n") + "\r\n";

  // JSON that keeps every character, and shows none that could hide or reorder what stands beside it.
  const escaped = (c) => [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
  R.json = (content) => JSON.stringify(content, null, 1).replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, escaped) + "\n";

  R.download = (name, type, text) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    R.h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  };
  // Buttons that give the rows of the moment as a file.
  R.downloads = (name, columns, rows, whole) => {
    const file = `gpo-${name.replace(/[^\w.-]+/g, "-").slice(0, 60)}`;
    return R.h("span.downloads", null,
      R.h("button", { type: "button", title: "download what is listed as CSV", onclick: () => R.download(`${file}.csv`, "text/csv;charset=utf-8", R.csv(columns, rows())) }, "CSV"),
      R.h("button", { type: "button", title: "download what is listed as JSON", onclick: () => R.download(`${file}.json`, "application/json", R.json(rows().map(whole))) }, "JSON"));
  };

  // Copies the text as it is; the button says so for a moment. Pages from disk may lack the clipboard's own interface.
  R.copyButton = (label, text) => {
    const button = R.h("button", { type: "button", onclick: async () => {
      const isDone = await (navigator.clipboard?.writeText(text()).then(() => true, () => false) ?? false) || copied(text());
      button.textContent = isDone ? "copied" : "not allowed here";
      setTimeout(() => { button.textContent = label; }, 1500);
    } }, label);
    return button;
  };
  const copied = (text) => {
    const field = R.h("textarea.offscreen", { readonly: true });
    field.value = text;
    document.body.append(field);
    field.select();
    const isDone = document.execCommand("copy");
    field.remove();
    return isDone;
  };
}
