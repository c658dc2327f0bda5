/**
 * One video in the gallery: poster, prompt, model, cost; plays on hover and on keyboard focus.
 */

import { previewUrl } from "./api.js";
import { h, icon } from "./dom.js";
import { moment, money, span, when } from "./format.js";
import { videoUrl } from "./links.js";
import { stateBadge } from "./state.js";
import { dropStills, release, still } from "./stills.js";

const HOVER_DELAY = 150;
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @param item {id, task, manifest, at}
 * @param preview whether the server shows files at all
 * @param inRun whether the page is about one run, which then needs not be named
 */
export function makeCard(item, { preview, inRun }) {
  const { task, manifest } = item;
  const file = manifest?.files[0];
  const prompt = manifest?.prompt ?? task.prompt;
  const picture = h("div", { class: "thumb" }, icon(task.phase === "waiting" ? "clock" : "film"));
  if (file && preview) still(picture, task, file);
  if (file?.duration) picture.append(h("span", { class: "length" }, span(file.duration * 1000)));
  if (manifest && manifest.files.length > 1)
    picture.append(h("span", { class: "outputs" }, `${manifest.files.length} outputs`));
  const name = prompt ?? `${task.taskName}${task.mapIndex >= 0 ? ` [${task.mapIndex}]` : ""}`;
  const place = inRun ? "" : `${task.dagName} · `;
  const card = h(
    "li",
    { class: "card", "data-id": item.id },
    h(
      "a",
      { href: videoUrl(task, file ? { play: "1" } : {}) },
      picture,
      h(
        "div",
        { class: "caption" },
        h("p", { class: "prompt", title: name }, name),
        h(
          "p",
          { class: "where" },
          `${place}${task.taskName}${task.mapIndex >= 0 ? ` [${task.label ?? task.mapIndex}]` : ""}`,
        ),
        h("p", { class: "where" }, manifest?.model ?? item.model ?? "unknown model"),
        h(
          "p",
          { class: "line" },
          stateBadge(task.state, item.landed === false && task.phase === "done" ? "not landed" : null),
          h("time", { class: "at", title: when(item.at) }, item.at === null ? "" : moment(item.at)),
          h("b", { class: "cost" }, costOf(item)),
        ),
      ),
    ),
  );
  if (file && preview && !calm.matches) playOnHover(card, picture, task, file);
  return card;
}

function costOf(item) {
  if (item.usd !== null) return money(item.usd);
  if (!item.loaded) return "…";
  return item.task.phase === "running" || item.task.phase === "waiting" ? "under way" : "cost unknown";
}

/** Give back what a card holds: observers and open streams. */
export function dropCard(card) {
  dropStills(card);
  for (const film of card.querySelectorAll("video")) release(film);
}

function playOnHover(card, picture, task, file) {
  let timer = 0;
  let film = null;
  function start() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (film || !card.isConnected) return;
      film = h("video", { class: "film", loop: true, playsinline: true, tabindex: "-1", "aria-hidden": "true" });
      film.muted = true;
      film.src = previewUrl(task, file.index);
      film.addEventListener("error", end, { once: true });
      picture.append(film);
      film.play().catch(() => {}); // the browser may refuse: the picture stays
    }, HOVER_DELAY);
  }
  function end() {
    clearTimeout(timer);
    if (!film) return;
    release(film);
    film.remove();
    film = null;
  }
  card.addEventListener("pointerenter", start);
  card.addEventListener("pointerleave", end);
  card.addEventListener("focusin", start);
  card.addEventListener("focusout", end);
}
