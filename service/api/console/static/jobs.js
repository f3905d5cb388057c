// Audits that go on after they were asked for: begun, watched, cancelled.

import { ask, ofModel } from "./api.js";

const LOOK_AFTER = 300; // milliseconds

/**
 * Where an audit is, as `GET /audits/jobs/{id}` says it.
 * @typedef {{id: string, state: "waiting" | "running" | "done" | "failed" | "cancelled",
 *   model: string, version: number, done: number, total: number, digest: string | null,
 *   verdict: string | null, error: string | null}} Job
 */

/**
 * Ask for an audit of a model.
 * @param {string} model
 * @param {URLSearchParams} query
 * @param {BodyInit} [body] images; else the set that came with the model
 * @param {string} [type] of the body, if it does not say so itself
 * @returns {Promise<Job>}
 */
export function begin(model, query, body, type) {
  const headers = new Headers({ Prefer: "respond-async" });
  if (type) headers.set("Content-Type", type);
  return ask(`${ofModel(model, "/audit")}?${query}`, { method: "POST", headers, body });
}

/**
 * Watch an audit until it has ended.
 * @param {Job} job
 * @param {(job: Job) => void} progress
 * @returns {Promise<Job>} that is done
 */
export async function watch(job, progress) {
  while (job.state === "waiting" || job.state === "running") {
    progress(job);
    await new Promise((done) => setTimeout(done, LOOK_AFTER));
    job = await ask(pathOf(job));
  }
  progress(job);
  if (job.state === "done") return job;
  throw new Error(job.error ?? "The audit was cancelled.");
}

/**
 * End an audit.
 * @param {Job} job
 * @returns {Promise<Job>}
 */
export function cancel(job) {
  return ask(pathOf(job), { method: "DELETE" });
}

/** @param {Job} job */
export function pathOf(job) {
  return `audits/jobs/${job.id}`;
}
