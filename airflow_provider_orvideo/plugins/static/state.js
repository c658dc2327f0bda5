/**
 * A task's state as Airflow shows it: its name, its colour.
 */

import { h } from "./dom.js";

/** @param note is told instead of the state's name, for example "not landed" */
export function stateBadge(state, note = null) {
  const name = state ?? "no_status";
  const known = /^[a-z_]+$/.test(name) ? name : "no_status";
  return h("span", { class: `badge s-${note ? "warning" : known}` }, h("span", { class: "dot" }), note ?? words(name));
}

function words(state) {
  const text = String(state ?? "no_status").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
