"use strict";
// All text reaches the page through textContent: names and errors are never read as HTML.
(() => {
  const find = (selector, inside = document) => inside.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const graph = JSON.parse(find("#model").textContent);
  const pairs = (flat) => flat.flatMap((state, at) => (at % 2 ? [] : [[state, flat[at + 1]]]));
  // The model has a list for each column, to be short; moves are pairs of a state and seconds.
  graph.nodes = (graph.columns.label || []).map((_, number) => {
    const node = {};
    for (const [name, column] of Object.entries(graph.columns)) node[name] = column[number];
    if (node.moves) node.moves = pairs(node.moves);
    node.task = node.task === undefined ? node.label : graph.tasks[node.task];
    node.site = node.site === undefined ? "" : graph.sites[node.site];
    return node;
  });
  for (const node of graph.failed) node.moves = pairs(node.moves);
  // They only join edges: they are not nodes for those who search and count.
  const barriers = new Set(graph.barriers);
  for (const number of barriers) graph.nodes[number].label = `(${graph.nodes[number].label})`;
  const picture = find("#picture");
  const view = find("#view");
  const chart = find("#chart");
  const details = find("#details");
  const overview = find("#overview");
  const search = find("#search");
  const nodes = all("[data-node]", picture);
  const edges = all("[data-edge]", picture).map((line) => [line, ...line.dataset.edge.split(" ").map(Number)]);
  let listed = graph.rows; // the rows of the timeline that are shown, from top to bottom
  let rows = new Map(graph.rows.map((number, rank) => [number, rank]));
  const ranks = rows; // of all
  const ROW = graph.row;

  // Which lines touch a node, and which nodes are at their other ends.
  const touching = nodes.map(() => []);
  for (const edge of edges) {
    touching[edge[1]].push(edge);
    if (edge[1] !== edge[2]) touching[edge[2]].push(edge);
  }
  const steps = new Set(graph.critical.slice(1).map((number, at) => `${graph.critical[at]} ${number}`));
  for (const number of graph.critical) nodes[number].classList.add("key");
  for (const [line] of edges) if (steps.has(line.dataset.edge)) line.classList.add("key");

  // ---- Pan and zoom

  const at = { x: 0, y: 0, scale: 1 };
  const size = { width: graph.width, height: graph.height };

  function place() {
    view.setAttribute("transform", `translate(${at.x} ${at.y}) scale(${at.scale})`);
    picture.classList.toggle("away", at.scale < 0.33);
  }

  function zoom(factor, x, y) {
    const scale = Math.min(4, Math.max(0.02, at.scale * factor));
    at.x = x - ((x - at.x) * scale) / at.scale;
    at.y = y - ((y - at.y) * scale) / at.scale;
    at.scale = scale;
    place();
  }

  function fit() {
    const room = picture.getBoundingClientRect();
    at.scale = Math.max(0.02, Math.min(1.25, (room.width - 40) / size.width, (room.height - 70) / size.height));
    at.x = (room.width - size.width * at.scale) / 2;
    at.y = (room.height - 30 - size.height * at.scale) / 2;
    place();
  }

  function centre(number) {
    const room = picture.getBoundingClientRect();
    at.scale = Math.max(at.scale, 0.8);
    const [x, y] = nodes[number].getAttribute("transform").match(/-?\d+/g).map(Number);
    at.x = room.width / 2 - (x + 60) * at.scale;
    at.y = room.height / 2 - (y + 20) * at.scale;
    place();
  }

  const middle = () => {
    const room = picture.getBoundingClientRect();
    return [room.width / 2, room.height / 2];
  };

  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const room = picture.getBoundingClientRect();
      const turn = event.deltaMode ? event.deltaY * 20 : event.deltaY;
      zoom(Math.exp(-turn / 400), event.clientX - room.left, event.clientY - room.top);
    },
    { passive: false },
  );

  const fingers = new Map();
  let moved = false;
  picture.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    moved = false;
  });
  picture.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const far = Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (!moved && far < 4) return;
    if (!moved) {
      moved = true;
      picture.setPointerCapture(event.pointerId);
      picture.classList.add("held");
    }
    const other = [...fingers.values()].find((each) => each.pointerId !== event.pointerId);
    if (other) {
      const room = picture.getBoundingClientRect();
      const was = Math.hypot(before.clientX - other.clientX, before.clientY - other.clientY);
      const is = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
      if (was) zoom(is / was, other.clientX - room.left, other.clientY - room.top);
    } else {
      at.x += event.clientX - before.clientX;
      at.y += event.clientY - before.clientY;
      place();
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      picture.classList.remove("held");
    });
  }

  // ---- Details

  function seconds(value) {
    if (value >= 99.95) return `${Math.round(value)} s`;
    if (value >= 0.9995 || !value) return `${Number(value.toPrecision(3))} s`;
    if (value >= 0.0009995) return `${Number((value * 1e3).toPrecision(3))} ms`;
    return `${Number((value * 1e6).toPrecision(3))} µs`;
  }
  const make = (tag, text = "", name = "") => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  let kept = null;

  function attempts(node) {
    const spans = [];
    node.moves.forEach(([state, begin], step) => {
      if (graph.states[state] !== "running") return;
      const next = node.moves[step + 1];
      const end = next ? next[1] : graph.now;
      const how = next ? graph.states[next[0]] : "running";
      spans.push(`${spans.length + 1}: ${seconds(begin)} to ${seconds(end)}, ${how === "queued" ? "to be tried again" : how}`);
    });
    return spans;
  }

  function spent(node, state) {
    return node.moves.reduce((sum, [each, begin], step) => {
      const end = node.moves[step + 1] ? node.moves[step + 1][1] : graph.now;
      return graph.states[each] === state ? sum + end - begin : sum;
    }, 0);
  }

  function words(number) {
    const node = graph.nodes[number];
    if (barriers.has(number)) return [["only", "joins edges"]];
    if (node.counts) {
      const counted = Object.entries(node.counts).map(([state, count]) => `${count.toLocaleString("en")} ${state}`);
      return [
        ["nodes", counted.join("\n")],
        ["attempts", `${node.attempts.toLocaleString("en")}, ${seconds(node.seconds)} in all`],
        ["first start", node.started === null ? "" : seconds(node.started)],
        ["last end", node.settled === null ? "" : seconds(node.settled)],
      ];
    }
    const been = new Set(node.moves.map(([state]) => graph.states[state]));
    const recalled = been.has("succeeded") && been.has("queued") && !been.has("running");
    const waited = spent(node, "waiting");
    const queued = spent(node, "queued");
    return [
      ["state", recalled ? "recalled" : node.waits && graph.states[node.state] === "running" ? "waits" : graph.states[node.state]],
      ["task", node.task === node.label ? "" : node.task],
      ["attempts", node.waits ? "" : attempts(node).join("\n")],
      [node.waits ? `waited for a ${node.waits}` : "ran", node.attempts ? seconds(spent(node, "running")) : ""],
      ["waited", waited ? seconds(waited) : ""],
      ["queued", queued ? seconds(queued) : ""],
      ["called at", node.site],
    ];
  }

  function links(list, title, numbers) {
    const unique = [...new Set(numbers)];
    if (!unique.length) return;
    const place = make("dd");
    for (const number of unique.slice(0, 12)) {
      const button = make("button", graph.nodes[number].label);
      button.addEventListener("click", () => keep(number));
      place.append(button);
    }
    if (unique.length > 12) place.append(make("span", `and ${unique.length - 12} more`, "quiet"));
    list.append(make("dt", title), place);
  }

  function show(number) {
    const node = graph.nodes[number];
    const head = make("h2");
    const glyph = find(`.chip[data-state="${graph.states[node.state]}"] svg`);
    if (glyph && !barriers.has(number)) head.append(glyph.cloneNode(true));
    head.append(make("span", node.label));
    const list = make("dl");
    for (const [title, text] of words(number)) {
      if (text) list.append(make("dt", title), make("dd", text));
    }
    const around = touching[number].map(([line, from, to]) => [line.parentNode.classList.contains("nested"), from, to]);
    links(list, "called in", node.parent === undefined || node.parent < 0 ? [] : [node.parent]);
    links(list, "upstream", around.filter(([nested, , to]) => !nested && to === number).map(([, from]) => from));
    links(list, "downstream", around.filter(([nested, from]) => !nested && from === number).map(([, , to]) => to));
    details.replaceChildren(find("#close"), head, list);
    for (const error of node.errors) details.append(make("p", error, "error"));
    const inside = graph.failed.filter((each) => each.group === number);
    if (inside.length) details.append(...failures(inside));
    swap(true);
  }

  // Details stand next to the graph, never on it. With nothing chosen, they are what failed.
  function swap(chosen) {
    details.hidden = !chosen;
    overview.hidden = chosen;
  }

  const first = (text) => text.split("\n", 1)[0];
  const MOST_LISTED = 100;

  function failures(list) {
    const rows = list.slice(0, MOST_LISTED).map((each) => {
      const row = make("button", "", "failure");
      row.append(make("b", each.label), make("span", first(each.errors[0] || "")));
      row.addEventListener("click", () => (each.group === undefined ? keep(each.number) : keepOne(each)));
      return row;
    });
    const more = list.length - rows.length;
    return more > 0 ? [...rows, make("p", `and ${more.toLocaleString("en")} more: search for them`, "quiet")] : rows;
  }

  // A failed node of a group, which has no place in the picture of its own.
  function keepOne(node) {
    keep(node.group);
    const list = make("dl");
    const back = make("button", graph.nodes[node.group].label);
    back.addEventListener("click", () => keep(node.group));
    const task = make("dd");
    task.append(back);
    list.append(make("dt", "one of"), task);
    for (const [title, text] of [["state", graph.states[node.state]], ["attempts", attempts(node).join("\n")], ["called at", node.site]]) {
      if (text) list.append(make("dt", title), make("dd", text));
    }
    const head = make("h2");
    head.append(make("span", node.label));
    details.replaceChildren(find("#close"), head, list, ...node.errors.map((error) => make("p", error, "error")));
  }

  function survey() {
    const asked = search.value.trim().toLowerCase();
    const all = graph.failed.length ? graph.failed : graph.nodes.filter((node) => !node.counts && graph.states[node.state] === "failed");
    const list = all.filter((node) => !asked || `${node.label}\n${node.errors.join("\n")}`.toLowerCase().includes(asked));
    const head = make("h2", all.length ? `Failed${asked ? `, with "${search.value.trim()}"` : ""}` : "Nothing has failed");
    overview.replaceChildren(head, ...failures(list));
    overview.append(make("p", "Point at a node to see more of it; a click keeps it here.", "quiet"));
  }

  function mark(number) {
    for (const each of all(".near, .chosen", picture)) each.classList.remove("near", "chosen");
    const strip = find("#chart .strip");
    if (strip) strip.hidden = number === null || !rows.has(number);
    if (number === null) return;
    nodes[number].classList.add("chosen");
    for (const [line, from, to] of touching[number]) {
      line.classList.add("near");
      nodes[from === number ? to : from].classList.add("near");
    }
    if (strip) strip.style.top = `${25 + rows.get(number) * ROW}px`;
  }

  function look(number) {
    if (kept !== null) return;
    mark(number);
    if (number === null) swap(false);
    else show(number);
  }

  function keep(number, { move = true } = {}) {
    kept = number;
    details.classList.toggle("kept", number !== null);
    mark(number);
    if (number === null) {
      swap(false);
      return;
    }
    show(number);
    if (move) centre(number);
    if (rows.has(number)) {
      const top = rows.get(number) * ROW;
      if (top < chart.scrollTop || top > chart.scrollTop + chart.clientHeight - 60) chart.scrollTop = top - chart.clientHeight / 2;
    }
  }

  const numberOf = (target) => {
    const node = target.closest("[data-node]");
    return node ? Number(node.dataset.node) : null;
  };
  picture.addEventListener("pointerover", (event) => !moved && look(numberOf(event.target)));
  picture.addEventListener("pointerleave", () => look(null));
  picture.addEventListener("click", (event) => {
    if (!moved) keep(numberOf(event.target), { move: false });
    moved = false;
  });
  find("#close").addEventListener("click", () => keep(null));

  const sheet = find("#chart .sheet");
  if (sheet) {
    const rowAt = (event) => {
      const rank = Math.floor((event.clientY - sheet.getBoundingClientRect().top - 25) / ROW);
      return rank >= 0 && rank < listed.length ? listed[rank] : null;
    };
    sheet.addEventListener("pointermove", (event) => look(rowAt(event)));
    sheet.addEventListener("pointerleave", () => look(null));
    sheet.addEventListener("click", (event) => keep(rowAt(event)));
  }

  // ---- Search, states, critical path

  const said = graph.nodes.map((node) =>
    [node.label, node.task, graph.states[node.state], node.site, ...node.errors]
      .join("\n")
      .toLowerCase(),
  );
  const chips = all(".chip");
  let hits = [];
  let hit = -1;

  function sift() {
    const asked = search.value.trim().toLowerCase();
    const states = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.state);
    const isIn = (node) => states.some((state) => (node.counts ? node.counts[state] : graph.states[node.state] === state));
    hits = [];
    hit = -1;
    graph.nodes.forEach((node, number) => {
      const found = !barriers.has(number) && (!asked || said[number].includes(asked)) && (!states.length || isIn(node));
      nodes[number].classList.toggle("hit", found);
      if (found) hits.push(number);
    });
    const sifted = Boolean(asked || states.length);
    picture.classList.toggle("sifted", sifted);
    survey();
    listed = sifted ? graph.rows.filter((number) => nodes[number].classList.contains("hit")) : graph.rows;
    rows = new Map(listed.map((number, rank) => [number, rank]));
    for (const row of all("[data-row]", chart)) {
      const number = Number(row.dataset.row);
      const rank = rows.get(number);
      row.style.display = rank === undefined ? "none" : "";
      row.setAttribute("transform", `translate(0 ${((rank ?? 0) - ranks.get(number)) * ROW})`);
    }
    chart.scrollTop = 0;
    mark(kept);
    const whole = graph.nodes.length - barriers.size;
    find("#found").textContent = sifted ? `${hits.length.toLocaleString("en")} of ${whole.toLocaleString("en")}` : "";
  }

  search.addEventListener("input", sift);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !hits.length || !search.value.trim()) return;
    hit = (hit + (event.shiftKey ? hits.length - 1 : 1) + (hit < 0 && event.shiftKey ? 1 : 0)) % hits.length;
    keep(hits[hit]);
  });
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      sift();
    });
  }
  find("#critical").addEventListener("click", (event) => {
    const shown = picture.classList.toggle("critical-shown");
    event.currentTarget.setAttribute("aria-pressed", String(shown));
  });

  // ---- Buttons, keys, the split between graph and timeline

  const tools = {
    in: () => zoom(1.4, ...middle()),
    out: () => zoom(1 / 1.4, ...middle()),
    fit,
    wider: () => stretch(1.6),
    narrower: () => stretch(1 / 1.6),
  };
  let wide = 1;
  function stretch(factor) {
    wide = Math.min(60, Math.max(1, wide * factor));
    document.documentElement.style.setProperty("--zoom", wide);
  }
  for (const button of all("[data-tool]")) button.addEventListener("click", () => tools[button.dataset.tool]());

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (search.value) {
        search.value = "";
        sift();
      }
      keep(null);
    }
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    }
    if (event.key === "+" || event.key === "=") tools.in();
    if (event.key === "-") tools.out();
    if (event.key === "0") fit();
  });

  const split = find("#split");
  split.addEventListener("pointerdown", (event) => split.setPointerCapture(event.pointerId));
  split.addEventListener("pointermove", (event) => {
    if (!split.hasPointerCapture(event.pointerId)) return;
    const high = Math.min(window.innerHeight - 160, Math.max(40, window.innerHeight - event.clientY));
    document.documentElement.style.setProperty("--chart", `${high}px`);
  });

  graph.nodes.forEach((node, number) => {
    node.number = number;
  });
  survey();
  fit();
})();
