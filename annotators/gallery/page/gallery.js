"use strict";
/* The page: the address after # holds its whole state, so every view of it can be linked to. */
(() => {
  const { element, count } = make;
  const { report } = refsav;
  const at = (id) => document.getElementById(id);
  const KEYS = ["status", "why", "source", "split", "video", "q", "page", "object"];
  let rows = []; // what fits the filters
  let shown = ""; // filters and page that the cards show
  let asked = 0; // counts selections, so that a slow one does not overwrite a later one

  function state() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const read = Object.fromEntries(KEYS.map((key) => [key, parameters.get(key) || ""]));
    return { ...read, page: Math.max(1, Number.parseInt(read.page, 10) || 1) };
  }

  function go(change, { keep = false } = {}) {
    const next = { ...state(), ...change };
    const parameters = new URLSearchParams();
    for (const key of KEYS) if (next[key] && !(key === "page" && next.page === 1)) parameters.set(key, next[key]);
    const hash = `#${parameters}`;
    if (hash === location.hash || (hash === "#" && !location.hash)) return;
    if (keep) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
    follow();
  }

  const filter = (change) => go({ ...change, page: 1, object: "" }, { keep: true });

  async function follow() {
    const now = state();
    fillFilters(now);
    const key = JSON.stringify({ ...now, object: "" });
    if (key !== shown) {
      const mine = ++asked;
      if (now.q) at("found").textContent = "Searching …";
      let found;
      try {
        found = await refsav.select(now);
      } catch (error) {
        at("found").textContent = `The search text could not be loaded: ${error.message}`;
        return;
      }
      if (mine !== asked) return;
      rows = found;
      shown = key;
      showPage(now);
    }
    showObject(now);
  }

  /* ---- the list ---- */
  function showPage(now) {
    const pages = Math.max(1, Math.ceil(rows.length / report.page));
    const page = Math.min(now.page, pages);
    const first = (page - 1) * report.page;
    const visible = rows.slice(first, first + report.page);
    const box = at("cards");
    make.forget(box);
    box.classList.toggle("upright", visible.filter((row) => row.upright).length > visible.length / 2);
    box.replaceChildren(...visible.map(cards.card));
    at("found").textContent = rows.length
      ? `${count(first + 1)}–${count(first + visible.length)} of ${count(rows.length)} ${rows.length === 1 ? "object" : "objects"}`
      : report.objects.length ? "No object fits these filters." : "This run has no objects yet.";
    for (const nav of document.querySelectorAll("nav.pages")) nav.replaceChildren(...pageLinks(page, pages));
  }

  function pageLinks(page, pages) {
    if (pages === 1) return [];
    const button = (label, to, name) => element("button", {
      type: "button", disabled: to < 1 || to > pages || to === page, onclick: () => turn(to), "aria-label": name,
    }, label);
    const numbers = [...new Set([1, page - 1, page, page + 1, pages])].filter((n) => n >= 1 && n <= pages).sort((a, b) => a - b);
    const links = numbers.flatMap((n, place) => [
      place && n - numbers[place - 1] > 1 ? element("span", { "aria-hidden": "true" }, "…") : null,
      button(count(n), n, `Page ${n}`),
    ]);
    return [button("←", page - 1, "Previous page"), ...links.filter(Boolean), button("→", page + 1, "Next page")];
  }

  function turn(page) {
    const pages = Math.ceil(rows.length / report.page);
    if (page < 1 || page > pages) return;
    go({ page, object: "" });
    const below = at("filters").getBoundingClientRect().top;
    if (below <= 0) at("cards").scrollIntoView({ block: "start" });
  }

  /* ---- filters ---- */
  const option = (value, label) => element("option", { value }, label);

  function prepareFilters() {
    const total = report.objects.length;
    const counts = { "": total, ...report.counts };
    at("status").replaceChildren(...Object.entries({ "": "All", ...cards.LABEL }).map(([value, label]) =>
      element("button", { type: "button", data: { status: value }, onclick: () => filter({ status: value, why: "" }) },
        label, element("span", { className: "quiet" }, count(counts[value] || 0)))));
    const tally = new Map();
    for (const row of report.objects) if (row.why >= 0) tally.set(row.why, (tally.get(row.why) || 0) + 1);
    const reasons = report.whys.map((reason, place) => ({ ...reason, objects: tally.get(place) || 0 }));
    reasons.sort((a, b) => a.status.localeCompare(b.status) || a.stage.localeCompare(b.stage) || b.objects - a.objects);
    at("why").replaceChildren(option("", "Any reason"), ...["dropped", "failed"].flatMap((status) => {
      const group = reasons.filter((reason) => reason.status === status);
      if (!group.length) return [];
      return [element("optgroup", { label: cards.LABEL[status] }, group.map((reason) =>
        option([status, reason.stage, reason.why].join("~"), `${reason.stage}: ${reason.why} (${count(reason.objects)})`)))];
    }));
    choice("source", "All masks", ["manual", "auto"], "source");
    choice("split", "All splits", ["train", "val"], "split");
    at("videos").replaceChildren(...report.videos.slice(0, 2000).map((video) => option(video, "")));
    for (const id of ["why", "source", "split"]) at(id).onchange = () => filter({ [id]: at(id).value });
    for (const id of ["video", "q"]) at(id).oninput = soon(() => filter({ [id]: at(id).value.trim() }));
    at("clear").onclick = () => filter(Object.fromEntries(KEYS.map((key) => [key, ""])));
    at("filters").onsubmit = (event) => event.preventDefault();
  }

  function soon(act) {
    let pause = 0;
    return () => {
      clearTimeout(pause);
      pause = setTimeout(act, 180);
    };
  }

  function choice(id, all, values, property) {
    const present = values.filter((value) => report.objects.some((row) => row[property] === value));
    at(id).replaceChildren(option("", all), ...present.map((value) => option(value, `${value} only`)));
    at(id).closest("label").hidden = present.length < 2;
  }

  function fillFilters(now) {
    for (const button of at("status").children) button.setAttribute("aria-pressed", String(button.dataset.status === now.status));
    for (const id of ["why", "source", "split", "video", "q"]) {
      if (document.activeElement !== at(id) || at(id).tagName === "SELECT") at(id).value = now[id];
    }
    at("clear").hidden = !KEYS.some((key) => key !== "page" && key !== "object" && now[key]);
  }

  /* ---- one object ---- */
  let open = ""; // the object that the dialog shows

  async function showObject(now) {
    const dialog = at("detail");
    if (now.object === open) return;
    open = now.object;
    if (!open) {
      make.forget(dialog);
      if (dialog.open) dialog.close();
      make.refreshFilms();
      return;
    }
    const row = report.objects.find((one) => refsav.idOf(one) === open);
    let body;
    try {
      body = row ? detail.view(await refsav.details(row)) : unknown(open);
    } catch (error) {
      body = element("p", { className: "error" }, error.message);
    }
    if (now.object !== open) return;
    make.forget(dialog);
    dialog.replaceChildren(bar(now.object, row), body);
    if (!dialog.open) dialog.showModal();
    dialog.focus();
    dialog.scrollTop = 0;
    make.refreshFilms();
  }

  function unknown(id) {
    return element("div", { className: "unknown" },
      element("p", {}, `This gallery has no object “${id}”.`),
      report.objects.length ? element("p", { className: "quiet" },
        `Objects are named by video, masks and number, for example ${refsav.idOf(report.objects[0])}.`) : null,
      element("button", { type: "button", className: "plain", onclick: () => go({ object: "" }) }, "Show the gallery"));
  }

  /* Where there is little room, the video's id is cut, not the part that distinguishes its objects. */
  const named = (row) => [element("span", { className: "cut" }, row.video), element("span", {}, `/${row.source}/${row.masklet}`)];

  function bar(id, row) {
    const place = rows.indexOf(row);
    const step = (label, by, name) => element("button", {
      type: "button", "aria-label": name, disabled: place < 0 || !rows[place + by], onclick: () => walk(by),
    }, label);
    return element("header", { className: "bar" },
      element("h2", { id: "detail-name", title: id }, row ? named(row) : "No such object"),
      row ? make.chip(cards.LABEL[row.status], row.status) : null,
      row && row.split ? make.chip(row.split) : null,
      element("span", { className: "room" }),
      place >= 0 ? element("span", { className: "quiet" }, `${count(place + 1)} of ${count(rows.length)}`) : null,
      step("←", -1, "Previous object"), step("→", 1, "Next object"),
      element("button", { type: "button", "aria-label": "Close", onclick: () => go({ object: "" }) }, "✕"));
  }

  function walk(by) {
    const next = rows[rows.findIndex((row) => refsav.idOf(row) === open) + by];
    if (!next) return;
    go({ object: refsav.idOf(next), page: Math.floor(rows.indexOf(next) / report.page) + 1 }, { keep: true });
  }

  document.addEventListener("click", (event) => {
    const card = event.target.closest("a.open");
    if (!card || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go({ object: card.closest(".card").dataset.id });
  });
  at("detail").addEventListener("close", () => {
    if (open) go({ object: "" }); // closed with the Escape key
  });
  at("detail").addEventListener("click", (event) => {
    if (event.target === at("detail")) go({ object: "" }); // the backdrop
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, video") || event.metaKey || event.ctrlKey || event.altKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "/" && !at("detail").open) {
      event.preventDefault();
      at("q").focus();
    } else if (by && at("detail").open) walk(by);
    else if (by) turn(state().page + by);
  });
  window.addEventListener("popstate", follow);

  figures.show(report);
  prepareFilters();
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${at("filters").offsetHeight}px`)).observe(at("filters"));
  follow();
})();
