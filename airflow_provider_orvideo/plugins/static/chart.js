/**
 * Spend per day and model as plain SVG, with the same numbers as a table for whoever does not see it.
 */

import { h, replace, svg } from "./dom.js";
import { money } from "./format.js";

const HEIGHT = 136;
const EDGE = { top: 8, right: 4, bottom: 22, left: 52 };
const COLOURS = 7;
/** More days than this are drawn as months. */
const MOST_DAYS = 62;

/** Draw `cells` ([{day, model, usd}], days in order) into `holder`. */
export function drawChart(holder, cells) {
  if (cells.length === 0) {
    replace(holder);
    return;
  }
  const width = Math.max(260, holder.clientWidth || 640);
  const drawn = `${width} ${JSON.stringify(cells)}`;
  if (holder.drawn === drawn && holder.firstChild) return;
  holder.drawn = drawn;
  const open = holder.querySelector("details")?.open ?? false;
  const models = ranked(cells);
  const colour = (model) =>
    `c${Math.min(
      models.findIndex(([name]) => name === model),
      COLOURS,
    )}`;
  const days = columns(cells);
  replace(
    holder,
    days.length > 1 ? bars(days, colour, width) : strip(models, colour),
    h(
      "ul",
      { class: "legend" },
      models.map(([model, usd]) =>
        h(
          "li",
          null,
          h("span", { class: `swatch ${colour(model)}` }),
          h("span", null, model),
          h("b", null, money(usd)),
        ),
      ),
    ),
    table(days, open),
  );
}

/** [[model, dollars]], the dearest first. */
function ranked(cells) {
  const sums = new Map();
  for (const { model, usd } of cells) sums.set(model, (sums.get(model) ?? 0) + usd);
  return [...sums].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** [{label, parts: [{model, usd}], usd}] for each day from the first to the last, or for each month. */
function columns(cells) {
  const first = Date.parse(cells[0].day);
  const last = Date.parse(cells.at(-1).day);
  const daily = (last - first) / 86_400_000 < MOST_DAYS;
  const found = new Map();
  for (let at = first; at <= last; at += 86_400_000) {
    const day = new Date(at).toISOString();
    const label = day.slice(0, daily ? 10 : 7);
    if (!found.has(label)) found.set(label, new Map());
  }
  for (const { day, model, usd } of cells) {
    const parts = found.get(day.slice(0, daily ? 10 : 7));
    parts.set(model, (parts.get(model) ?? 0) + usd);
  }
  return [...found].map(([label, parts]) => ({
    label,
    parts: [...parts].map(([model, usd]) => ({ model, usd })),
    usd: [...parts.values()].reduce((sum, usd) => sum + usd, 0),
  }));
}

function bars(days, colour, width) {
  const top = ceiling(Math.max(...days.map((day) => day.usd)));
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const step = inner.width / days.length;
  const bar = Math.min(40, Math.max(2, step * 0.7));
  const y = (usd) => EDGE.top + inner.height * (1 - usd / top);
  const every = Math.ceil(days.length / Math.max(1, Math.floor(inner.width / 84)));
  const grid = [0, top / 2, top].map((usd) => [
    svg("line", { class: "gridline", x1: EDGE.left, x2: width - EDGE.right, y1: y(usd), y2: y(usd) }),
    svg("text", { x: EDGE.left - 6, y: y(usd) + 4, "text-anchor": "end" }, money(usd)),
  ]);
  const drawn = days.map((day, position) => {
    const x = EDGE.left + step * position + (step - bar) / 2;
    let below = 0;
    const parts = day.parts.map(({ model, usd }) => {
      below += usd;
      return svg(
        "rect",
        { class: colour(model), x, y: y(below), width: bar, height: Math.max(0.5, y(below - usd) - y(below)) },
        svg("title", null, `${day.label} · ${model}: ${money(usd)}`),
      );
    });
    const label =
      position % every === 0 &&
      svg(
        "text",
        { x: x + bar / 2, y: HEIGHT - 6, "text-anchor": "middle" },
        day.label.slice(day.label.length > 7 ? 5 : 0),
      );
    return svg("g", null, parts, label);
  });
  return svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "img",
      "aria-label": "Spend per day and model",
    },
    grid,
    drawn,
  );
}

/** One day: a single bar, each model its share. */
function strip(models, colour) {
  const sum = models.reduce((total, [, usd]) => total + usd, 0) || 1;
  let x = 0;
  const parts = models.map(([model, usd]) => {
    const width = (usd / sum) * 100;
    x += width;
    return svg(
      "rect",
      { class: colour(model), x: x - width, y: 0, width, height: 10 },
      svg("title", null, `${model}: ${money(usd)}`),
    );
  });
  return svg(
    "svg",
    {
      class: "strip",
      viewBox: "0 0 100 10",
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": "Spend per model",
    },
    parts,
  );
}

/** The next round number, so that the axis has round labels. */
function ceiling(usd) {
  if (!(usd > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(usd));
  return [1, 2, 4, 5, 10].map((factor) => factor * power).find((round) => round >= usd);
}

function table(days, open) {
  const rows = days.flatMap((day) => day.parts.map((part) => [day.label, part.model, money(part.usd)]));
  return h(
    "details",
    { class: "figures", open },
    h("summary", null, "As a table"),
    h(
      "table",
      null,
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          ["Date", "Model", "Spend"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map((row) =>
          h(
            "tr",
            null,
            row.map((cell) => h("td", null, cell)),
          ),
        ),
      ),
    ),
  );
}
