/**
 * What the API tells about one task instance, read with care: each value may be missing, old, or written by anybody.
 */

import { epoch } from "./format.js";

const text = (value) => (typeof value === "string" && value !== "" ? value : null);
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const flag = (value) => (typeof value === "boolean" ? value : null);
const dict = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : null);
const list = (value) => (Array.isArray(value) ? value : []);

/** What a user can do with the state, in the words of the filter. */
export const PHASES = {
  done: "Finished",
  waiting: "Waiting",
  running: "Running",
  failed: "Failed",
  other: "Not started",
};

const PHASE_OF = {
  success: "done",
  deferred: "waiting",
  up_for_reschedule: "waiting",
  awaiting_input: "waiting",
  up_for_retry: "waiting",
  running: "running",
  queued: "running",
  scheduled: "running",
  restarting: "running",
  failed: "failed",
  upstream_failed: "failed",
};

/** Read one task instance of the list or of its own endpoint. */
export function readTask(raw) {
  const operator = text(raw.operator_name) ?? text(raw.operator) ?? "";
  const fields = dict(raw.rendered_fields) ?? {};
  const ordered = orderedJob(fields.job);
  return {
    dagId: String(raw.dag_id),
    runId: String(raw.dag_run_id),
    taskId: String(raw.task_id),
    mapIndex: number(raw.map_index) ?? -1,
    dagName: text(raw.dag_display_name) ?? String(raw.dag_id),
    taskName: text(raw.task_display_name) ?? String(raw.task_id),
    label: text(raw.rendered_map_index),
    operator,
    role: roleOf(operator),
    state: text(raw.state),
    phase: PHASE_OF[raw.state] ?? "other",
    tryNumber: number(raw.try_number) ?? 0,
    runAfter: epoch(raw.run_after),
    queuedAt: epoch(raw.queued_when),
    startedAt: epoch(raw.start_date),
    endedAt: epoch(raw.end_date),
    trigger: dict(raw.trigger),
    fields,
    prompt: text(fields.prompt) ?? ordered?.prompt ?? null,
    model: text(fields.model) ?? ordered?.model ?? null,
  };
}

/** Identity of a task instance as one string. */
export function idOf(key) {
  return [key.dagId, key.runId, key.taskId, key.mapIndex].join("\n");
}

/** What the operator does, by its name: "order", "land", "both", "watch", or null for one of another provider. */
function roleOf(operator) {
  const name = operator.toLowerCase();
  if (!name.includes("orvideo")) return null;
  if (name.includes("sensor")) return "watch";
  if (name.includes("download")) return "land";
  return name.includes("submit") ? "order" : "both";
}

/** A download task's rendered `job`: a hint for the time before its manifest is there. */
function orderedJob(value) {
  const job = typeof value === "string" ? parsed(value) : dict(value);
  return job ? { model: text(job.model), prompt: text(dict(job.request)?.prompt) } : null;
}

function parsed(json) {
  try {
    return dict(JSON.parse(json));
  } catch {
    return null; // Airflow cut it, or Python printed it
  }
}

/** Read a job manifest or a landed manifest; null where the value is neither. */
export function readManifest(value) {
  const raw = dict(value);
  const jobId = text(raw?.job_id);
  if (!jobId) return null;
  const request = dict(raw.request);
  return {
    jobId,
    status: text(raw.status),
    model: text(raw.model),
    generationId: text(raw.generation_id),
    cost: number(raw.cost_usd),
    estimate: number(raw.estimated_cost_usd),
    total: number(raw.total_cost_usd),
    totalUnknown: raw.total_cost_usd === null, // one of the jobs before it has no known cost
    outputs: number(raw.outputs) ?? 0,
    submittedAt: epoch(raw.submitted_at),
    completedAt: epoch(raw.completed_at),
    landedAt: epoch(raw.landed_at),
    connection: text(raw.conn_id),
    providerVersion: text(raw.provider_version),
    request,
    prompt: text(request?.prompt),
    landed: Array.isArray(raw.files),
    files: list(raw.files).map(dict).filter(Boolean).map(readFile),
  };
}

function readFile(raw, position) {
  return {
    uri: text(raw.uri) ?? "",
    index: number(raw.index) ?? position,
    bytes: number(raw.bytes),
    sha256: text(raw.sha256),
    contentType: text(raw.content_type),
    duration: number(raw.duration_s),
    width: number(raw.width),
    height: number(raw.height),
    fps: number(raw.fps),
    hasAudio: flag(raw.has_audio),
    videoCodec: text(raw.video_codec),
    audioCodec: text(raw.audio_codec),
    hasC2pa: flag(raw.has_c2pa),
    poster: text(raw.poster_uri),
    unexpected: list(raw.unexpected).map(text).filter(Boolean),
    skipped: raw.skipped === true,
  };
}

/** Read the pay-once record, which is there while the task waits and where it failed. Its times are epoch seconds. */
export function readLedger(value) {
  const raw = dict(value);
  if (!raw || !text(raw.phase)) return null;
  const ms = (seconds) => (number(seconds) === null ? null : seconds * 1000);
  return {
    phase: raw.phase,
    jobId: text(raw.job_id),
    status: text(raw.status),
    model: text(raw.model),
    error: text(raw.error),
    generationId: text(raw.generation_id),
    cost: number(raw.cost_usd),
    estimate: number(raw.estimated_cost_usd),
    connection: text(raw.conn_id),
    intentAt: ms(raw.intent_at),
    submittedAt: ms(raw.submitted_at),
    finishedAt: ms(raw.finished_at),
    deadline: ms(raw.deadline),
    pollInterval: ms(raw.poll_interval),
    lost: list(raw.lost).length + (raw.phase === "intent" ? 1 : 0),
    past: list(raw.past)
      .map(dict)
      .filter((past) => text(past?.job_id))
      .map((past) => ({
        jobId: past.job_id,
        status: text(past.status),
        cost: number(past.cost_usd),
        submittedAt: ms(past.submitted_at),
      })),
  };
}
