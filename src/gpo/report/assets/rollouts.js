// All rollouts from the state before a step: their answers counted, right beside wrong, and the tokens that decide.
"use strict";
{
  // Lines of two texts, and the first in which they differ.
  const linesOf = (text) => text.replace(/(<\|[^|<>\s]*\|>\s*)+$/, "").match(/[^\n]*\n+|[^\n]+/g) ?? [];
  const firstDifference = (left, right) => {
    const num = Math.max(left.length, right.length);
    for (let i = 0; i < num; i++) if ((left[i] ?? "").trim() !== (right[i] ?? "").trim()) return i;
    return null;
  };

  // The line with the word or number marked at which it leaves the other, as it differs from there on.
  const isWord = (c) => c != null && /[\p{L}\p{N}]/u.test(c);
  const marked = (line, other) => {
    const [a, b] = [line.trim(), (other ?? "").trim()];
    let start = 0;
    while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
    while (start > 0 && isWord(a[start - 1]) && (isWord(a[start]) || isWord(b[start]))) start--;
    let stop = start;
    while (stop < a.length && !isWord(a[stop])) stop++;
    while (isWord(a[stop])) stop++;
    return [R.visible(a.slice(0, start)), R.h("mark", null, R.visible(a.slice(start, stop)) || "∅"), R.visible(a.slice(stop))];
  };

  const side = (kind, choices, at, other, choose) => {
    const box = R.h(`section.side.${kind}`, { "aria-label": kind });
    const title = R.h("h4", null, kind === "right" ? "✓ right" : "✗ wrong");
    if (!choices.length) {
      box.append(title, R.h("p.hint", null, `no ${kind} continuation was sampled here`));
      return box;
    }
    const chosen = choices[at];
    const label = (choice, i) => (choice.isOwn ? "this one" : `${i + 1 - Number(choices[0].isOwn === true)}${choice.n > 1 ? ` ×${choice.n}` : ""}`);
    title.append(choices.length > 1 ? R.h("span.choices", null, choices.map((choice, i) =>
      R.h(`button.choice${i === at ? ".on" : ""}`, { type: "button", "aria-pressed": String(i === at), title: choice.n > 1 ? `sampled ${choice.n} times` : null, onclick: () => choose(i) },
        label(choice, i)))) : R.h("small", null, chosen.isOwn ? " this trajectory" : ""));
    const [own, rival] = [linesOf(chosen.text), other ? linesOf(other.text) : null];
    const first = rival && firstDifference(own, rival);
    box.append(title, R.h("ol.lines", null, own.map((line, i) => {
      if (first === i) return R.h("li.first", null, marked(line, rival[i]));
      return R.h(`li${first != null && i < first ? ".same" : ""}`, null, R.pieces(line.trim()));
    }), first != null && own.length <= first && R.h("li.first", null, R.h("mark", null, "ends here"))));
    if (chosen.left) box.append(R.h("p.hint", null, `… ${R.count(chosen.left)} more characters`));
    if (chosen.cut) box.append(R.h("p.hint", null, "cut by the token limit"));
    return box;
  };

  // Each final answer with how often it was given; a click shows a rollout that gave it.
  const answers = (one, found, pick) => {
    const said = (row) => (row.answer == null ? R.h("i", null, row.cut === row.n ? "cut by the token limit" : "no answer found") : R.h("b", null, R.visible(row.answer)));
    const isOwn = (row) => one.said != null && row.answer === one.said;
    const verdict = (row) => (row.right === row.n ? "✓ right" : row.right ? `right in ${row.right}` : "✗ wrong");
    const bar = (row) => {
      const track = R.h(`span.amount${row.right === row.n ? "" : ".wrong"}`, { "aria-hidden": "true" });
      track.style.setProperty("--share", row.n / found.n);
      return track;
    };
    const line = (row, i) => R.h("tr", null,
      R.h("td", null, R.h("button.link", { type: "button", title: "show one of these", onclick: () => pick(i) }, said(row)), isOwn(row) && R.h("small", null, " this trajectory")),
      R.h("td.number", null, bar(row), R.count(row.n)),
      R.h("td.number.share-of", null, `${R.percent(row.n / found.n)}`, R.h("small", null, ` (${R.percent(row.share[0]).replace(" %", "")} … ${R.percent(row.share[1])})`)),
      R.h("td", null, verdict(row)));
    const ownRow = one.said != null && !found.answers.some(isOwn) && R.h("tr", null, R.h("td", null, R.h("b", null, R.visible(one.said)), R.h("small", null, " this trajectory")), R.h("td.number", null, "0"), R.h("td"), R.h("td", null, one.right ? "✓ right" : "✗ wrong"));
    return R.h("div.scroll", null, R.h("table.answers", null,
      R.h("thead", null, R.h("tr", null, R.h("th", null, "final answer"), R.h("th.number", null, "rollouts"), R.h("th.number", null, "share, 95 %"), R.h("th", null, ""))),
      R.h("tbody", null, found.answers.map(line), ownRow, found.unlisted > 0 && R.h("tr", null, R.h("td", null, R.h("i", null, "further answers")), R.h("td.number", null, R.count(found.unlisted)), R.h("td"), R.h("td")))));
  };

  // A token of a step with what stands around it.
  const NEAR = 48;
  const around = (text, start, end) => R.h("q.token", null,
    start > NEAR ? "…" : "", R.visible(text.slice(Math.max(0, start - NEAR), start)), R.h("mark", null, R.visible(text.slice(start, end)).replace(/\n/g, "↵") || "∅"),
    R.visible(text.slice(end, end + NEAR).replace(/\s+$/, "")), end + NEAR < text.length ? "…" : "");
  const inside = (one, i) => {
    const { peak, part } = one.pivots?.[i] ?? {};
    const others = one.right ? "wrong" : "right";
    return (peak || part) && R.h("dl.inside", null,
      part && [R.h("dt", null, `${R.count(part[2])} of ${R.count(part[3])} ${others} rollouts part from it at`), R.h("dd", null, around(one.steps[i], part[0], part[1]))],
      peak && [R.h("dt", null, `least sure token, ${R.num(peak[2])} nats`), R.h("dd", null, around(one.steps[i], peak[0], peak[1]))]);
  };

  const heading = (one, i, found) => {
    const [right, num] = found ? [found.right, found.n] : [one.successes[i], one.trials[i]];
    if (!num) return [R.h("h3", null, `No rollouts were sampled just before step ${i}`)];
    const interval = found ? ` (95 %: ${R.percent(found.interval[0]).replace(" %", "")} … ${R.percent(found.interval[1])})` : "";
    const used = found && one.trials[i] !== num && ` The search counted ${R.count(one.trials[i])}.`;
    return [R.h("h3", null, `From just before step ${i}: ${right} of ${num} rollouts right`), R.h("p.hint", null, `Success ${R.percent(right / num)}${interval}.`, used)];
  };

  // The trajectory itself stands among the continuations.
  R.continuations = (one, link) => {
    const box = R.h("section.continuations", { "aria-label": "continuations" });
    let [shown, picked] = [null, { right: 0, wrong: 0 }];
    const draw = () => {
      const i = link.chosen ?? 0;
      const found = one.at[i];
      const own = { text: one.steps.slice(i).join(""), isOwn: true, cut: !one.finished };
      const of = (isRight) => [...(one.right === isRight ? [own] : []), ...(found?.texts ?? []).filter((text) => text.right === isRight)];
      const choices = { right: of(true), wrong: of(false) };
      const at = (kind) => choices[kind][picked[kind]];
      const pick = (kind) => (k) => { picked[kind] = k; draw(); };
      const show = (row) => {
        for (const kind of ["right", "wrong"]) {
          const k = choices[kind].findIndex((choice) => choice.a === row);
          if (k >= 0) picked[kind] = k;
        }
        draw();
      };
      box.replaceChildren(...heading(one, i, found), ...[found && answers(one, found, show), inside(one, i)].filter(Boolean), R.h("div.sides", null,
        side("right", choices.right, picked.right, at("wrong"), pick("right")),
        side("wrong", choices.wrong, picked.wrong, at("right"), pick("wrong"))));
    };
    link.listen((chosen) => {
      if (chosen === shown) return;
      [shown, picked] = [chosen, { right: 0, wrong: 0 }];
      draw();
    });
    return box;
  };
}
