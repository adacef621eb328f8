// Elements, numbers and text. Everything that comes from data becomes a text node here, never markup.
"use strict";
const R = {};
R.all = JSON.parse(document.getElementById("data").textContent);
R.data = R.all.runs ? R.all : null; // of an index: the report that is chosen

// h("p.note", {title: ""}, "text", child): strings become text nodes, null and false are passed over.
R.h = (name, attributes, ...children) => {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
};

// What is not seen as itself (controls, directions, joiners, tags, halves of characters) would hide or reorder what stands
// beside it: shown by its code. So is what is more than 8 accents on one letter.
const code = (c) => `⟨${c.codePointAt(0).toString(16).padStart(4, "0")}⟩`;
R.visible = (text) =>
  String(text)
    .replace(/\r\n/g, "\n")
    .replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, code)
    .replace(/(?<=\p{M}{8})\p{M}+/gu, (marks) => [...marks].map(code).join(""));

const minus = (text) => text.replace("-", "−");
R.num = (value, digits = 2) => (value == null ? "–" : minus(value.toFixed(digits)));
R.signed = (value, digits = 2) => (value == null ? "–" : (value >= 0 ? "+" : "") + R.num(value, digits));
R.range = ([low, high]) => `${R.signed(low)} … ${R.signed(high)}`;
R.percent = (value, digits = 0) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`);
R.count = (value) => (value == null ? "–" : value.toLocaleString("en-US"));
R.plural = (number, noun) => `${R.count(number)} ${number === 1 ? noun : noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;

// What a question has beyond the beginning that all questions share, for lists.
{
  let [known, start] = [null, 0];
  const find = () => {
    known = R.data;
    const questions = R.data.runs.flatMap((run) => run.trajectories.map((one) => (one.question || one.problem).replace(/\s+/g, " ")));
    let common = questions.length > 1 ? questions[0] : "";
    for (const text of questions) while (!text.startsWith(common)) common = common.slice(0, -1);
    start = common.length >= 16 ? common.lastIndexOf(" ") + 1 : 0;
  };
  R.short = (one) => {
    if (known !== R.data) find();
    const text = (one.question || one.problem).replace(/\s+/g, " ");
    return R.visible((start && start < text.length ? `… ${text.slice(start)}` : text).slice(0, 100));
  };
}

// Rules of which one looks for a rise and the other for a fall, so that they differ by construction.
R.areOpposite = (a, b) => [a, b].sort().join() === "drop,signed";

R.option = (value, label) => R.h("option", { value }, R.visible(label));
R.select = (label, options, value, change) => {
  const select = R.h("select", { onchange: () => change(select.value) },
    options.map(([key, text]) => R.option(key, text)));
  select.value = value;
  return R.h("label.field", null, R.h("span", null, label), select);
};

// Runs differ in colour and in dash, so that neither a colour-blind reader nor a printer loses them.
R.dashes = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2"];
R.colour = (i) => `var(--run${i % 6})`;
R.swatch = (i) => {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("class", "swatch");
  line.setAttribute("viewBox", "0 0 26 8");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M0 4H26");
  path.setAttribute("stroke-dasharray", R.dashes[i % 6]);
  path.style.stroke = R.colour(i);
  line.append(path);
  return line;
};
R.legend = (names) =>
  R.h("ul.legend", null, names.map((name, i) => R.h("li", null, R.swatch(i), R.visible(name))));
