// The service at a glance: what is served, how fast, and what was refused; models come and go.

import { ask, call } from "./api.js";
import { find, make, onClick, tell } from "./dom.js";
import { parse, quantile } from "./metrics.js";

const EVERY = 2000; // milliseconds

/** @typedef {import("./models.js").Listed & {device: string | null, precision: string | null}} Served */
/** @typedef {Map<string, import("./metrics.js").Sample[]>} Metrics */

/**
 * Let the service be looked at.
 * @param {() => void} changed hears of models that came or went
 */
export function offerGlance(changed) {
  const refusal = find("glance-refusal", HTMLElement);
  const look = find("glance-look", HTMLButtonElement);
  const often = find("glance-often", HTMLInputElement);
  const table = find("glance-table", HTMLTableElement);

  async function read() {
    const [{ models }, text] = await Promise.all([
      ask("models"),
      call("metrics").then((answer) => answer.text()),
    ]);
    const metrics = parse(text);
    table.hidden = false;
    const focused = document.activeElement?.getAttribute("aria-label");
    table.tBodies[0].replaceChildren(
      ...models.map((/** @type {Served} */ model) => row(model, metrics, change)),
    );
    const again = [...table.querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === focused);
    if (focused && again) again.focus();
    find("glance-all", HTMLElement).textContent = summary(metrics);
  }

  /**
   * @param {string} name
   * @param {"load" | "unload"} what
   */
  async function change(name, what) {
    tell(refusal);
    try {
      await call(`v2/repository/models/${encodeURIComponent(name)}/${what}`, { method: "POST" });
      await read();
      changed();
    } catch (error) {
      tell(refusal, error);
    }
  }

  onClick(look, refusal, read);
  setInterval(() => {
    if (often.checked && !document.hidden) look.click();
  }, EVERY);
}

/**
 * @param {Served} model
 * @param {Metrics} metrics
 * @param {(name: string, what: "load" | "unload") => Promise<void>} change
 */
function row(model, metrics, change) {
  const { name, versions, device, precision, failed } = model;
  const of = (/** @type {string} */ metric, /** @type {string} */ version) =>
    (metrics.get(metric) ?? []).filter(({ labels }) => labels.model === name && labels.version === version);
  const newest = String(versions.at(-1) ?? "");
  const one = (/** @type {string} */ metric) => of(metric, newest)[0]?.value ?? 0;
  const served = versions.length > 0;
  const action = served ? "unload" : "load";
  const word = served ? "Unload" : "Load";
  const button = make("button", { type: "button", "aria-label": `${word} ${name}` }, word);
  button.addEventListener("click", () => change(name, action));
  const state = served
    ? `${versions.join(", ")}${one("orbitserve_model_ready") ? "" : " (not ready)"}`
    : failed.map(({ version, reason }) => `${version}: ${reason}`).join(" ") || "not served";
  const buckets = of("orbitserve_request_seconds_bucket", newest);
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, name),
    make("td", served ? {} : { class: "refused" }, state),
    ...[
      served ? `${device}, ${precision}` : "",
      String(one("orbitserve_request_seconds_count")),
      seconds(quantile(buckets, 0.5)),
      seconds(quantile(buckets, 0.99)),
      String(one("orbitserve_waiting_images")),
      String(sum(of("orbitserve_rejections_total", newest))),
      shadow(of("orbitserve_shadow_trials_total", newest)[0]?.value, one("orbitserve_shadow_disagreements_total")),
    ].map((text) => make("td", {}, text)),
    make("td", {}, button),
  );
}

/** @param {Metrics} metrics */
function summary(metrics) {
  const refused = metrics.get("orbitserve_rejections_total") ?? [];
  const elsewhere = refused.filter(({ labels, value }) => !labels.model && value > 0);
  const reasons = elsewhere.map(({ labels, value }) => `${value} ${labels.reason}`).join(", ");
  const calls = sum(metrics.get("orbitserve_http_requests_total") ?? []);
  const memory = Math.round((metrics.get("process_resident_memory_bytes")?.[0]?.value ?? 0) / 2 ** 20);
  const turned = reasons ? `Refused before a model was asked: ${reasons}.` : "None was refused before a model was asked.";
  return `${calls} calls over HTTP. ${turned}${memory ? ` ${memory} MiB of memory.` : ""}`;
}

/**
 * @param {number | undefined} trials
 * @param {number} disagreements
 */
function shadow(trials, disagreements) {
  return trials === undefined ? "off" : `${disagreements} of ${trials} differ`;
}

/** @param {number | null} value */
function seconds(value) {
  if (value === null) return "";
  return value === Infinity ? "more" : `≤ ${(1000 * value).toLocaleString("en", { maximumFractionDigits: 2 })} ms`;
}

/** @param {import("./metrics.js").Sample[]} samples */
function sum(samples) {
  return samples.reduce((total, { value }) => total + value, 0);
}
