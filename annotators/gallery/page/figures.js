"use strict";
/* The head of the page: counts, stages, statistics. */
const figures = (() => {
  const { element, madeBy, count, percent } = make;

  function show(report) {
    const { kept = 0, dropped = 0, failed = 0 } = report.counts;
    const all = kept + dropped + failed;
    const tile = (value, name, kind = "", note = "") => element("div", { className: `tile ${kind}` },
      element("strong", {}, count(value)), element("span", {}, name), note ? element("span", { className: "quiet" }, note) : null);
    document.getElementById("tiles").replaceChildren(
      tile(report.videos.length, "videos"), tile(all, "objects"),
      tile(kept, "expressions", "kept", percent(kept, all)),
      tile(dropped, "dropped", "dropped", percent(dropped, all)),
      tile(failed, "failed", "failed", percent(failed, all)));
    const share = document.getElementById("share");
    share.setAttribute("aria-label", `${kept} kept, ${dropped} dropped, ${failed} failed`);
    share.replaceChildren(...Object.entries({ kept, dropped, failed }).filter(([, n]) => n).map(([kind, n]) =>
      element("span", { className: kind, style: { "flex-grow": String(n) } })));
    document.getElementById("made-by").textContent = [...new Set(report.provenance.map(madeBy))].join(" · ");
    document.getElementById("tables").replaceChildren(stageTable(report.stages), ...report.tables.map(table));
    unreadable(report.unreadable);
  }

  function stageTable(stages) {
    const rows = stages.map((stage) => {
      const left = stage.in - stage.dropped - stage.failed;
      return [stage.name, count(stage.in), count(stage.dropped), count(stage.failed), count(left), percent(left, stage.in)];
    });
    return table({ title: "Outcome of the objects", head: ["Stage", "In", "Dropped", "Failed", "On", "Share"], rows });
  }

  function table({ title, head, rows, note }) {
    return element("figure", { className: "table" }, element("figcaption", {}, title),
      element("div", { className: "scroll" }, element("table", {},
        element("thead", {}, element("tr", {}, head.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, rows.map(([name, ...values]) =>
          element("tr", {}, element("th", { scope: "row" }, name), values.map((value) => element("td", {}, String(value)))))))),
      note ? element("p", { className: "quiet" }, note) : null);
  }

  function unreadable(files) {
    if (!files || !files.count) return;
    const box = document.getElementById("unreadable");
    box.hidden = false;
    box.querySelector("summary").textContent = `${count(files.count)} ${files.count === 1 ? "file" : "files"} of the source could not be read`;
    const more = files.count - files.entries.length;
    box.querySelector("ul").replaceChildren(...files.entries.map(([, error]) => element("li", {}, error)),
      ...(more ? [element("li", {}, `… and ${count(more)} more`)] : []));
  }

  return { show };
})();
