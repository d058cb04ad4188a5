
"use strict";
(() => {
  const PAGE = 200;
  const LONG = 420;
  const { name, gallery, items } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const state = { query: "", show: "all", begin: "", sort: "place", down: false, page: 0 };
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const groups = new Map();
  items.forEach((item, place) => {
    item.place = place;
    if (item.group) groups.set(item.group, (groups.get(item.group) || 0) + 1);
  });

  // What is marked outlives a reload where the browser keeps such things for files.
  const shelf = `overnight report ${name} ${location.pathname}`;
  let marks = new Set();
  try { marks = new Set(JSON.parse(localStorage.getItem(shelf)) || []); } catch { /* not kept */ }
  function keepMarks() {
    try { localStorage.setItem(shelf, JSON.stringify([...marks])); } catch { /* not kept */ }
  }

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }
  const number = (n) => n.toLocaleString("en");
  const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
  function seconds(s) {
    if (s >= 60) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
    return s >= 10 ? `${Math.round(s)} s` : s >= 1 ? `${s.toFixed(2)} s` : `${s.toFixed(3)} s`;
  }

  // ---- which items, in which order
  function hay(item) {
    if (item.hay === undefined) {
      item.hay = `${item.id}\n${item.text}\n${item.prompt || ""}\n${item.code || ""}`.toLowerCase();
    }
    return item.hay;
  }
  const begins = (item, words) =>
    item.text.trim().split(/\s+/, 3).join(" ").toLowerCase() === words.toLowerCase();
  const kinds = {
    all: () => true,
    answered: (item) => !item.code,
    failed: (item) => Boolean(item.code),
    alike: (item) => Boolean(item.group),
    cut: (item) => Boolean(item.cut),
    marked: (item) => marks.has(item.id),
  };
  function shows(item) {
    const { show } = state;
    if (show.startsWith("group:")) return item.group === Number(show.slice(6));
    if (show.startsWith("code:")) return item.code === show.slice(5);
    return kinds[show](item);
  }
  const orders = {
    place: (a, b) => a.place - b.place,
    id: (a, b) => collator.compare(a.id, b.id),
    characters: (a, b) => (a.characters || 0) - (b.characters || 0),
    latency: (a, b) => (a.latency ?? -1) - (b.latency ?? -1),
    code: (a, b) => Number(!a.code) - Number(!b.code) || collator.compare(a.code || "", b.code || ""),
    group: (a, b) => (a.group || Infinity) - (b.group || Infinity) || 0,
  };
  let shown = items;
  function choose() {
    const query = state.query.trim().toLowerCase();
    const compare = orders[state.sort];
    const sign = state.down ? -1 : 1;
    shown = items.filter((item) =>
      shows(item) && (!query || hay(item).includes(query)) &&
      (!state.begin || (!item.code && begins(item, state.begin))));
    shown.sort((a, b) => sign * (compare(a, b) || 0) || a.place - b.place);
  }

  // ---- an item
  function badges(item) {
    const found = [];
    if (item.code) return [make("span", "badge bad", item.code)];
    const length = make("span", "badge", plural(item.words || 0, "word"));
    const tokens = item.tokens ?? Math.ceil((item.characters || 0) / 4);
    length.title = `${plural(item.characters || 0, "character")}, ` +
      (item.tokens === undefined ? `about ${plural(tokens, "token")} (estimate)` : plural(tokens, "token"));
    found.push(length);
    if (item.latency !== undefined) found.push(make("span", "", seconds(item.latency)));
    if (item.cut) found.push(make("span", "badge warn", "cut off"));
    if (item.group) {
      const twins = make("button", "badge warn", `${number(groups.get(item.group))} alike`);
      twins.type = "button";
      twins.title = "Show the answers that say nearly the same";
      twins.addEventListener("click", () => set({ show: `group:${item.group}`, begin: "" }));
      found.push(twins);
    }
    return found;
  }
  function picture(item) {
    const image = document.createElement("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = item.text;
    image.src = item.thumb || item.src;
    return image;
  }
  function textOf(item) {
    const text = make("p", "text", item.text);
    text.dir = "auto";
    const parts = [text];
    if (item.text.length > LONG) {
      text.classList.add("clamped");
      const whole = make("button", "whole", "whole text");
      whole.type = "button";
      whole.setAttribute("aria-expanded", "false");
      whole.addEventListener("click", () => {
        const closed = text.classList.toggle("clamped");
        whole.textContent = closed ? "whole text" : "less";
        whole.setAttribute("aria-expanded", String(!closed));
      });
      parts.push(whole);
    }
    return parts;
  }
  function nameOf(item) {
    const id = make("span", "id", item.id);
    id.dir = "auto";
    return id;
  }
  function card(item) {
    const element = make("li", "item");
    let frame = make("span", "frame none", "no picture");
    if (item.src) {
      frame = make("a", "frame");
      frame.href = item.src;
      frame.tabIndex = -1;
      const image = picture(item);
      image.addEventListener("error", () => {
        const none = make("span", "frame none", "cannot be shown here");
        frame.replaceWith(none);
      });
      frame.append(image);
    }
    const data = make("p", "data");
    data.append(nameOf(item), ...badges(item));
    element.append(frame, ...textOf(item));
    if (item.prompt) element.append(promptOf(item));
    element.append(data);
    return element;
  }
  function promptOf(item) {
    const prompt = make("p", "prompt", item.prompt);
    prompt.dir = "auto";
    return prompt;
  }
  function row(item) {
    const element = make("tr", "item");
    const job = make("td");
    if (item.src) job.append(picture(item));
    job.append(nameOf(item));
    if (item.prompt) job.append(promptOf(item));
    const answer = make("td", "answer");
    answer.append(...textOf(item));
    const cells = [job, answer];
    const figures = make("td", "figure");
    badges(item).forEach((badge, at) => figures.append(...(at ? [make("br")] : []), badge));
    cells.push(figures);
    element.append(...cells);
    return element;
  }
  function dress(element, item) {
    element.tabIndex = -1;
    element.classList.toggle("failed", Boolean(item.code));
    element.classList.toggle("marked", marks.has(item.id));
    element.dataset.place = item.place;
  }

  // ---- the page
  const chipNames = { all: "all", answered: "answered", failed: "failed", alike: "alike", cut: "cut off", marked: "marked" };
  const chips = {};
  for (const [show, label] of Object.entries(chipNames)) {
    const chip = make("button", "", label);
    chip.type = "button";
    chip.dataset.show = show;
    chip.addEventListener("click", () => set({ show, begin: "" }));
    chips[show] = chip;
    $("chips").append(chip);
  }
  const list = make("button", "", "list of the marked");
  list.type = "button";
  list.addEventListener("click", listMarked);
  $("chips").append(list);

  function drawChips() {
    for (const [show, chip] of Object.entries(chips)) {
      const many = items.filter(kinds[show]).length;
      chip.textContent = `${chipNames[show]} ${number(many)}`;
      chip.hidden = !many && show !== "all" && show !== state.show;
      chip.setAttribute("aria-pressed", String(state.show === show));
    }
    list.hidden = !marks.size;
  }
  function tell(first, last) {
    const special = state.show.includes(":") || state.begin
      ? ` (${state.begin ? `begin “${state.begin}”` : state.show.startsWith("code:") ? state.show.slice(5) : "alike"}; Esc shows all)` : "";
    $("count").textContent = shown.length === items.length && !special
      ? (shown.length > PAGE ? `${number(first + 1)} to ${number(last)} of ${number(items.length)}` : plural(items.length, "item"))
      : `${number(shown.length)} of ${plural(items.length, "item")}${special}`;
  }
  function draw() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const first = state.page * PAGE;
    const part = shown.slice(first, first + PAGE);
    const elements = part.map((item) => {
      const element = gallery ? card(item) : row(item);
      dress(element, item);
      return element;
    });
    if (!part.length) {
      $("list").replaceChildren(make("p", "empty", items.length ? "Nothing matches." : "There is nothing yet."));
    } else if (gallery) {
      const cards = make("ol", "cards");
      cards.append(...elements);
      $("list").replaceChildren(cards);
    } else {
      const table = make("table");
      const head = make("thead");
      const titles = make("tr");
      for (const title of ["job", "answer", "length, latency"]) {
        const cell = make("th", "", title);
        cell.scope = "col";
        titles.append(cell);
      }
      head.append(titles);
      const body = make("tbody");
      body.append(...elements);
      table.append(head, body);
      $("list").replaceChildren(table);
    }
    $("pages").hidden = pages === 1;
    $("where").textContent = `page ${number(state.page + 1)} of ${number(pages)}`;
    $("back").disabled = state.page === 0;
    $("next").disabled = state.page === pages - 1;
    tell(first, first + part.length);
    drawChips();
  }
  function set(change) {
    Object.assign(state, { page: 0 }, change);
    choose();
    draw();
  }
  function turn(by) {
    const pages = Math.ceil(shown.length / PAGE);
    const page = Math.max(0, Math.min(pages - 1, state.page + by));
    if (page === state.page) return false;
    state.page = page;
    draw();
    return true;
  }
  function turnAndRise(by) {
    if (turn(by)) $("list").scrollIntoView();
  }

  // ---- going through the items
  const elementsNow = () => [...document.querySelectorAll("#list .item")];
  const current = () => document.activeElement && document.activeElement.closest("#list .item");
  const itemOf = (element) => items[Number(element.dataset.place)];
  function go(element) {
    if (!element) return;
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  }
  function step(by) {
    const all = elementsNow();
    const here = all.indexOf(current());
    if (here < 0) return go(all[by > 0 ? 0 : all.length - 1]);
    const there = here + by;
    if (there >= 0 && there < all.length) return go(all[there]);
    if (turn(by)) go(elementsNow().at(by > 0 ? 0 : -1));
  }
  function mark() {
    const element = current();
    if (!element) return;
    const item = itemOf(element);
    if (!marks.delete(item.id)) marks.add(item.id);
    keepMarks();
    dress(element, item);
    drawChips();
  }
  function open() {
    const element = current();
    const link = element && element.querySelector("a.frame");
    if (link) link.click();
  }
  function listMarked() {
    const box = $("marked");
    const names = items.filter(kinds.marked).map((item) => item.id);
    box.querySelector("textarea").value = names.join("\n") + "\n";
    box.showModal();
  }
  async function copy(text, button) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = false;
    }
    const words = button.textContent;
    button.textContent = done ? "Copied" : "Select it and copy";
    setTimeout(() => { button.textContent = words; }, 1500);
  }
  const clear = () => {
    $("query").value = "";
    set({ query: "", show: "all", begin: "" });
  };

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    f: () => set({ show: state.show === "failed" ? "all" : "failed", begin: "" }),
    x: mark,
    o: open,
    "/": () => { $("query").focus(); $("query").select(); },
    Escape: clear,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("marked").open) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing && event.key !== "Escape") return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    if (typing) typing.blur();
    act();
  });

  let waiting = 0;
  $("query").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => set({ query: $("query").value }), items.length > 5000 ? 150 : 0);
  });
  $("sort").addEventListener("change", () => set({ sort: $("sort").value }));
  $("down").addEventListener("click", () => {
    set({ down: !state.down });
    $("down").setAttribute("aria-pressed", String(state.down));
  });
  $("back").addEventListener("click", () => turnAndRise(-1));
  $("next").addEventListener("click", () => turnAndRise(1));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const data = button.dataset;
    if (data.copy !== undefined) copy(data.copy, button);
    if (data.only !== undefined) set({ show: `code:${data.only}`, query: "", begin: "" });
    if (data.begin !== undefined) set({ begin: state.begin === data.begin ? "" : data.begin, show: "answered" });
    if (data.copyMarked !== undefined) copy($("marked").querySelector("textarea").value, button);
    if (data.close !== undefined) $("marked").close();
    if (data.only !== undefined || data.begin !== undefined) $("list").scrollIntoView();
  });

  set({});
})();
