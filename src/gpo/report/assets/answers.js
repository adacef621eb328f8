// Answers of a solved run: a table that sorts, filters and saves, and behind each problem its attempts and its text.
"use strict";
{
  const state = { order: { key: "problem", down: false }, text: "" };
  const verdict = (row) => (row.right == null ? "" : row.right ? "right" : "wrong");
  const said = (row) => (row.answer == null ? "(none)" : R.visible(row.answer.replace(/\s+/g, " ").slice(0, 100)));
  const link = (row) => R.h("a", { href: R.address("answers", String(R.data.answers.indexOf(row))) }, R.visible(row.problem));
  const COLUMNS = [
    { key: "problem", label: "problem", value: (row) => row.problem, isText: true, show: link },
    { key: "answer", label: "answer", value: (row) => row.answer, isText: true, show: said },
    { key: "right", label: "outcome", value: verdict, isText: true },
    { key: "votes", label: "votes", title: "attempts with this answer", value: (row) => row.votes, show: (row) => `${row.votes} of ${row.attempts.length}` },
    { key: "share", label: "share", title: "of the scores of all attempts", value: (row) => row.share, show: (row) => R.num(row.share) },
    { key: "tokens", label: "tokens", value: (row) => row.tokens, show: (row) => R.count(row.tokens) },
  ];
  const ATTEMPTS = [
    { key: "number", label: "attempt", value: (row) => row.number },
    { key: "start", label: "began after", title: "tokens of an earlier attempt that it kept", value: (row) => row.start, show: (row) => (row.start ? R.plural(row.start, "token") : "the prompt") },
    { key: "answer", label: "answer", value: (row) => row.answer, isText: true, show: (row) => (row.finished ? said(row) : "(cut)") },
    { key: "right", label: "outcome", value: verdict, isText: true },
    { key: "score", label: "score", value: (row) => row.score, show: (row) => R.num(row.score) },
    { key: "tokens", label: "tokens by then", value: (row) => row.tokens, show: (row) => R.count(row.tokens) },
  ];
  const listed = () => R.sorted(R.data.answers.filter((row) => `${row.problem}\n${row.answer ?? ""}\n${row.text}`.toLowerCase().includes(state.text.toLowerCase())), COLUMNS, state.order);
  const filled = (columns, rows, order, sort) => {
    const table = R.table("runs", columns, order, sort);
    table.tBodies[0].append(...rows.map((row) => R.h("tr", null, R.cells(columns, row))));
    return table;
  };

  const list = (view) => {
    const place = R.h("div.scroll.card");
    const draw = () => place.replaceChildren(filled(COLUMNS, listed(), state.order, (order) => { state.order = order; draw(); }));
    const search = R.h("input", { type: "search", id: "search", value: state.text, placeholder: "text in it", oninput: () => { state.text = search.value; draw(); } });
    const known = R.data.answers.filter((row) => row.right != null);
    const rate = known.length ? ` · ${R.percent(known.filter((row) => row.right).length / known.length)} of ${R.count(known.length)} right` : "";
    view.append(R.h("div.head", null, R.h("h2", null, `${R.plural(R.data.answers.length, "problem")}${rate}`), R.h("label.field", null, R.h("span", null, "search"), search),
      R.downloads("answers", COLUMNS, listed, (row) => row)), place);
    draw();
  };
  const one = (view, row) => {
    const place = R.h("div.scroll.card");
    const attempts = row.attempts.map((attempt, i) => ({ ...attempt, number: i + 1 }));
    const draw = (order) => place.replaceChildren(filled(ATTEMPTS, R.sorted(attempts, ATTEMPTS, order), order, draw));
    view.append(R.h("p", null, R.h("a", { href: R.address("answers") }, "all problems")), R.h("h2", null, R.visible(row.problem)),
      R.h("p", null, `${said(row)} · ${row.votes} of ${R.plural(row.attempts.length, "attempt")} · ${R.plural(row.tokens, "token")}${row.right == null ? "" : ` · ${verdict(row)}`}`),
      R.h("div.card.prose", null, R.visible(row.text)), place);
    draw({ key: "number", down: false });
  };

  R.answers = (view, [number]) => {
    const row = R.data.answers[Number(number ?? NaN)];
    if (row) one(view, row);
    else list(view);
  };
}
