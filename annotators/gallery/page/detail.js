"use strict";
/* One object in full: what was sent to each stage, what came back, and what became of it. */
const detail = (() => {
  const { element, svg, picture, film, blank, madeBy, chip, percent, ratio } = make;
  const STAGE = { source: "reading", filter: "the filter", views: "drawing", object: "the object stage",
    judge: "the judge", scene: "the scene stage", video: "the video stage" };

  function view(entry) {
    const screen = element("div", { className: "screen", style: { "aspect-ratio": ratio(entry) } },
      entry.pictures ? film(entry, true) : blank(entry));
    const tall = entry.size && entry.size[0] > entry.size[1];
    return element("div", { className: `object ${tall ? "tall" : ""}` },
      element("section", { className: "hero" },
        element("div", { className: "film" }, screen, visibility(entry)),
        element("div", { className: "said" }, ...outcome(entry).filter(Boolean), facts(entry))),
      ...steps(entry));
  }

  function outcome(entry) {
    if (entry.status === "kept") {
      return [element("h3", {}, "Expression"), element("p", { className: "expression" }, entry.expression),
        element("p", { className: "quiet aside" }, `${entry.expression.split(/\s+/).length} words`)];
    }
    if (entry.status === "dropped") {
      return [element("h3", {}, chip("Dropped", "dropped"), ` by ${STAGE[entry.stage]}`),
        element("p", { className: "expression" }, entry.reason),
        entry.stage === "filter" && entry.pictures ? element("p", { className: "quiet aside" }, "No model was prompted; below are the views that one would have seen.") : null];
    }
    const again = entry.round ? ` It has been retried ${entry.round}×.` : "";
    const below = entry.pictures ? " Below is what the models were shown; a failed object’s texts are not kept." : "";
    return [element("h3", {}, chip("Failed", "failed"), ` at ${STAGE[entry.stage]}`),
      element("pre", { className: "error" }, entry.error),
      element("p", { className: "quiet aside" }, `Run refsav retry to try it again.${again}${below}`)];
  }

  function step(number, name, ...content) {
    return element("section", { className: "step" },
      element("h3", {}, element("span", { className: "number" }, number), name),
      element("div", { className: "content" }, ...content));
  }

  const said = (text) => (text ? element("p", { className: "text" }, text) : null);

  /* How far an object came: the images of later stages were never sent. A filtered one is shown in full, unasked. */
  const REACHED = { source: 0, filter: 4, views: 4, object: 1, judge: 2, scene: 3, video: 4 };

  function steps(entry) {
    const shown = entry.pictures;
    if (!shown && !entry.crop) return [];
    const name = refsav.idOf(entry);
    const reached = REACHED[entry.stage];
    const image = (...what) => (shown ? picture(entry, ...what) : null);
    const made = [step("1", "Object", element("div", { className: "two" },
      element("div", {}, image("crop", `Crop around ${name}`, "Crop, pixels kept", shown && shown.crop), said(entry.crop)),
      element("div", {}, image("masked", `${name}, everything else painted grey`, "Full frame, everything else painted over"), said(entry.masked))))];
    if (entry.verdict) made.push(step("2", "Judge", verdict(entry.verdict)));
    if (reached >= 3 && (shown || entry.scene)) {
      made.push(step("3", "Scene", element("div", { className: "beside" },
        image("scene", `Frame with ${name} outlined`, "Full frame, outlined"), said(entry.scene))));
    }
    if (reached >= 4 && shown) made.push(step("4", "Video", strip(entry, name)));
    return made;
  }

  function verdict({ consistent, confidence, reason }) {
    const word = consistent ? "Consistent" : "Conflict";
    return element("div", { className: "verdict" },
      chip(word, consistent ? "kept" : "dropped"),
      element("span", { className: "gauge", "aria-hidden": "true" }, element("span", { style: { width: `${100 * confidence}%` } })),
      element("span", { className: "quiet" }, `${percent(confidence, 1)} sure`),
      reason ? element("p", { className: "text" }, reason) : null);
  }

  function strip(entry, name) {
    const { rows, visible } = entry.pictures;
    return element("div", { className: "strip", style: { "--across": entry.size[0] > entry.size[1] ? 8 : 4 } }, rows.map((row, at) => {
      const seconds = (row / entry.rate).toFixed(1);
      const where = visible[at] ? "outlined" : "hidden here";
      const made = picture(entry, `video-${at}`, `Frame ${at + 1} of ${rows.length}, at ${seconds} s: ${name} ${where}`,
        `${at + 1} · ${seconds} s${visible[at] ? "" : " · hidden"}`);
      made.classList.toggle("unseen", !visible[at]);
      return made;
    }));
  }

  /* How large the object is through the video; gaps where it is hidden, ticks at the pictures that were sent. */
  function visibility(entry) {
    if (!entry.areas || !entry.areas.some(Boolean)) return null;
    const rows = entry.areas.length;
    const bars = entry.areas.map((area, row) => (area ? `M${row} 100v${-Math.max(6, area)}h1V100z` : "")).join("");
    const ticks = entry.pictures ? entry.pictures.rows.map((row) => `M${row + 0.5} 106v10`).join("") : "";
    const seen = entry.areas.filter(Boolean).length;
    const label = `visible in ${seen} of ${rows} annotated frames`;
    const drawing = svg("svg", { viewBox: `0 0 ${rows} 118`, preserveAspectRatio: "none", class: "area", role: "img", "aria-label": label },
      svg("path", { d: bars, class: "bars" }), svg("path", { d: ticks, class: "ticks", "vector-effect": "non-scaling-stroke" }));
    return element("div", { className: "visibility" }, drawing, element("p", { className: "quiet" },
      `Size through the video: ${label}`));
  }

  const DIGEST_SHOWN = 12; // hexadecimal digits; enough to distinguish prompts or requests
  const digest = (whole) => (whole ? element("span", { title: whole }, whole.slice(0, DIGEST_SHOWN)) : null);

  function facts(entry) {
    const pairs = [["Column", entry.column]];
    if (entry.size) {
      pairs.push(["Video", `${entry.size[1]} × ${entry.size[0]} px, ${(entry.areas.length / entry.rate).toFixed(1)} s`]);
      pairs.push(["Largest", `${make.count(entry.largest.px)} px, at ${(entry.largest.row / entry.rate).toFixed(1)} s`]);
    }
    if (entry.provenance) {
      pairs.push(["Origin", madeBy(entry.provenance)], ["Prompts", digest(entry.provenance.prompts)]);
    }
    if (entry.request) pairs.push(["Request", digest(entry.request)]);
    return element("dl", { className: "facts" }, pairs.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value ?? "–"))));
  }

  return { view };
})();
