/**
 * A grid of which only the rows near the window exist: a thousand cards cost what thirty cost.
 */

const GAP = 16;
const NARROWEST = 250;
/** Pixels of a card below its picture; the style sheet has the same number. */
const CAPTION = 108;
const MARGIN = 700;

/**
 * @param {HTMLElement} list holds the cards
 * @param {(item: any) => HTMLElement} make builds the card of an item
 * @param {(element: HTMLElement) => void} drop is told of each card that goes
 */
export function windowedGrid(list, make, drop) {
  let items = [];
  const shown = new Map();
  let asked = false;

  function layout() {
    const width = list.clientWidth;
    const columns = Math.max(1, Math.floor((width + GAP) / (NARROWEST + GAP)));
    const cell = (width - GAP * (columns - 1)) / columns;
    return { columns, cell, row: Math.round((cell * 9) / 16) + CAPTION + GAP };
  }

  function draw() {
    asked = false;
    const { columns, cell, row } = layout();
    const rows = Math.ceil(items.length / columns);
    list.style.height = `${Math.max(0, rows * row - GAP)}px`;
    const above = list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((-above - MARGIN) / row)) * columns;
    const last = Math.min(items.length, Math.ceil((window.innerHeight - above + MARGIN) / row) * columns);
    const wanted = new Map();
    for (let position = first; position < last; position += 1) wanted.set(items[position].id, position);
    for (const [id, element] of shown) {
      // A card that has the focus stays, or the keyboard would lose its place.
      if (wanted.has(id) || element.contains(document.activeElement)) continue;
      drop(element);
      element.remove();
      shown.delete(id);
    }
    let before = null;
    for (const [id, position] of wanted) {
      let element = shown.get(id);
      if (!element) {
        element = make(items[position]);
        shown.set(id, element);
      }
      element.setAttribute("aria-setsize", String(items.length));
      element.setAttribute("aria-posinset", String(position + 1));
      element.style.width = `${cell}px`;
      element.style.height = `${row - GAP}px`;
      const left = (position % columns) * (cell + GAP);
      element.style.transform = `translate(${left}px, ${Math.floor(position / columns) * row}px)`;
      // The order of the elements is the order of the keyboard; moving one that is in place would restart its video.
      const next = before ? before.nextSibling : list.firstChild;
      if (next !== element) list.insertBefore(element, next);
      before = element;
    }
  }

  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(draw);
  }

  window.addEventListener("scroll", ask, { passive: true });
  new ResizeObserver(ask).observe(list);
  window.addEventListener("resize", ask);

  return {
    /** Show these items, in this order; each has an `id`. */
    show(next) {
      items = next;
      ask();
    },
    /** Build the card of one item anew, if it is there. */
    refresh(item) {
      const old = shown.get(item.id);
      if (!old) return;
      const element = make(item);
      const focused = old.contains(document.activeElement);
      for (const name of ["aria-setsize", "aria-posinset"]) element.setAttribute(name, old.getAttribute(name) ?? "");
      element.style.width = old.style.width;
      element.style.height = old.style.height;
      element.style.transform = old.style.transform;
      drop(old);
      old.replaceWith(element);
      shown.set(item.id, element);
      if (focused) element.querySelector("a")?.focus({ preventScroll: true });
    },
    /** The items that have a card now. */
    visible() {
      return items.filter((item) => shown.has(item.id));
    },
  };
}
