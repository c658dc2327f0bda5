/**
 * Numbers and times as people read them. Unknown stays "unknown"; it is never 0.
 */

export const UNKNOWN = "unknown";

/** The time zone that is chosen in Airflow; UTC unless one is. */
const TIMEZONE = (() => {
  try {
    const kept = window.localStorage.getItem("timezone");
    const zone = kept?.startsWith('"') ? JSON.parse(kept) : kept;
    new Intl.DateTimeFormat("en", { timeZone: zone || "UTC" }); // throws for an unknown zone
    return zone || "UTC";
  } catch {
    return "UTC";
  }
})();

const full = new Intl.DateTimeFormat("sv-SE", {
  timeZone: TIMEZONE,
  dateStyle: "short",
  timeStyle: "medium",
});
const day = new Intl.DateTimeFormat("sv-SE", { timeZone: TIMEZONE, dateStyle: "short" });

/** US dollars; up to four decimals for small amounts. */
export function money(usd) {
  if (usd === null || usd === undefined || !Number.isFinite(usd)) return UNKNOWN;
  const digits = usd !== 0 && Math.abs(usd) < 1 ? 4 : 2;
  const text = usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: digits });
  return `$${text}`;
}

/** Milliseconds as "2 h 05 min", "3 min 20 s" or "4.2 s". */
export function span(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function bytes(count) {
  if (!Number.isFinite(count)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

/** Epoch milliseconds of an ISO time, null for none. */
export function epoch(text) {
  const ms = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isFinite(ms) ? ms : null;
}

/** Date and time in Airflow's time zone. */
export function when(ms) {
  return ms === null || ms === undefined ? UNKNOWN : full.format(ms);
}

/** The same, short enough for a card; the year where it is not this one. */
export function moment(ms) {
  const text = full.format(ms).slice(0, 16);
  return text.startsWith(full.format(Date.now()).slice(0, 5)) ? text.slice(5) : text;
}

/** The day in Airflow's time zone, as YYYY-MM-DD. */
export function dayOf(ms) {
  return day.format(ms);
}

/** Distance to now: "3 min ago", "in 20 s". */
export function ago(ms, now = Date.now()) {
  return ms <= now
    ? `${span(Math.round((now - ms) / 1000) * 1000)} ago`
    : `in ${span(Math.round((ms - now) / 1000) * 1000)}`;
}

export function plural(count, noun) {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}
