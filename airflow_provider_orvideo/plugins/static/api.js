/**
 * Airflow's public REST API with the user's own session, and this plugin's own endpoints.
 *
 * Every call is counted, and no more than `AT_ONCE` are under way: the page is a guest of the API server.
 */

const AT_ONCE = 4;

/** Where Airflow is mounted: these files lie at <base>/orvideo/static/. */
export const BASE = new URL("../../", import.meta.url);

/** How many calls this page has made, by kind; also at `document.documentElement.dataset.calls` for whoever watches. */
const calls = { total: 0 };

/** What went wrong with a call: `status` is 0 where there was no answer. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const waiting = [];
let running = 0;

function turn() {
  if (running < AT_ONCE) {
    running += 1;
    return Promise.resolve();
  }
  return new Promise((resolve) => waiting.push(resolve));
}

function done() {
  const next = waiting.shift();
  if (next) next();
  else running -= 1;
}

async function get(kind, path, query, signal) {
  await turn();
  try {
    signal?.throwIfAborted();
    const url = new URL(path, BASE);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
    }
    calls.total += 1;
    calls[kind] = (calls[kind] ?? 0) + 1;
    document.documentElement.dataset.calls = JSON.stringify(calls);
    let response;
    try {
      response = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" }, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "The API server does not answer.");
    }
    if (!response.ok) throw new ApiError(response.status, await detail(response));
    return await response.json();
  } finally {
    done();
  }
}

async function detail(response) {
  try {
    const body = await response.json();
    return typeof body.detail === "string" ? body.detail : response.statusText;
  } catch {
    return response.statusText;
  }
}

const part = encodeURIComponent;

function instancePath({ dagId, runId, taskId }) {
  return `api/v2/dags/${part(dagId)}/dagRuns/${part(runId)}/taskInstances/${part(taskId)}`;
}

/**
 * List task instances of this provider's operators, newest run first.
 *
 * `scope`: {dagId, runId} or parts of it. A server that does not know the filter by operator gives all task instances;
 * whoever asks leaves out the foreign ones.
 */
export async function listInstances(
  scope,
  { limit = 100, offset = 0, from = null, to = null, taskId = null } = {},
  signal,
) {
  const dag = scope.dagId ? part(scope.dagId) : "~";
  const run = scope.dagId && scope.runId ? part(scope.runId) : "~";
  const found = await get(
    "list",
    `api/v2/dags/${dag}/dagRuns/${run}/taskInstances`,
    {
      operator_name_pattern: "%orvideo%",
      task_id: taskId,
      order_by: scope.runId ? null : "-run_after",
      limit,
      offset,
      run_after_gte: from,
      run_after_lt: to,
    },
    signal,
  );
  return { instances: found.task_instances ?? [], total: found.total_entries ?? 0 };
}

/** Read one task instance; a mapped one by its index. */
export function readInstance(key, signal) {
  const path = key.mapIndex >= 0 ? `${instancePath(key)}/${key.mapIndex}` : instancePath(key);
  return get("instance", path, null, signal);
}

/** Return what a task handed on, null where it handed on nothing. */
export async function readValue(key, signal) {
  try {
    const entry = await get(
      "value",
      `${instancePath(key)}/xcomEntries/return_value`,
      { map_index: key.mapIndex, deserialize: true },
      signal,
    );
    return entry.value ?? null;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** List the pay-once records of a task; servers before Airflow 3.3 keep none. */
export async function readRecords(key, signal) {
  try {
    const found = await get("record", `${instancePath(key)}/state-store`, { map_index: key.mapIndex }, signal);
    return (found.task_state_store ?? [])
      .filter((entry) => entry.key === "orvideo_job" || String(entry.key).startsWith("orvideo_job."))
      .map((entry) => entry.value);
  } catch (error) {
    if (error.status === 404 || error.status === 405) return [];
    throw error;
  }
}

/** List the asset events that a task made; a user who may not see assets sees none. */
export async function listAssetEvents(key, signal) {
  try {
    const found = await get(
      "assets",
      "api/v2/assets/events",
      {
        source_dag_id: key.dagId,
        source_run_id: key.runId,
        source_task_id: key.taskId,
        source_map_index: key.mapIndex,
        limit: 20,
      },
      signal,
    );
    return found.asset_events ?? [];
  } catch (error) {
    if (error instanceof ApiError) return [];
    throw error;
  }
}

/** Whether the preview is on, and how to switch it on. */
export async function readSettings(signal) {
  return get("settings", "orvideo/api/settings", null, signal);
}

function filePath(kind, key, index) {
  const { dagId, runId, taskId, mapIndex } = key;
  return new URL(`orvideo/api/${kind}/${[dagId, runId, taskId, mapIndex, index].map(part).join("/")}`, BASE).href;
}

export const previewUrl = (key, index) => filePath("preview", key, index);
export const posterUrl = (key, index) => filePath("poster", key, index);

/** Ask why a file does not play; returns the status and what the server says. */
export async function whyNot(key, index) {
  try {
    const response = await fetch(previewUrl(key, index), {
      credentials: "same-origin",
      headers: { Range: "bytes=0-0" },
    });
    const text = response.ok ? "" : await detail(response);
    await response.body?.cancel().catch(() => {});
    return { status: response.status, detail: text };
  } catch {
    return { status: 0, detail: "The API server does not answer." };
  }
}
