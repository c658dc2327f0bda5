/**
 * What the gallery knows: task instances, what they handed on, and which of them are a video's card.
 */

import { idOf, readLedger, readManifest, readTask } from "./job.js";
import { Spend } from "./spend.js";

/** Keeps the items of the gallery; calls nothing itself. */
export class Shelf {
  #items = new Map();

  get size() {
    return this.#items.size;
  }

  all() {
    return [...this.#items.values()];
  }

  get(id) {
    return this.#items.get(id);
  }

  /** Take in a page of the list; returns the items whose task went on since they were last seen. */
  take(rawInstances) {
    const changed = [];
    for (const raw of rawInstances) {
      const task = readTask(raw);
      if (!task.role || task.role === "watch") continue;
      const id = idOf(task);
      const known = this.#items.get(id);
      if (known && known.task.state === task.state && known.task.tryNumber === task.tryNumber) continue;
      const item = {
        id,
        task,
        manifest: null,
        records: [],
        loaded: false,
        loading: false,
        usd: null,
        model: task.model,
        at: timeOf(task, null),
      };
      item.loaded = sourceOf(item) === null;
      this.#items.set(id, item);
      changed.push(item);
    }
    return changed;
  }

  /** Take in what a task handed on, or the pay-once records of one that handed on nothing. */
  fill(item, { value = null, records = [] }) {
    item.manifest = readManifest(value);
    item.records = records.map(readLedger).filter(Boolean);
    item.loaded = true;
    const own = new Spend();
    this.#count(own, item);
    const { usd, jobs, unknown } = own.total();
    item.usd = item.manifest?.cost ?? (jobs > 0 && unknown < jobs ? usd : null);
    item.model = item.manifest?.model ?? item.records[0]?.model ?? item.task.model;
    item.at = timeOf(item.task, item.manifest ?? item.records[0]);
  }

  #count(spend, item) {
    if (item.manifest) spend.addManifest(item.manifest, item.at);
    for (const record of item.records) spend.addRecord(record, item.at);
  }

  /** Add up the spend of these items. */
  spend(items) {
    const spend = new Spend();
    for (const item of items) this.#count(spend, item);
    return spend;
  }

  /**
   * Return the items that get a card: one for each video, and for each order that has no video yet. A finished order is
   * shown by the task that lands its video, if there is one.
   */
  cards() {
    const landings = new Map();
    for (const item of this.#items.values()) {
      if (item.task.role !== "land" || !began(item.task)) continue;
      const run = runOf(item.task);
      if (!landings.has(run)) landings.set(run, new Landings());
      landings.get(run).add(item);
    }
    return this.all().filter((item) => {
      item.landed = item.manifest?.landed ?? null;
      if (!began(item.task)) return false;
      if (item.task.role !== "order" || item.task.phase !== "done") return true;
      return !landings.get(runOf(item.task))?.showsOrder(item);
    });
  }
}

/** The landing tasks of one run: which orders they are about, by job where it is known and by map index before. */
class Landings {
  #jobs = new Set();
  #unread = new Set();
  #all = new Set();

  add(item) {
    const { mapIndex } = item.task;
    this.#all.add(mapIndex);
    if (item.manifest) this.#jobs.add(item.manifest.jobId);
    else this.#unread.add(mapIndex);
  }

  showsOrder(item) {
    if (item.manifest && this.#jobs.has(item.manifest.jobId)) return true;
    const candidates = item.manifest ? this.#unread : this.#all;
    const { mapIndex } = item.task;
    return candidates.has(mapIndex) || candidates.has(-1) || (mapIndex < 0 && candidates.size > 0);
  }
}

/** What tells more about an item: "value", "records", or null for nothing. */
export function sourceOf(item) {
  const { role, phase, state } = item.task;
  if (phase === "done") return "value";
  if (role === "land" || state === "upstream_failed" || phase === "other") return null;
  return "records";
}

function runOf(task) {
  return `${task.dagId}\n${task.runId}`;
}

function began(task) {
  return task.phase !== "other" && task.state !== "upstream_failed";
}

/** When the video was ordered, as well as it is known. */
function timeOf(task, told) {
  return told?.submittedAt ?? task.startedAt ?? task.queuedAt ?? task.runAfter;
}
