"use strict";
/* What the report knows. The index is in memory; details and search text are scripts that are loaded when they are
   needed, because a page that is opened as a file may load scripts, but fetch nothing. */
const refsav = (() => {
  const STATUSES = ["kept", "dropped", "failed"];
  const SOURCES = ["manual", "auto"];
  const CHUNKS_IN_MEMORY = 40;

  const arrived = new Map(); // script name → what it brought, until it is taken
  const waiting = new Map(); // script name → promise of what it brings

  function load(name) {
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${encodeURIComponent(name)}.js`;
        script.onload = () => {
          script.remove();
          if (arrived.has(name)) resolve(arrived.get(name));
          else fail("is damaged");
          arrived.delete(name);
        };
        script.onerror = () => {
          script.remove();
          fail("is missing");
        };
        const fail = (problem) => {
          waiting.delete(name);
          reject(new Error(`data/${name}.js ${problem}`));
        };
        document.head.append(script);
      }));
    }
    const promise = waiting.get(name);
    if (name.startsWith("bundle-")) { // the chunk used longest ago is forgotten first
      waiting.delete(name);
      waiting.set(name, promise);
      const held = [...waiting.keys()].filter((key) => key.startsWith("bundle-"));
      if (held.length > CHUNKS_IN_MEMORY) waiting.delete(held[0]);
    }
    return promise;
  }

  const report = { title: "", page: 24, counts: {}, stages: [], whys: [], provenance: [], search: [], chunks: [], tables: [], videos: [], objects: [] };

  /* Called by data/index.js. An object is a small frozen row; `place` counts objects as the search text does. */
  function index(content) {
    const objects = [];
    let place = 0;
    content.videos.forEach((video) => {
      video.objects.forEach(([source, masklet, status, why, pictured, lead]) => {
        objects.push({
          place: place++, video: video.id, split: video.split, chunk: video.chunk, upright: video.upright,
          source: SOURCES[source], masklet, status: STATUSES[status], why, pictured: Boolean(pictured), lead,
        });
      });
    });
    const videos = [...new Set(objects.map((one) => one.video))].sort();
    const rank = new Map(videos.map((video, at) => [video, at]));
    // By video, but what can be seen comes before what there are only words of.
    objects.sort((a, b) => b.pictured - a.pictured || rank.get(a.video) - rank.get(b.video) || a.place - b.place);
    Object.assign(report, content, { objects, videos });
  }

  const chunk = (content) => arrived.set(content.name, new Map(content.objects.map((one) => [idOf(one), one])));
  const text = (name, texts) => arrived.set(name, texts);

  const idOf = (one) => `${one.video}/${one.source}/${one.masklet}`;

  async function details(row) {
    const objects = await load(report.chunks[row.chunk]);
    return objects.get(idOf(row));
  }

  let texts = null;
  async function searchTexts() {
    if (!texts) texts = (await Promise.all(report.search.map(load))).flat();
    return texts;
  }

  /* A complete id means that video, to distinguish "sav_1" from "sav_10"; anything else is a part of an id. */
  function videoTest(typed) {
    if (report.videos.includes(typed)) return (video) => video === typed;
    const part = typed.toLowerCase();
    return (video) => video.toLowerCase().includes(part);
  }

  /* Rows that fit the filters, in order. `wanted.q`: every word must stand in the text. */
  async function select(wanted) {
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const searched = words.length ? await searchTexts() : null;
    const ofVideo = videoTest(wanted.video);
    const [status, stage, ...rest] = wanted.why.split("~");
    const why = rest.join("~");
    return report.objects.filter((row) => {
      if (wanted.status && row.status !== wanted.status) return false;
      if (wanted.source && row.source !== wanted.source) return false;
      if (wanted.split && row.split !== wanted.split) return false;
      if (!ofVideo(row.video)) return false;
      if (wanted.why) {
        const reason = report.whys[row.why];
        if (!reason || reason.status !== status || reason.stage !== stage || (why && reason.why !== why)) return false;
      }
      return !searched || words.every((word) => searched[row.place].includes(word));
    });
  }

  return { report, index, chunk, text, details, select, idOf };
})();
