"use strict";
/* One object in the list: its film, its words, its name. */
const cards = (() => {
  const { element, film, blank, chip } = make;
  const LABEL = { kept: "Kept", dropped: "Dropped", failed: "Failed" };

  /* A card of the right size at once; what it shows arrives with its chunk. */
  function card(row) {
    const id = refsav.idOf(row);
    const screen = element("div", { className: "screen" });
    const words = element("div", { className: "words" }, element("p", { className: "lead" }, row.lead));
    const made = element("article", { className: `card ${row.status}`, data: { id } },
      element("a", { href: `#object=${encodeURIComponent(id)}`, className: "open", "aria-label": `Open ${id}` }),
      screen, words,
      element("footer", {},
        row.status === "kept" ? null : chip(LABEL[row.status], row.status),
        element("span", { className: "name" }, row.video),
        element("span", { className: "quiet" }, `${row.source} ${row.masklet}`),
        row.split ? element("span", { className: "quiet split" }, row.split) : null));
    fill(row, screen, words);
    return made;
  }

  async function fill(row, screen, words) {
    try {
      const entry = await refsav.details(row);
      screen.replaceChildren(entry.pictures ? film(entry) : blank(entry));
      words.replaceChildren(...wordsOf(entry));
    } catch (error) {
      words.append(element("p", { className: "error" }, error.message));
    }
  }

  function wordsOf(entry) {
    if (entry.status === "kept") return [element("p", { className: "lead" }, entry.expression)];
    if (entry.status === "failed") {
      return [element("p", { className: "reason" }, `Failed at: ${entry.stage}`),
        element("p", { className: "error" }, entry.error)];
    }
    if (entry.stage !== "judge") return [element("p", { className: "reason" }, entry.reason)];
    return [element("p", { className: "reason" }, entry.reason),
      element("dl", { className: "pair" },
        element("div", {}, element("dt", {}, "From the crop"), element("dd", {}, entry.crop)),
        element("div", {}, element("dt", {}, "From the masked frame"), element("dd", {}, entry.masked)))];
  }

  return { card, LABEL };
})();
