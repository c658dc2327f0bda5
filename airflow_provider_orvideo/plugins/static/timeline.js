/**
 * Where the time went: a small bar with a part for each step, and the same in words.
 */

import { h } from "./dom.js";
import { span, when } from "./format.js";

/** Return the steps that are known: [{name, from, to}], epoch milliseconds. */
export function stepsOf(task, manifest, record, now = Date.now()) {
  const ordered = manifest?.submittedAt ?? record?.submittedAt ?? null;
  const completed = manifest?.completedAt ?? record?.finishedAt ?? null;
  const landed = manifest?.landedAt ?? null;
  const going = task.phase === "running" || task.phase === "waiting";
  const steps = [];
  const add = (name, kind, from, to) => {
    if (from !== null && to !== null && to >= from) steps.push({ name, kind, from, to });
  };
  if (task.role !== "land") {
    add("Queued", "queued", task.queuedAt, task.startedAt);
    add("Until the order", "start", task.startedAt, ordered);
  }
  add("Generation", "generation", ordered, completed ?? (going ? now : null));
  if (task.role === "land") add("Until landing began", "queued", completed, task.startedAt);
  if (task.role === "land") add("Landing", "landing", task.startedAt, task.endedAt ?? (going ? now : null));
  else add("Landing", "landing", completed, landed);
  return steps;
}

/** @param steps as `stepsOf` gives them; nothing is drawn for none */
export function timeline(steps) {
  if (steps.length === 0) return null;
  const total = steps.reduce((sum, step) => sum + (step.to - step.from), 0) || 1;
  const bar = h("div", { class: "bar", "aria-hidden": "true" });
  for (const step of steps) {
    const part = h("span", { class: `part t-${step.kind}`, title: `${step.name}: ${span(step.to - step.from)}` });
    part.style.flexGrow = String(Math.max((step.to - step.from) / total, 0.004));
    bar.append(part);
  }
  return h(
    "section",
    { class: "panel", "aria-labelledby": "timings" },
    h("h2", { id: "timings" }, "Timings"),
    bar,
    h(
      "ul",
      { class: "legend" },
      steps.map((step) =>
        h(
          "li",
          { title: `${when(step.from)} – ${when(step.to)}` },
          h("span", { class: `swatch t-${step.kind}` }),
          h("span", null, step.name),
          h("b", null, span(step.to - step.from)),
        ),
      ),
    ),
  );
}
