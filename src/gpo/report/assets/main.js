// The three views, their addresses, keys, and light or dark.
"use strict";
{
  const VIEWS = { overview: ["Overview", R.overview], trajectories: ["Trajectories", R.trajectories], compare: ["Compare", R.compare] };
  const INDEX = { runs: ["Runs", R.runs] };
  const SOLVED = { answers: ["Answers", R.answers] };
  let at = ""; // of an index: the run that is chosen, as its addresses begin
  const view = document.getElementById("view");
  const tabs = document.getElementById("tabs");

  R.address = (...parts) => `#${at}${parts.join("/")}`;
  let isSearching = false;

  const choose = (number) => {
    const data = number == null ? null : R.all.reports[number]?.data;
    at = data ? `r${number}/` : "";
    if (data === R.data) return;
    R.data = data ?? null;
    Object.assign(R.listState, { run: "all", outcome: "all", sure: "all", text: "", at: null });
  };
  // Those that have something to show: where nothing is located there is an overview alone.
  const views = () => ({
    ...(R.all.index ? INDEX : {}),
    ...(!R.data ? {} : R.data.answers ? SOLVED : R.data.runs.some((run) => run.trajectories.length) ? VIEWS : { overview: VIEWS.overview }),
  });
  const about = () => {
    document.getElementById("names").textContent = R.data ? R.data.runs.map((run) => R.visible(run.name)).join(" · ") : "";
    document.getElementById("notes").replaceChildren(...(R.data?.notes ?? []).map((note) => R.h("p.note", null, R.visible(note))));
    tabs.replaceChildren(...Object.entries(views()).map(([name, [label]]) => {
      const tab = R.h("a", { href: name === "runs" ? "#runs" : R.address(name) }, label);
      tab.dataset.view = name;
      return tab;
    }));
  };
  const go = () => {
    let [name, ...rest] = location.hash.slice(1).split("/");
    if (R.all.index) {
      const isRun = /^r\d+$/.test(name);
      choose(isRun ? Number(name.slice(1)) : null);
      if (isRun) [name, ...rest] = rest;
    }
    const shown = !R.data ? "runs" : name !== "runs" && Object.hasOwn(views(), name) ? name : R.data.answers ? "answers" : "overview";
    R.link = R.nextTrajectory = null;
    about();
    view.replaceChildren();
    view.className = shown;
    views()[shown][1](view, rest);
    for (const tab of tabs.children) {
      if (tab.dataset.view === shown) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
    }
    window.scrollTo(0, 0);
    if (isSearching && shown === "trajectories") toSearch();
  };
  // The same place with other data.
  R.refresh = (data) => {
    const height = window.scrollY;
    R.all = R.data = data;
    go();
    window.scrollTo(0, height);
  };

  const KEYS = [["1 2 3", "the views from the left"], ["↑ ↓ or k j", "step before, step after"], ["← → or h l", "trajectory before, after"],
    ["c", "to the critical step"], ["/", "search the trajectories"], ["t", "light or dark"], ["?", "these keys"]];
  const help = document.getElementById("help");
  help.append(R.h("h2", null, "Keys"), R.h("dl", null, KEYS.flatMap(([key, text]) => [R.h("dt", null, R.h("kbd", null, key)), R.h("dd", null, text)])),
    R.h("button", { type: "button", onclick: () => help.close() }, "close"));

  const theme = () => {
    const root = document.documentElement;
    const isDark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = isDark ? "light" : "dark";
  };

  const stepBy = (by) => {
    if (!R.link) return;
    R.link.choose(Math.max(0, Math.min(R.numSteps - 1, (R.link.chosen ?? 0) + by)));
  };
  const toCritical = () => {
    const index = [...document.querySelectorAll(".step")].findIndex((item) => item.classList.contains("critical"));
    if (R.link && index >= 0) R.link.choose(index);
  };
  const toSearch = () => {
    isSearching = false;
    const field = document.getElementById("search");
    const fold = field.closest("details");
    if (fold) fold.open = true;
    field.focus();
  };
  const search = () => {
    if (view.className === "trajectories") return toSearch();
    if (["runs", "answers"].includes(view.className)) return toSearch();
    if (!Object.hasOwn(views(), "trajectories")) return;
    isSearching = true; // until that view is there
    location.hash = R.address("trajectories");
  };
  const actions = {
    1: () => tabs.children[0]?.click(), 2: () => tabs.children[1]?.click(), 3: () => tabs.children[2]?.click(), 4: () => tabs.children[3]?.click(),
    ArrowUp: () => stepBy(-1), k: () => stepBy(-1), ArrowDown: () => stepBy(1), j: () => stepBy(1),
    ArrowLeft: () => R.nextTrajectory?.(-1), h: () => R.nextTrajectory?.(-1), ArrowRight: () => R.nextTrajectory?.(1), l: () => R.nextTrajectory?.(1),
    c: toCritical, "/": search, t: theme, "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const isScroll = event.key.startsWith("Arrow") && !R.link;
    if (!Object.hasOwn(actions, event.key) || isScroll) return;
    event.preventDefault();
    actions[event.key]();
  });

  document.getElementById("theme").addEventListener("click", theme);
  document.getElementById("keys").addEventListener("click", () => help.showModal());
  window.addEventListener("hashchange", go);
  go();
}
