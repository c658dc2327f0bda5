/**
 * The page of one task instance: the video, what was ordered, what it cost, and how it stands while it waits.
 *
 * Calls: about six to begin with; while the task goes on and the page is looked at, two every `FIRST_POLL` and later
 * every `LAST_POLL` milliseconds.
 */

import "./theme.js";
import { listAssetEvents, listInstances, readInstance, readRecords, readSettings, readValue } from "./api.js";
import { h, icon, notice, replace } from "./dom.js";
import { costPanel, filePanel, jobPanel, linksPanel, parametersPanel, promptPanel } from "./facts.js";
import { idOf, readLedger, readManifest, readTask } from "./job.js";
import { galleryUrl, leaveFrame, videoUrl } from "./links.js";
import { player, previewOff } from "./player.js";
import { statusPanel } from "./status.js";
import { stepsOf, timeline } from "./timeline.js";

const FIRST_POLL = 5_000;
const LAST_POLL = 20_000;
/** How many landing tasks are asked whether theirs is the video of this order. */
const CANDIDATES = 8;
/** How many indexes of a mapped task are offered. */
const INDEXES = 1_000;

const page = document.getElementById("page");
const query = new URLSearchParams(window.location.search);
const key = {
  dagId: query.get("dag_id") ?? "",
  runId: query.get("run_id") ?? "",
  taskId: query.get("task_id") ?? "",
  mapIndex: /^\d+$/.test(query.get("map_index") ?? "") ? Number(query.get("map_index")) : -1,
};

const goes = (task) =>
  task.phase === "running" || task.phase === "waiting" || (task.phase === "other" && task.state === null);

// ── Data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function readTold(task) {
  if (task.phase === "done") return { manifest: readManifest(await readValue(key)), record: null };
  if (task.role !== "order" && task.role !== "both") return { manifest: null, record: null };
  const records = (await readRecords(key)).map(readLedger).filter(Boolean);
  return { manifest: null, record: records[0] ?? null };
}

/** Return the tasks of this provider in the run, and the indexes of this task if it is mapped. */
async function readAround() {
  const { instances, total } = await listInstances(key);
  const tasks = instances.map(readTask).filter((task) => task.role);
  let indexes = tasks.filter((task) => task.taskId === key.taskId && task.mapIndex >= 0);
  if (total > instances.length && key.mapIndex >= 0) {
    const own = await listInstances(key, { taskId: key.taskId });
    const labels = new Map(own.instances.map(readTask).map((task) => [task.mapIndex, task]));
    indexes = Array.from(
      { length: Math.min(own.total, INDEXES) },
      (_, mapIndex) => labels.get(mapIndex) ?? { ...key, mapIndex, label: null },
    );
  }
  return { tasks, indexes: indexes.sort((a, b) => a.mapIndex - b.mapIndex) };
}

/** Where the video of this order lies: the task that landed it, with its manifest. */
async function findLanding(task, manifest, tasks) {
  if (manifest?.landed) return { task, manifest };
  if (!manifest) return null;
  const candidates = tasks
    .filter(
      (other) =>
        other.phase === "done" && (other.role === "land" || other.role === "both") && idOf(other) !== idOf(task),
    )
    .sort((a, b) => (b.mapIndex === task.mapIndex) - (a.mapIndex === task.mapIndex))
    .slice(0, CANDIDATES);
  for (const other of candidates) {
    const found = readManifest(await readValue(other));
    if (found?.landed && found.jobId === manifest.jobId) return { task: other, manifest: found };
  }
  return null;
}

async function readAll() {
  const [settings, raw, around] = await Promise.all([
    readSettings().catch(() => ({ preview: false, how_to_enable: "" })),
    readInstance(key),
    readAround(),
  ]);
  const task = readTask(raw);
  const [told, assets] = await Promise.all([readTold(task), task.phase === "done" ? listAssetEvents(key) : []]);
  const landing = await findLanding(task, told.manifest, around.tasks).catch(() => null);
  return { settings, task, ...told, assets, landing, ...around };
}

// ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────

let following = null;

function draw(view) {
  const { settings, task, manifest, record, landing, assets, tasks, indexes } = view;
  const shown = landing?.manifest ?? manifest;
  const going = goes(task);
  const prompt = shown?.prompt ?? task.prompt;
  document.title = `Video · ${task.taskName}`;
  const status = statusPanel();
  status.update({ task, record, manifest: shown, going });
  const file = h("div", null);
  const files = shown?.landed ? shown.files : [];
  const related = tasks.filter((other) => other.taskId !== task.taskId && other.mapIndex === task.mapIndex);
  replace(
    page,
    h(
      "header",
      { class: "head" },
      h(
        "div",
        null,
        h("a", { class: "back", href: galleryUrl(task) }, icon("back"), "Videos of this run"),
        h(
          "h1",
          null,
          task.taskName,
          task.mapIndex >= 0 && h("span", { class: "index" }, ` [${task.label ?? task.mapIndex}]`),
        ),
        h("p", { class: "sub" }, `${task.dagName} · ${task.runId}`),
      ),
      switcher(task, indexes),
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "wide" },
        files.length > 0
          ? player({
              key: landing?.task ?? task,
              files,
              settings,
              play: query.get("play") === "1",
              chosen: (one) => file.replaceChildren(filePanel(one, files.length)),
            })
          : placeholder(task, settings),
        promptPanel(prompt),
        file,
      ),
      h(
        "div",
        { class: "narrow" },
        status.element,
        costPanel({ manifest: shown, record, going }),
        timeline(stepsOf(landing?.task ?? task, shown, record)),
        jobPanel({ task, manifest: shown, record }),
        parametersPanel(shown?.request ?? null, task.role === "land" ? {} : task.fields),
        linksPanel({ task, assets, related }),
      ),
    ),
  );
  following?.stop();
  following = going ? follow(view, status) : null;
}

function placeholder(task, settings) {
  if (task.phase === "done" && !settings.preview) return previewOff(settings);
  const texts = {
    done: "No file was landed for this job yet.",
    failed: "There is no video.",
    waiting: "The video appears here when it has landed.",
    running: "The video appears here when it has landed.",
    other: "The task has not started.",
  };
  return h(
    "section",
    { class: "player", "aria-label": "Player" },
    h("div", { class: "stage vacant" }, icon(goes(task) ? "clock" : "film"), h("p", null, texts[task.phase])),
  );
}

function named({ mapIndex, label }) {
  return label && label !== String(mapIndex) ? `${mapIndex} · ${label}` : `Index ${mapIndex}`;
}

/** Links to the other indexes of a mapped task. */
function switcher(task, indexes) {
  if (task.mapIndex < 0 || indexes.length < 2) return null;
  const at = indexes.findIndex((other) => other.mapIndex === task.mapIndex);
  const step = (other, name, mark) =>
    other
      ? h("a", { class: "button", href: videoUrl(other), "aria-label": name, title: name }, icon(mark))
      : h("span", { class: "button off", "aria-hidden": "true" }, icon(mark));
  const choice = h(
    "select",
    {
      "aria-label": "Mapped index",
      onchange: () => window.location.assign(videoUrl({ ...key, mapIndex: Number(choice.value) })),
    },
    indexes.map((other) =>
      h("option", { value: other.mapIndex, selected: other.mapIndex === task.mapIndex }, named(other)),
    ),
  );
  return h(
    "nav",
    { class: "switcher", "aria-label": "Mapped index" },
    step(indexes[at - 1], "Previous index", "back"),
    choice,
    step(indexes[at + 1], "Next index", "next"),
  );
}

/** Look again while the task goes on; sleeps while nobody looks. */
function follow(view, status) {
  let timer = 0;
  let pause = FIRST_POLL;
  let stopped = false;
  const clock = setInterval(status.tick, 1_000);

  function later() {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(() => void look(), pause);
    pause = Math.min(LAST_POLL, pause * 1.3);
  }

  async function look() {
    try {
      const task = readTask(await readInstance(key));
      if (stopped) return;
      if (!goes(task) || task.state !== view.task.state) {
        await load();
        return;
      }
      const { record } = await readTold(task);
      if (stopped) return;
      status.trouble(null);
      const accepted = record?.phase !== view.record?.phase;
      view = { ...view, task, record };
      if (accepted) draw(view);
      else status.update({ task, record, manifest: null, going: true });
    } catch (error) {
      status.trouble(
        error.status === 401
          ? "You are signed out; sign in to Airflow and load this page again."
          : "The API server does not answer; the next look follows.",
      );
    }
    later();
  }

  function visible() {
    if (document.hidden) clearTimeout(timer);
    else if (!stopped) void look();
  }

  document.addEventListener("visibilitychange", visible);
  later();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(clock);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}

function failed(error) {
  const again = h("button", { type: "button", class: "button", onclick: () => void load() }, "Try again");
  const texts = {
    401: ["You are signed out", "Sign in to Airflow, then load this page again."],
    403: ["No access", "You may not read this DAG's task instances or XComs."],
    404: ["Not found", "There is no such task instance; perhaps its run was deleted."],
  };
  const [title, text] = texts[error.status] ?? ["The video could not be loaded", error.message ?? String(error)];
  replace(page, notice("error", title, h("p", null, text), again));
}

async function load() {
  try {
    draw(await readAll());
  } catch (error) {
    if (error.status === 404 && key.mapIndex < 0) {
      const { indexes } = await readAround().catch(() => ({ indexes: [] }));
      // The address is of a mapped task and names no index: the first one it is.
      if (indexes.length > 0) {
        window.location.replace(videoUrl(indexes[0]));
        return;
      }
    }
    failed(error);
  }
}

leaveFrame();
if (key.dagId && key.runId && key.taskId) void load();
else
  replace(
    page,
    notice(
      "error",
      "Nothing to show",
      h(
        "p",
        null,
        "The address of this page names a task instance: dag_id, run_id, task_id and, for a mapped task, map_index.",
      ),
    ),
  );
