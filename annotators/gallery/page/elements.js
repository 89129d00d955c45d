"use strict";
/* Making elements. Data is inserted as text or as an attribute, never as markup. */
const make = (() => {
  function element(name, properties = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "data") Object.assign(made.dataset, value);
      else if (key === "style") for (const [property, text] of Object.entries(value)) made.style.setProperty(property, text);
      else if (key.startsWith("aria-") || key === "role" || key === "for") made.setAttribute(key, value);
      else made[key] = value;
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }

  function svg(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const path = (entry, file) => `${encodeURI(entry.pictures.folder)}/${file}`;

  /* An image as it was sent, in a box of known shape so that nothing jumps; a click shows it alone.
     `size` is [height, width] in pixels; without it, that of the video's frames. */
  function picture(entry, file, alt, caption, size = entry.size) {
    const image = element("img", { src: path(entry, `${file}.jpg`), alt, loading: "lazy", decoding: "async" });
    const link = element("a", { href: image.src, target: "_blank", rel: "noopener", className: "frame" }, image);
    link.style.aspectRatio = `${size[1]} / ${size[0]}`;
    link.style.maxWidth = `${Math.round(Math.min(380, 3 * size[0]) * (size[1] / size[0]))}px`; // a tiny crop stays small
    return element("figure", {}, link, caption ? element("figcaption", {}, caption) : null);
  }

  const ratio = (entry) => (entry.size ? `${entry.size[1]} / ${entry.size[0]}` : "4 / 3");

  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  /* Films load and play only while they can be seen, and none behind an open object. */
  const seen = new Set();
  const dialog = () => document.getElementById("detail");
  function playOrPause(film) {
    const free = !dialog().open || dialog().contains(film);
    if (!seen.has(film) || !free || still) film.pause();
    else film.play().catch(() => {}); // a browser that may not play, or cannot, shows the poster
  }
  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (!isIntersecting) seen.delete(target);
      else {
        seen.add(target);
        if (!target.poster) target.poster = target.dataset.poster;
      }
      playOrPause(target);
    }
  }, { rootMargin: "80px" });

  function film(entry, controls = false) {
    const poster = path(entry, "scene.jpg");
    const label = `${refsav.idOf(entry)}, outlined in yellow`;
    if (!entry.pictures.preview) return element("img", { src: poster, alt: label, loading: "lazy" });
    const made = element("video", {
      src: path(entry, "preview.mp4"), muted: true, loop: true, playsInline: true, preload: "none",
      controls: controls || still, "aria-label": label, data: { poster },
    });
    watcher.observe(made);
    return made;
  }

  function forget(root) {
    for (const film of root.querySelectorAll("video")) {
      watcher.unobserve(film);
      seen.delete(film);
      film.pause();
    }
  }

  const refreshFilms = () => seen.forEach(playOrPause);

  const chip = (text, kind = "") => element("span", { className: `chip ${kind}` }, text);
  const count = (number) => Number(number).toLocaleString("en");
  const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part === whole ? 0 : 1)} %` : "–");

  const blank = (entry) => element("p", { className: "blank" }, entry.note || "No image: the recorded error states why.");

  /* An engine as records name it, "vllm:model", in words. */
  function engine(recorded) {
    const [, kind, name] = recorded.match(/^([^:]*):?(.*)$/s);
    if (kind === "attributes") return `the embedded annotator${name ? ` (${name})` : ""}`;
    return kind === "vllm" && name ? `${name} on vLLM` : recorded;
  }

  function madeBy({ vlm, judge }) {
    if (vlm.startsWith("imported:")) return `Imported from ${vlm.slice("imported:".length)}`;
    return vlm === judge ? `Described and judged by ${engine(vlm)}` : `Described by ${engine(vlm)}, judged by ${engine(judge)}`;
  }

  return { element, svg, picture, film, forget, refreshFilms, blank, madeBy, chip, count, percent, ratio };
})();
