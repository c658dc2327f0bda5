/**
 * The gallery: every video of one run, or of all DAGs that the user may read.
 *
 * Calls: one for the settings, one for each 100 task instances (`PAGES` at first, more when asked), one for each video
 * that is or was near the window, and `VALUES` in all for the others; the rest when asked.
 */

import "./theme.js";
import { ApiError, listInstances, readRecords, readSettings, readValue } from "./api.js";
import { dropCard, makeCard } from "./card.js";
import { drawChart } from "./chart.js";
import { filterBar } from "./filters.js";
import { h, icon, notice, replace } from "./dom.js";
import { money, plural } from "./format.js";
import { windowedGrid } from "./grid.js";
import { leaveFrame, runUrl } from "./links.js";
import { Shelf, sourceOf } from "./shelf.js";

const PAGE = 100;
const PAGES = 10;
const VALUES = 300;
const AT_ONCE = 3;
const REFRESH_MS = 30_000;

const query = new URLSearchParams(window.location.search);
const scope = { dagId: query.get("dag_id") || null, runId: query.get("run_id") || null };
const inRun = Boolean(scope.dagId && scope.runId);

let shelf = new Shelf();
let settings = { preview: false, how_to_enable: "" };
let total = 0;
let offset = 0;
let pages = PAGES;
let budget = VALUES;
let underWay = 0;
let listing = null;
let listed = false;
let failure = null;

// ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
const tiles = h("dl", { class: "tiles" });
const chart = h("div", { class: "spend" });
const uncounted = h("div", null);
const more = h("div", { class: "more" });
const list = h("ul", { class: "grid", role: "list", "aria-label": "Videos" });
const message = h("div", { class: "message" });
const banner = h("div", { class: "message" });
const filters = filterBar({ inRun, dagId: scope.dagId, changed: draw, narrowed: () => void start() });
const grid = windowedGrid(list, (item) => makeCard(item, { preview: settings.preview, inRun }), dropCard);

function build() {
  const title = inRun ? "Videos of this run" : "Videos";
  document.title = title;
  replace(
    document.getElementById("page"),
    h(
      "header",
      { class: "head" },
      h(
        "div",
        null,
        h("h1", null, title),
        inRun &&
          h("p", { class: "sub" }, `${scope.dagId} · `, h("a", { href: runUrl(scope), "data-leave": "" }, scope.runId)),
      ),
      h("button", { type: "button", class: "button", onclick: () => void start() }, "Refresh"),
    ),
    banner,
    h("section", { class: "summary", "aria-label": "Spend" }, tiles, chart, uncounted),
    filters.element,
    h("section", { "aria-label": "Gallery" }, status, message, list, more),
  );
}

// ── Data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function start() {
  listing?.abort();
  listing = new AbortController();
  shelf = new Shelf();
  offset = 0;
  total = 0;
  pages = PAGES;
  budget = VALUES;
  listed = false;
  failure = null;
  draw();
  await loadPages(listing.signal);
}

/** Read the list up to `pages`; the first page is drawn at once. */
async function loadPages(signal) {
  const range = filters.range();
  const within = { dagId: scope.dagId ?? range.dagId, runId: scope.runId };
  try {
    do {
      const page = await listInstances(within, { limit: PAGE, offset, from: range.from, to: range.to }, signal);
      total = page.total;
      // A server may give fewer than asked for (`[api] maximum_page_limit`).
      offset += page.instances.length || total;
      pages -= 1;
      listed = true;
      shelf.take(page.instances);
      filters.learn(shelf.all());
      draw();
    } while (offset < total && pages > 0);
  } catch (error) {
    if (signal.aborted) return;
    failure = error;
    draw();
  }
}

/** Keep a few values coming: those of cards near the window first, then the others while the budget lasts. */
function pump() {
  const signal = listing.signal;
  while (underWay < AT_ONCE) {
    const item = nextItem();
    if (!item) return;
    item.loading = true;
    underWay += 1;
    void load(item, signal).finally(() => {
      underWay -= 1;
      if (!signal.aborted) pump();
    });
  }
}

/** The grid draws with the next frame; only then is it known what is near the window. */
function pumpSoon() {
  requestAnimationFrame(() => requestAnimationFrame(pump));
}

function nextItem() {
  const missing = (item) => !item.loaded && !item.loading;
  const seen = grid.visible().find((item) => missing(shelf.get(item.id) ?? item));
  if (seen) return seen;
  if (budget <= 0) return null;
  const other = shelf.all().find(missing);
  if (other) budget -= 1;
  return other ?? null;
}

async function load(item, signal) {
  try {
    if (sourceOf(item) === "value") shelf.fill(item, { value: await readValue(item.task, signal) });
    else shelf.fill(item, { records: await readRecords(item.task, signal) });
  } catch (error) {
    if (signal.aborted) return;
    // One that may not be read is told as unknown; an API server that fails ends the reading.
    if (error instanceof ApiError && error.status !== 0 && error.status < 500) shelf.fill(item, {});
    else {
      budget = 0;
      failure = error;
    }
  }
  grid.refresh(item);
  drawSoon();
}

/** Look again at the newest page while something is under way and somebody looks. */
async function refresh() {
  const going = shelf.all().some(({ task }) => task.phase === "running" || task.phase === "waiting");
  if (document.hidden || !going || failure || !listing) return;
  const { signal } = listing;
  const range = filters.range();
  try {
    const within = { dagId: scope.dagId ?? range.dagId, runId: scope.runId };
    const page = await listInstances(within, { limit: PAGE, from: range.from, to: range.to }, signal);
    const changed = shelf.take(page.instances);
    budget = Math.max(budget, changed.length);
    for (const item of changed) grid.refresh(item);
    draw();
  } catch {
    // the next one may work; what is shown stays
  }
}

// ── Drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

let soon = 0;
function drawSoon() {
  soon ||= setTimeout(() => {
    soon = 0;
    draw();
  }, 200);
}

function draw() {
  const cards = shelf.cards();
  const chosen = filters.choose(cards);
  drawMessage(cards, chosen);
  grid.show(chosen);
  drawSpend(cards, chosen);
  drawMore();
  pumpSoon();
  if (shelf.size && !document.documentElement.dataset.painted) {
    document.documentElement.dataset.painted = String(Math.round(performance.now()));
  }
}

function drawMessage(cards, chosen) {
  if (failure) replace(message, failureNotice(failure));
  else if (!listed) replace(message, h("p", { class: "loading" }, "Loading videos …"));
  else if (cards.length === 0) replace(message, emptyNotice());
  else if (chosen.length === 0) {
    replace(
      message,
      notice("info", "Nothing matches", h("p", null, "No video matches these filters."), filters.reset()),
    );
  } else replace(message);
  const older = offset < total ? " so far" : "";
  const text = cards.length
    ? `${plural(chosen.length, "video")}${chosen.length < cards.length ? ` of ${cards.length}` : ""}${older}`
    : "";
  if (status.textContent !== text) status.textContent = text;
}

function failureNotice(error) {
  const again = h("button", { type: "button", class: "button", onclick: () => void start() }, "Try again");
  if (error.status === 401)
    return notice("error", "You are signed out", h("p", null, "Sign in to Airflow, then load this page again."), again);
  if (error.status === 403)
    return notice(
      "error",
      "No access",
      h(
        "p",
        null,
        "You may not read the task instances of this DAG. Ask for the right to read its task instances and XComs.",
      ),
    );
  if (error.status === 404) return notice("error", "Not found", h("p", null, error.message));
  return notice("error", "The videos could not be loaded", h("p", null, error.message ?? String(error)), again);
}

function emptyNotice() {
  return notice(
    "empty",
    inRun ? "No videos in this run" : "No videos yet",
    h("p", null, "Tasks that order or land a video appear here as soon as they start, in DAGs that you may read."),
  );
}

function drawSpend(cards, chosen) {
  // Everything of the runs that are shown counts, also orders whose video another card shows.
  const filtered = filters.active();
  const items = filtered ? chosen : shelf.all();
  const spend = shelf.spend(items);
  const { usd, jobs, unknown } = spend.total();
  const missing = items.filter((item) => !item.loaded).length;
  const known = jobs > unknown || usd > 0;
  const least = missing > 0 || unknown > 0 || offset < total;
  const note = known && least ? "at least" : filtered ? "of the filtered" : "";
  replace(
    tiles,
    tile("Total spend", known ? money(usd) : jobs + unknown > 0 ? "unknown" : "–", note),
    tile("Videos", String(chosen.length), offset < total ? "so far" : ""),
    tile("Jobs counted", String(jobs), unknown ? `${unknown} without a known cost` : ""),
  );
  tiles.dataset.usd = String(usd);
  tiles.dataset.complete = String(listed && missing === 0 && offset >= total);
  drawChart(chart, spend.perDay());
  drawUncounted(missing);
}

function drawUncounted(missing) {
  if (missing === 0 || budget > 0) {
    replace(uncounted);
    return;
  }
  replace(
    uncounted,
    h(
      "p",
      { class: "hint" },
      icon("info"),
      `Spend and model of ${plural(missing, "task")} are not loaded yet. `,
      h("button", { type: "button", class: "linklike", onclick: countAll }, `Count all (${missing} more API calls)`),
    ),
  );
}

function tile(name, value, note) {
  return h(
    "div",
    { class: "tile" },
    h("dt", null, name),
    h(
      "dd",
      null,
      note === "at least" && h("small", null, "at least "),
      value,
      note && note !== "at least" && h("small", null, ` ${note}`),
    ),
  );
}

function countAll() {
  budget = Number.MAX_SAFE_INTEGER;
  draw();
}

function drawMore() {
  if (offset >= total || pages > 0 || failure) {
    replace(more);
    return;
  }
  const load = () => {
    pages = PAGES;
    void loadPages(listing.signal);
    drawMore();
  };
  replace(
    more,
    h(
      "button",
      { type: "button", class: "button", onclick: load },
      `Load older (${(total - offset).toLocaleString("en-US")} more tasks)`,
    ),
  );
}

function drawBanner() {
  if (settings.preview) replace(banner);
  else
    replace(
      banner,
      notice(
        "off",
        "No preview",
        h(
          "p",
          null,
          settings.how_to_enable || "An administrator can switch it on: [orvideo] preview_allowed_prefixes.",
        ),
      ),
    );
}

async function begin() {
  build();
  leaveFrame();
  window.addEventListener("scroll", pumpSoon, { passive: true });
  setInterval(() => void refresh(), REFRESH_MS);
  document.addEventListener("visibilitychange", () => void refresh());
  const ready = start();
  try {
    settings = await readSettings();
  } catch (error) {
    settings = {
      preview: false,
      how_to_enable: error.status === 401 ? "You are signed out." : "The plugin's settings could not be read.",
    };
  }
  drawBanner();
  for (const item of grid.visible()) grid.refresh(item);
  await ready;
}

void begin();
