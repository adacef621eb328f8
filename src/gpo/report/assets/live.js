// A page that is served while its run goes on asks for what is new; the overview follows, a trajectory waits for a click.
"use strict";
if (R.all.live != null) {
  const EVERY_MS = 2000;
  const place = R.h("span.live", { role: "status" });
  document.querySelector(".tools").prepend(place);
  let waiting = null;
  const say = (text, isOn, more) => place.replaceChildren(R.h(`span.dot${isOn ? ".on" : ""}`, { "aria-hidden": "true" }), R.h("span", null, text), ...(more ? [more] : []));
  const told = (data) => (data.is_running ? "live" : "ended");
  const take = (data) => {
    waiting = null;
    R.refresh(data);
    say(told(data), data.is_running);
  };
  const offer = (data) => {
    if (document.getElementById("view").className === "overview") return take(data);
    waiting = data;
    say(told(data), data.is_running, R.h("button", { type: "button", onclick: () => take(waiting) }, "show what is new"));
  };
  const ask = async () => {
    try {
      const answer = await fetch(`data?since=${encodeURIComponent((waiting ?? R.all).live)}`, { cache: "no-store" });
      if (answer.status === 200) offer(await answer.json());
      else if (answer.status !== 204) say(R.visible(await answer.text()).slice(0, 200), false);
    } catch {
      say("no longer served", false);
    }
    setTimeout(ask, EVERY_MS);
  };
  say(told(R.all), R.all.is_running);
  setTimeout(ask, EVERY_MS);
}
