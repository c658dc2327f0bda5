/**
 * The player of one task's files: the video, its other outputs, and why it does not play.
 */

import { posterUrl, previewUrl, whyNot } from "./api.js";
import { h, notice, replace } from "./dom.js";
import { span } from "./format.js";

/**
 * @param key the task instance that landed the files
 * @param files at least one
 * @param settings of the plugin
 * @param play whether to start at once
 * @param chosen is called with the file that is shown
 */
export function player({ key, files, settings, play, chosen }) {
  const stage = h("div", { class: "stage" });
  const choice = h("div", { class: "choice", role: "group", "aria-label": "Outputs" });

  function show(file, start) {
    for (const button of choice.children)
      button.setAttribute("aria-pressed", String(button.dataset.index === String(file.index)));
    chosen(file);
    if (!settings.preview) {
      replace(stage, previewOff(settings));
      return;
    }
    const video = h("video", {
      controls: true,
      playsinline: true,
      preload: "metadata",
      poster: file.poster ? posterUrl(key, file.index) : null,
      src: previewUrl(key, file.index),
      "aria-label": `Video, output ${file.index}`,
    });
    if (file.width && file.height) video.style.aspectRatio = `${file.width} / ${file.height}`;
    video.addEventListener("error", async () => {
      const { status, detail } = await whyNot(key, file.index);
      if (stage.contains(video))
        replace(
          stage,
          unplayable(status, detail, settings, () => show(file, true)),
        );
    });
    replace(stage, video);
    if (start) {
      video.play().catch(() => {
        video.muted = true; // sound needs a click on this page: better silent than still
        video.play().catch(() => {});
      });
    }
  }

  if (files.length > 1) {
    for (const file of files) {
      choice.append(
        h(
          "button",
          {
            type: "button",
            class: "output",
            "data-index": file.index,
            "aria-pressed": "false",
            onclick: () => show(file, true),
          },
          settings.preview && file.poster && h("img", { src: posterUrl(key, file.index), alt: "", loading: "lazy" }),
          h("span", null, `Output ${file.index}`, file.duration ? ` · ${span(file.duration * 1000)}` : ""),
        ),
      );
    }
  }
  show(files[0], play);
  return h("section", { class: "player", "aria-label": "Player" }, stage, files.length > 1 && choice);
}

export function previewOff(settings) {
  return notice(
    "off",
    "No preview",
    h(
      "p",
      null,
      settings.how_to_enable ||
        "An administrator can switch it on with [orvideo] preview_allowed_prefixes in Airflow's configuration.",
    ),
  );
}

/** Say why a file does not play; `again` tries once more. */
function unplayable(status, detail, settings, again) {
  const titles = {
    0: "No answer",
    401: "You are signed out",
    403: "This file may not be shown",
    404: "The file is not there",
    502: "The storage cannot be reached",
    503: "Too many videos are being played",
  };
  if (status === 409) return previewOff({ ...settings, how_to_enable: settings.how_to_enable || detail });
  if (status < 400 && status !== 0) {
    return notice(
      "error",
      "This browser cannot play the file",
      h("p", null, "The file is there, but its format is not one that this browser plays."),
    );
  }
  const retry = h("button", { type: "button", class: "button", onclick: again }, "Try again");
  return notice(
    "error",
    titles[status] ?? "The video cannot be played",
    h("p", null, detail || `HTTP ${status}`),
    retry,
  );
}
