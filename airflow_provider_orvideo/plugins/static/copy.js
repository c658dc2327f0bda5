/**
 * A value with a button that copies it.
 */

import { h, icon, replace } from "./dom.js";

/** @param label names the value for a screen reader, for example "URI" */
export function copyable(value, label) {
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-label": `Copy ${label}`, title: `Copy ${label}` },
    icon("copy"),
  );
  const told = h("span", { class: "hidden", role: "status", "aria-live": "polite" });
  button.addEventListener("click", async () => {
    const worked = await copy(value);
    told.textContent = worked ? "Copied" : "Copying failed";
    replace(button, icon(worked ? "check" : "alert"));
    setTimeout(() => {
      replace(button, icon("copy"));
      told.textContent = "";
    }, 1500);
  });
  return h("span", { class: "copyable" }, h("code", null, value), button, told);
}

async function copy(value) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    return copyOldWay(value); // plain HTTP has no clipboard
  }
}

function copyOldWay(value) {
  const field = h("textarea", { class: "hidden", "aria-hidden": "true", tabindex: "-1" });
  field.value = value;
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const worked = document.execCommand("copy");
  field.remove();
  focused?.focus?.();
  return worked;
}
