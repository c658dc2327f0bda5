/**
 * How it stands with a task now, in words, and how long it has been going.
 */

import { facts, panel } from "./facts.js";
import { h, icon } from "./dom.js";
import { UNKNOWN, ago, span, when } from "./format.js";
import { logUrl } from "./links.js";
import { stateBadge } from "./state.js";

/** Return one sentence. */
function sentence(task, record, manifest) {
  if (record?.lost && record.phase === "intent" && task.phase !== "running") {
    return "An order was sent and its outcome is unknown: it may have been accepted and billed. The log says what to do.";
  }
  if (task.phase === "done") {
    if (manifest?.landed) return "The video has landed.";
    return manifest ? `The job is ${manifest.status ?? "ended"}.` : "The task has ended and handed on no video.";
  }
  if (task.phase === "failed") {
    if (record?.error) return `The job ended as ${record.status ?? "failed"}: ${record.error}`;
    return task.state === "upstream_failed" ? "A task before this one failed." : "The task failed; its log says why.";
  }
  if (task.state === "up_for_retry")
    return "The task will be tried again; it looks for the job that exists before it orders anything.";
  if (task.phase === "waiting")
    return "OpenRouter is generating the video. The task waits in the triggerer and holds no worker.";
  if (task.state === "running") {
    if (task.role === "land") return "The video is being landed.";
    return record?.phase === "submitted" ? "OpenRouter is generating the video." : "The task is running.";
  }
  return task.phase === "running" ? "The task waits for a worker." : "The task has not started.";
}

/** Airflow shows nobody what a trigger waits with, but the task has logged it. */
function inLog(task) {
  return h("a", { href: logUrl(task), "data-leave": "" }, "see the log");
}

/**
 * The status panel. `update` puts what is new into it; what changes every second is no news for a screen reader.
 */
export function statusPanel() {
  const badge = h("span", null);
  const told = h("p", { class: "told", role: "status", "aria-live": "polite" });
  const numbers = h("div", null);
  const trouble = h("p", { class: "hint" });
  const element = panel("status", "Status", h("p", { class: "now" }, badge), told, numbers, trouble);
  let shown = null;

  function tick() {
    if (!shown) return;
    const { task, record, manifest, going } = shown;
    const began = record?.submittedAt ?? manifest?.submittedAt ?? task.startedAt ?? task.queuedAt;
    const end = going
      ? Date.now()
      : (manifest?.landedAt ?? manifest?.completedAt ?? record?.finishedAt ?? task.endedAt);
    const waits = task.phase === "waiting" && record?.phase === "submitted";
    numbers.replaceChildren(
      facts([
        [going ? "Elapsed" : "Took", began === null || end === null ? UNKNOWN : span(Math.max(0, end - began))],
        ["Next poll", waits ? (record.pollInterval ? `within ${span(record.pollInterval)}` : inLog(task)) : null],
        [
          "Deadline",
          waits ? (record.deadline ? `${when(record.deadline)} (${ago(record.deadline)})` : inLog(task)) : null,
        ],
      ]),
    );
  }

  return {
    element,
    tick,
    update(view) {
      shown = view;
      badge.replaceChildren(stateBadge(view.task.state));
      const text = sentence(view.task, view.record, view.manifest);
      if (told.textContent !== text) told.textContent = text;
      tick();
    },
    /** Say that the page cannot look at the moment; null takes it back. */
    trouble(text) {
      trouble.replaceChildren(...(text ? [icon("alert"), text] : []));
    },
  };
}
