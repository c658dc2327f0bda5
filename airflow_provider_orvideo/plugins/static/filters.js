/**
 * The gallery's filters and order. DAG and dates narrow what the API is asked for; the rest narrows what is shown.
 */

import { h } from "./dom.js";
import { PHASES } from "./job.js";

const ORDERS = {
  newest: ["Newest first", (a, b) => byNumber(b.at, a.at)],
  oldest: ["Oldest first", (a, b) => byNumber(a.at, b.at)],
  dearest: ["Highest cost first", (a, b) => unknownLast(a.usd, b.usd) || b.usd - a.usd],
  cheapest: ["Lowest cost first", (a, b) => unknownLast(a.usd, b.usd) || a.usd - b.usd],
};

function byNumber(a, b) {
  return (a ?? 0) - (b ?? 0);
}

function unknownLast(a, b) {
  return (a === null) - (b === null);
}

/**
 * @param changed is called when what is shown changes
 * @param narrowed is called when the API has to be asked anew
 */
export function filterBar({ inRun, dagId, changed, narrowed }) {
  const dags = select("DAG", [["", "All DAGs"]], narrowed);
  const models = select("Model", [["", "All models"]], changed);
  const states = select(
    "State",
    [["", "All states"], ...Object.entries(PHASES).filter(([phase]) => phase !== "other")],
    changed,
  );
  const order = select(
    "Sort by",
    Object.entries(ORDERS).map(([name, [label]]) => [name, label]),
    changed,
  );
  const from = dateField("From", narrowed);
  const to = dateField("To", narrowed);
  const everywhere = !inRun;
  const known = { dags: new Set(), models: new Set() };

  const element = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter and sort", onsubmit: (event) => event.preventDefault() },
    everywhere && !dagId && dags.element,
    models.element,
    states.element,
    everywhere && from.element,
    everywhere && to.element,
    order.element,
  );

  function clear() {
    const asked = dags.input.value || from.input.value || to.input.value;
    for (const { input } of [dags, models, states, from, to]) input.value = "";
    if (asked) narrowed();
    else changed();
  }

  return {
    element,
    /** What the API is asked for. Days are those of UTC, as the API's runs are. */
    range() {
      return {
        dagId: dags.input.value || null,
        from: from.input.value ? `${from.input.value}T00:00:00Z` : null,
        to: to.input.value ? new Date(Date.parse(to.input.value) + 86_400_000).toISOString() : null,
      };
    },
    /** Whether less is shown than was loaded. */
    active() {
      return Boolean(models.input.value || states.input.value);
    },
    /** Offer the DAGs and models that were seen. */
    learn(items) {
      for (const { task, model } of items) {
        offer(dags.input, known.dags, task.dagId, task.dagName);
        if (model) offer(models.input, known.models, model, model);
      }
    },
    /** Return the items to show, in order. */
    choose(items) {
      this.learn(items);
      const model = models.input.value;
      const phase = states.input.value;
      return items
        .filter((item) => (!model || item.model === model) && (!phase || item.task.phase === phase))
        .sort(
          (a, b) => ORDERS[order.input.value][1](a, b) || byNumber(b.at, a.at) || a.task.mapIndex - b.task.mapIndex,
        );
    },
    /** A button that takes all filters off. */
    reset() {
      return h("button", { type: "button", class: "button", onclick: clear }, "Clear filters");
    },
  };
}

function offer(input, known, value, label) {
  if (known.has(value)) return;
  known.add(value);
  const option = h("option", { value }, label);
  const before = [...input.options].slice(1).find((other) => other.text.localeCompare(label) > 0);
  input.insertBefore(option, before ?? null);
}

function select(label, options, changed) {
  const id = `filter-${label.toLowerCase().replaceAll(" ", "-")}`;
  const input = h(
    "select",
    { id, onchange: changed },
    options.map(([value, text]) => h("option", { value }, text)),
  );
  return { input, element: h("div", { class: "field" }, h("label", { for: id }, label), input) };
}

function dateField(label, changed) {
  const id = `filter-${label.toLowerCase()}`;
  const input = h("input", { id, type: "date", onchange: changed });
  return { input, element: h("div", { class: "field" }, h("label", { for: id }, label), input) };
}
