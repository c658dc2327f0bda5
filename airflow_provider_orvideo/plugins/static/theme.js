/**
 * Airflow's colour mode, followed live.
 *
 * Airflow keeps the choice in localStorage["theme"] ("light", "dark" or "system") and puts the result as a class on its
 * own document; these pages are of the same origin, in a frame of it or in a tab of their own.
 */

const system = window.matchMedia("(prefers-color-scheme: dark)");

/** The document of Airflow around this page; null where there is none. */
function host() {
  try {
    return window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    return null; // framed by another origin
  }
}

function chosen() {
  const around = host()?.classList;
  if (around?.contains("dark")) return "dark";
  if (around?.contains("light")) return "light";
  let kept = null;
  try {
    kept = window.localStorage.getItem("theme");
  } catch {
    // storage is blocked: the system decides
  }
  if (kept === "dark" || kept === "light") return kept;
  return system.matches ? "dark" : "light";
}

function apply() {
  const mode = chosen();
  document.documentElement.classList.toggle("dark", mode === "dark");
  document.documentElement.classList.toggle("light", mode === "light");
}

apply();
system.addEventListener("change", apply);
window.addEventListener("storage", apply);
const around = host();
if (around) new MutationObserver(apply).observe(around, { attributes: true, attributeFilter: ["class"] });
