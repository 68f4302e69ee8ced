"use strict";
// The pages are whole without this. It keeps them fresh, and adds keys. Text of others gets in as text nodes alone, or as pages
// that the server has written, with every text escaped.
(() => {
  const find = (selector, inside = document) => inside.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const { root } = document.body.dataset;
  let { events } = document.body.dataset; // where the server tells what happens here, while something can
  let out = false; // the session is over

  // ---- Times go on

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function ago(moment) {
    const seconds = (Date.now() - moment) / 1000;
    const size = Math.abs(seconds);
    if (size < 1) return "now";
    const [one, unit] = units.find(([each]) => size >= each);
    const words = `${Math.floor(size / one)} ${unit}`;
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  }
  function tick() {
    for (const each of all("time[data-ago]")) {
      const moment = Date.parse(each.dateTime);
      if (Math.abs(Date.now() - moment) < 6048e5) put(each, ago(moment));
    }
  }
  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }
  setInterval(() => document.hidden || tick(), 1000);

  // ---- What has changed is fetched from the server, as it writes it, and put in the place of what was there

  let fetching = false;
  let wanted = 0; // 1: the parts that are cheap; 2: the graph, too
  let next = 0;

  function want(how = 1) {
    wanted = Math.max(wanted, how);
    if (!fetching) wait();
  }
  function wait() {
    fetching = true;
    setTimeout(refresh, Math.max(50, next - Date.now()));
  }
  async function refresh() {
    if (document.hidden) {
      fetching = false;
      return;
    }
    const whole = wanted === 2;
    wanted = 0;
    const began = Date.now();
    try {
      const address = new URL(location.href);
      address.searchParams.delete("done");
      if (!whole) address.searchParams.set("part", "live");
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (answer.status === 401 || /\/login$/.test(new URL(answer.url).pathname)) leave();
      else if (answer.ok && !answer.redirected) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      wanted = Math.max(wanted, whole ? 2 : 1); // the server is away: once it is back, the stream opens again
    }
    // A page that takes long to write is asked for more seldom: at most a fifth of the time is spent on it.
    next = Date.now() + Math.max(700, 4 * (Date.now() - began));
    if (wanted) wait();
    else fetching = false;
  }
  function replace(fresh) {
    for (const old of all("[data-live]")) {
      const made = fresh.getElementById(old.id);
      if (!made || made.outerHTML === old.outerHTML) continue;
      const held = old.contains(document.activeElement) ? document.activeElement : null;
      if (held && held.matches("input, select, textarea")) continue;
      if (find("details.ask[open]", old)) continue;
      const box = find(".box", old);
      const at = box && [box.scrollLeft, box.scrollTop];
      old.replaceWith(document.adoptNode(made));
      if (at && find(".box", made)) [find(".box", made).scrollLeft, find(".box", made).scrollTop] = at;
      if (held) all("a, button", made).find((each) => each.href === held.href && each.textContent === held.textContent)?.focus();
    }
    put(find("title"), fresh.title);
    tick();
    zoom();
    again();
    if (!events && fresh.body.dataset.events) {
      events = fresh.body.dataset.events; // what had ended goes on again
      last = "";
      listen();
    }
  }

  // ---- What the server says

  const stale = document.createElement("div");
  stale.className = "stale";
  stale.setAttribute("role", "status");
  stale.textContent = "The server does not answer. What is here may be old; this page looks for it again by itself.";

  // The session is over: nothing comes any more, and who looks must know it.
  function leave() {
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Log in again.";
    stale.replaceChildren("You are logged out, and what is here may be old. ", link);
    out = true;
    events = "";
    quit();
    clearTimeout(lost);
    document.body.append(stale);
  }

  // One stream for a page, and none for a page that nobody sees: a browser has six connections to a server.
  let source = null;
  let last = ""; // where the stream goes on
  let lost = 0;

  function listen() {
    if (source || !events) return;
    const address = new URL(events, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => {
      clearTimeout(lost);
      lost = 0;
      if (stale.isConnected) want(2);
      stale.remove();
    };
    source.onerror = () => {
      lost ||= setTimeout(() => document.body.append(stale), 2500);
      if (source && source.readyState === EventSource.CLOSED) {
        quit();
        want(1); // which tells whether the session is over
        setTimeout(listen, 4000);
      }
    };
    for (const [name, act] of Object.entries(told)) {
      source.addEventListener(name, (event) => {
        last = event.lastEventId || last;
        act(JSON.parse(event.data));
      });
    }
  }
  function quit() {
    if (source) source.close();
    source = null;
  }
  // The server has answered with what it had read a moment ago, and says when it reads again.
  function again() {
    const old = find("[data-again]");
    if (old) setTimeout(() => want(2), Number(old.dataset.again));
  }

  const kept = find("[data-live]") !== null;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      quit();
    } else if (kept && !out) {
      listen();
      want(2);
    }
  });
  // Nothing is told of what has ended, but somebody may resume it.
  setInterval(() => kept && !events && !out && !document.hidden && want(1), 30000);

  function move({ moves }) {
    for (const { node, state } of moves) {
      const anchor = find(`#graph a[data-number="${Number(node)}"]`);
      if (!anchor) {
        if (find("#graph[data-nodes]")) want(2);
        continue;
      }
      const box = find("g", anchor);
      const glyph = find("use", anchor);
      if (box.classList.contains(state) || box.classList.contains("parked")) continue;
      box.setAttribute("class", `node ${state}`);
      glyph.setAttribute("href", `#glyph-${state}`);
      glyph.setAttribute("class", `glyph ${state}`);
    }
    want(all("#graph [data-number]").length <= 200 ? 2 : 1); // small graphs are drawn anew, with their times
  }

  // ---- Output that follows: each part is written once, whether the server had it in the page or sends it now

  function write(parts, fits, text) {
    for (const place of all("[data-follow]")) {
      const low = place.scrollTop + place.clientHeight > place.scrollHeight - 40;
      for (const part of parts) {
        if (!fits(place, part) || part.part <= Number(place.dataset.part)) continue;
        place.dataset.part = part.part;
        place.append(document.createTextNode(text(part)));
        place.parentElement.hidden = false;
      }
      while (place.textContent.length > 1e6 && place.firstChild !== place.lastChild) place.firstChild.remove();
      if (low) place.scrollTop = place.scrollHeight;
    }
    if (find("#log")) want(1);
  }
  const escape = /\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]{0,999}(?:\x07|\x1b\\)|[@-Z^_])/g; // what a program tells a terminal
  const written = ({ follow, attempt }, part) => follow === part.stream && Number(attempt) === part.attempt;
  let first = true;
  const told = {
    run: () => (first ? (first = false) : want(1)),
    moves: move,
    runs: () => want(1),
    reset: () => want(2),
    output: (parts) => write(parts, (place, part) => written(place.dataset, part), (part) => part.text.replace(escape, "")),
    lines: (lines) =>
      write(
        lines,
        (place) => place.dataset.follow === "log",
        (line) => `${(line.at || "").slice(11, 23).padEnd(12)} ${line.level.padEnd(7)} ${line.text}\n`,
      ),
    end: () => {
      events = "";
      quit();
      want(2);
    },
  };
  for (const each of all("[data-follow]")) each.scrollTop = each.scrollHeight;
  if (!document.hidden) listen();

  // ---- Keys

  const leads = () => all(".lead").filter((each) => each.offsetParent);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      for (const each of all("details.ask[open]")) each.open = false;
      if (typing) event.target.blur();
    }
    if (typing) return;
    if (event.key === "/") {
      const search = find('input[type="search"]');
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "j" || event.key === "k") {
      const list = leads();
      const at = list.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
      list[Math.min(Math.max(at, 0), list.length - 1)]?.focus();
    } else if (event.key === "g") {
      location.assign(`${root}/runs`);
    }
  });
  document.addEventListener("click", (event) => {
    for (const each of all("details.ask[open]")) if (!each.contains(event.target)) each.open = false;
  });
  // A select of a filter acts at once.
  for (const each of all("form.filters select")) each.addEventListener("change", () => each.form.requestSubmit());

  // ---- A large picture can be made smaller, and the part of it that matters is brought into view

  let scale = 1;
  function zoom(how = "") {
    const box = find("#graph .box");
    const picture = box && find("svg", box);
    if (!picture) return;
    const [, , wide, high] = picture.getAttribute("viewBox").split(" ").map(Number);
    if (how === "fit") scale = Math.min(1, (box.clientWidth - 26) / wide, (box.clientHeight - 26) / high);
    else if (how) scale = Math.min(2, Math.max(0.05, scale * Number(how)));
    picture.setAttribute("width", wide * scale);
    picture.setAttribute("height", high * scale);
    const tools = find("#graph .zoom");
    if (tools) tools.hidden = scale === 1 && box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight;
  }
  function seek() {
    const box = find("#graph .box");
    const shape = box && find(".node.failed, .group.failed, .node.running", box)?.getBoundingClientRect();
    if (!shape) return;
    const room = box.getBoundingClientRect();
    if (shape.right > room.right) box.scrollLeft += shape.left - room.left - room.width / 2;
    if (shape.bottom > room.bottom) box.scrollTop += shape.top - room.top - room.height / 2;
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button) zoom(button.dataset.zoom);
  });
  zoom();
  seek();
  again();
  const nav = find(".top nav");
  const here = nav && find("[aria-current]", nav);
  if (here) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - 24; // on a phone, what is open is in view
})();
