/**
 * Builds elements. Whatever comes from the API becomes text or a property, never markup.
 */

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "href" || name === "src") element.setAttribute(name, safeUrl(value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Make an HTML element. `attributes`: `on…` are listeners, null and false are left out. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Return an address that a browser may open; anything but http(s) becomes "about:blank". */
function safeUrl(value) {
  try {
    const url = new URL(String(value), window.location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? String(value) : "about:blank";
  } catch {
    return "about:blank";
  }
}

const ICONS = {
  film: "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm3 0v14M17 5v14M3 9h4m-4 6h4m10-6h4m-4 6h4",
  copy: "M9 9h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V10a1 1 0 0 1 1-1ZM5 15H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v1",
  check: "M4 12.5 9.5 18 20 6.5",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 4v5l3.5 2",
  alert: "M12 4 2.5 20h19L12 4Zm0 6v5m0 2.5v.5",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 7.5V16m0-8.5V8",
  back: "M14.5 5.5 8 12l6.5 6.5",
  next: "M9.5 5.5 16 12l-6.5 6.5",
  lock: "M6 11h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1Zm2 0V8a4 4 0 0 1 8 0v3",
};

/** Return one of our own line icons; it says nothing to a screen reader. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** Put `children` in place of what `element` holds. */
export function replace(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child instanceof Node || typeof child === "string"),
  );
}

/** A box that explains a state of the page: nothing there, an error, a switch that is off. */
export function notice(kind, title, ...body) {
  const mark = { error: "alert", empty: "film", off: "lock", info: "info" }[kind];
  return h(
    "section",
    { class: `notice ${kind}`, role: kind === "error" ? "alert" : "note" },
    icon(mark),
    h("div", null, h("h2", null, title), ...body),
  );
}
