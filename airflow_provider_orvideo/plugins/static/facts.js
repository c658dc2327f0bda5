/**
 * The panels of the video page that tell what was ordered, what came, and what it cost.
 */

import { copyable } from "./copy.js";
import { h, icon } from "./dom.js";
import { UNKNOWN, bytes, money, span, when } from "./format.js";
import { OPENROUTER, assetUrl, dagUrl, galleryUrl, logUrl, runUrl, taskUrl, videoUrl } from "./links.js";

export function panel(id, title, ...body) {
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), ...body);
}

/** A list of names and values; a value of null is left out. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

export function promptPanel(prompt) {
  if (!prompt) return null;
  return panel("prompt", "Prompt", h("blockquote", { class: "prompt-text" }, prompt));
}

/** What was ordered besides prompt and model: the manifest's request, or the task's rendered fields while it waits. */
export function parametersPanel(request, fields) {
  const source = request ?? fields;
  const left = new Set(["prompt", "model", "job", "destination", "orvideo_conn_id", "job_id"]);
  const rows = Object.entries(source).filter(
    ([name, value]) => !left.has(name) && value !== null && value !== "None" && value !== "",
  );
  if (rows.length === 0) return null;
  return panel(
    "parameters",
    "Parameters",
    facts(
      rows.map(([name, value]) => [
        h("code", null, name),
        typeof value === "object" ? h("pre", null, JSON.stringify(value, null, 2)) : String(value),
      ]),
    ),
  );
}

export function costPanel({ manifest, record, going }) {
  const cost = manifest?.cost ?? record?.cost ?? null;
  const estimate = manifest?.estimate ?? record?.estimate ?? null;
  const total = manifest?.total ?? null;
  const earlier = record?.past.length ?? 0;
  return panel(
    "cost",
    "Cost",
    h(
      "p",
      { class: cost === null ? "figure vague" : "figure" },
      cost === null ? (going ? "Known when the job ends" : "Unknown") : money(cost),
    ),
    facts([
      ["Estimate", money(estimate)],
      [
        "With earlier jobs",
        total !== null && total !== cost ? money(total) : manifest?.totalUnknown && earlier ? UNKNOWN : null,
      ],
      ["Earlier jobs", earlier ? String(earlier) : null],
    ]),
  );
}

export function jobPanel({ task, manifest, record }) {
  const known = manifest ?? record;
  const id = known?.jobId;
  return panel(
    "job",
    "Job",
    facts([
      ["Model", known?.model ?? task.model ?? UNKNOWN],
      ["Job", id ? copyable(id, "job id") : "not accepted yet"],
      ["Generation", known?.generationId ? copyable(known.generationId, "generation id") : null],
      ["Ordered", known?.submittedAt ? when(known.submittedAt) : null],
      ["Completed", manifest?.completedAt ? when(manifest.completedAt) : null],
      ["Landed", manifest?.landedAt ? when(manifest.landedAt) : null],
      ["Connection", known?.connection ?? null],
      ["Attempt", task.tryNumber > 1 ? String(task.tryNumber) : null],
    ]),
  );
}

/** What lies where, for one output. */
export function filePanel(file, count) {
  const size = file.width && file.height ? `${file.width} × ${file.height}` : null;
  const codecs = [file.videoCodec, file.audioCodec].filter(Boolean).join(" + ");
  return panel(
    "file",
    count > 1 ? `File of output ${file.index}` : "File",
    file.unexpected.length > 0 &&
      h(
        "ul",
        { class: "warnings", "aria-label": "Not as ordered" },
        file.unexpected.map((sentence) => h("li", null, icon("alert"), sentence)),
      ),
    file.skipped &&
      h(
        "p",
        { class: "hint" },
        icon("info"),
        "This file lay there already and was left alone; it may be of another job.",
      ),
    facts([
      ["URI", copyable(file.uri, "URI")],
      ["SHA-256", file.sha256 ? copyable(file.sha256, "SHA-256") : UNKNOWN],
      ["Size", file.bytes === null ? UNKNOWN : `${bytes(file.bytes)} (${file.bytes.toLocaleString("en-US")} bytes)`],
      ["Duration", file.duration === null ? UNKNOWN : span(file.duration * 1000)],
      ["Picture", [size, file.fps ? `${+file.fps.toFixed(3)} fps` : null].filter(Boolean).join(", ") || UNKNOWN],
      ["Sound", file.hasAudio === null ? UNKNOWN : file.hasAudio ? "yes" : "none"],
      ["Format", [file.contentType, codecs].filter(Boolean).join(", ") || UNKNOWN],
      [
        "Provenance",
        file.hasC2pa === null
          ? UNKNOWN
          : file.hasC2pa
            ? "C2PA content credentials are in the file"
            : "no C2PA content credentials",
      ],
    ]),
  );
}

/** @param related other tasks of this provider in the run that are about the same video */
export function linksPanel({ task, assets, related }) {
  const leave = (href, text, kind = "") => h("li", null, h("a", { href, "data-leave": kind }, text));
  const seen = new Map(assets.map((event) => [event.asset_id, event.name || event.uri || `Asset ${event.asset_id}`]));
  return panel(
    "links",
    "Links",
    h(
      "ul",
      { class: "links" },
      leave(logUrl(task), "Log"),
      leave(taskUrl(task), "Task instance"),
      leave(runUrl(task), "DAG run"),
      leave(dagUrl(task.dagId), "DAG"),
      [...seen].map(([id, name]) => leave(assetUrl(id), `Asset ${name}`)),
      related.map((other) => h("li", null, h("a", { href: videoUrl(other) }, `Video page of ${other.taskName}`))),
      h("li", null, h("a", { href: galleryUrl(task) }, "All videos of this run")),
      h(
        "li",
        null,
        h(
          "a",
          { href: OPENROUTER, "data-leave": "new", target: "_blank", rel: "noopener noreferrer" },
          "OpenRouter activity",
        ),
      ),
    ),
  );
}
