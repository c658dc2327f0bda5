/**
 * Money: a job counts once however many tasks tell of it, and what nobody knows is counted as unknown, never as 0.
 */

import { dayOf } from "./format.js";

/**
 * Collects jobs by their id.
 *
 * A task instance's `total_cost_usd` covers the jobs that it bought before as well; they are counted with the job that
 * it returned.
 */
export class Spend {
  #jobs = new Map();
  #lost = 0;

  /** Add what a manifest tells; `at` is when the job was ordered, epoch milliseconds. */
  addManifest(manifest, at) {
    this.#add(manifest.jobId, {
      usd: manifest.total ?? manifest.cost,
      exact: manifest.cost !== null && !manifest.totalUnknown,
      model: manifest.model,
      at: manifest.submittedAt ?? at,
    });
  }

  /** Add what a pay-once record tells: its job, those before it, and orders whose outcome nobody learned. */
  addRecord(record, at) {
    this.#lost += record.lost;
    for (const job of [...record.past, record]) {
      if (!job.jobId) continue;
      this.#add(job.jobId, { usd: job.cost, exact: job.cost !== null, model: record.model, at: job.submittedAt ?? at });
    }
  }

  #add(jobId, told) {
    const known = this.#jobs.get(jobId);
    if (!known) {
      this.#jobs.set(jobId, { ...told });
      return;
    }
    // A cost only ever becomes known: a manifest that tells more stands.
    if (told.usd !== null && (known.usd === null || told.usd > known.usd)) known.usd = told.usd;
    known.exact ||= told.exact;
    known.model ??= told.model;
    known.at ??= told.at;
  }

  /** {usd, jobs, unknown}: dollars known, jobs counted, and how many orders have no known cost. */
  total() {
    const sum = { usd: 0, jobs: this.#jobs.size, unknown: this.#lost };
    for (const job of this.#jobs.values()) {
      if (!job.exact) sum.unknown += 1;
      sum.usd += job.usd ?? 0;
    }
    sum.usd = rounded(sum.usd);
    return sum;
  }

  /** [{day, model, usd}] for the chart, days in order. */
  perDay() {
    const cells = new Map();
    for (const job of this.#jobs.values()) {
      if (job.usd === null || job.at === null) continue;
      const cell = `${dayOf(job.at)}\n${job.model ?? "unknown model"}`;
      cells.set(cell, (cells.get(cell) ?? 0) + job.usd);
    }
    return [...cells]
      .map(([cell, usd]) => {
        const [day, model] = cell.split("\n");
        return { day, model, usd: rounded(usd) };
      })
      .sort((a, b) => a.day.localeCompare(b.day) || a.model.localeCompare(b.model));
  }
}

/** Sums of decimal prices, without the noise of binary fractions. */
function rounded(usd) {
  return Math.round(usd * 1e8) / 1e8;
}
