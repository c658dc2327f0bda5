/**
 * Pictures for cards: the poster, or the video's first frame where none was stored.
 *
 * A browser has few connections to one server, and a video that is loading keeps one: so first frames are taken a few
 * at a time, and each video is let go as soon as its frame is drawn.
 */

import { posterUrl, previewUrl } from "./api.js";
import { h } from "./dom.js";

const AT_ONCE = 2;
const PATIENCE_MS = 8_000;
const WIDTH = 480;

const waiting = [];
let underWay = 0;

/** Loads are begun when their card comes near the window. */
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      if (target instanceof HTMLImageElement) target.src = target.dataset.src;
      else {
        waiting.push(target);
        next();
      }
    }
  },
  { rootMargin: "200px" },
);

/** Put a picture of `file` into `holder`, which may go away at any time. */
export function still(holder, key, file) {
  const picture = file.poster
    ? h("img", { class: "still", alt: "", decoding: "async", "data-src": posterUrl(key, file.index) })
    : h("canvas", { class: "still", "data-src": previewUrl(key, file.index) });
  picture.addEventListener("error", () => picture.remove(), { once: true });
  holder.append(picture);
  near.observe(picture);
}

/** Forget the pictures below an element that goes away. */
export function dropStills(element) {
  for (const picture of element.querySelectorAll(".still")) near.unobserve(picture);
}

/** Let go of a video and of its connection. */
export function release(video) {
  video.pause();
  video.removeAttribute("src");
  video.load();
}

function next() {
  while (underWay < AT_ONCE && waiting.length > 0) {
    const canvas = waiting.shift();
    if (!canvas.isConnected) continue;
    underWay += 1;
    void drawFirstFrame(canvas).finally(() => {
      underWay -= 1;
      next();
    });
  }
}

async function drawFirstFrame(canvas) {
  const video = h("video", { playsinline: true, preload: "auto" });
  video.muted = true;
  try {
    await new Promise((resolve, reject) => {
      video.addEventListener("loadeddata", resolve, { once: true });
      video.addEventListener("error", reject, { once: true });
      setTimeout(reject, PATIENCE_MS);
      video.src = canvas.dataset.src;
    });
    canvas.width = WIDTH;
    canvas.height = Math.round((WIDTH * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  } catch {
    canvas.remove(); // the card keeps its icon
  } finally {
    release(video);
  }
}
