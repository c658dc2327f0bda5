/**
 * Addresses of Airflow's own pages and of ours, and the way out of Airflow's frame.
 */

import { BASE } from "./api.js";

const part = encodeURIComponent;

const airflow = (path) => new URL(path, BASE).href;

export function runUrl({ dagId, runId }) {
  return airflow(`dags/${part(dagId)}/runs/${part(runId)}`);
}

/** A task instance's page; it opens with the log. */
export function logUrl(key) {
  const mapped = key.mapIndex >= 0 ? `/mapped/${key.mapIndex}` : "";
  return `${runUrl(key)}/tasks/${part(key.taskId)}${mapped}`;
}

export const taskUrl = (key) => `${logUrl(key)}/details`;
export const dagUrl = (dagId) => airflow(`dags/${part(dagId)}`);
export const assetUrl = (id) => airflow(`assets/${part(id)}`);
export const OPENROUTER = "https://openrouter.ai/activity";

/** Our page for one task instance. */
export function videoUrl(key, extra = {}) {
  const query = new URLSearchParams({
    dag_id: key.dagId,
    run_id: key.runId,
    task_id: key.taskId,
    map_index: String(key.mapIndex),
    ...extra,
  });
  return new URL(`orvideo/pages/video?${query}`, BASE).href;
}

export function galleryUrl({ dagId, runId } = {}) {
  const query = new URLSearchParams();
  if (dagId) query.set("dag_id", dagId);
  if (runId) query.set("run_id", runId);
  return new URL(`orvideo/pages/gallery${query.size ? `?${query}` : ""}`, BASE).href;
}

/**
 * Open links that leave our pages in Airflow's own window. Airflow's frame may neither navigate the window around it
 * nor open new ones, so the click is made in the document around, which is of the same origin.
 */
export function leaveFrame() {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[data-leave]") : null;
    if (!link || event.defaultPrevented || window.parent === window) return;
    try {
      const outside = window.parent.document;
      const twin = outside.createElement("a");
      twin.href = link.href;
      if (link.dataset.leave === "new" || event.ctrlKey || event.metaKey || event.shiftKey) twin.target = "_blank";
      twin.rel = "noopener";
      outside.body.append(twin);
      event.preventDefault();
      twin.click();
      twin.remove();
    } catch {
      // framed by another origin: the browser decides
    }
  });
}
