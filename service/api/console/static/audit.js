// An audit from the page: asked for, watched, cancelled, read.

import { call } from "./api.js";
import { REPORT, showDocument } from "./document.js";
import { find, onClick, tell } from "./dom.js";
import { begin, cancel, pathOf, watch } from "./jobs.js";
import { takeDropped } from "./sources.js";

/**
 * Let the form ask for audits.
 * @param {() => void} stored hears that there may be another report in the ledger
 */
export function offerAudits(stored) {
  const model = find("audit-model", HTMLSelectElement);
  const picker = find("audit-files", HTMLInputElement);
  const images = find("audit-images", HTMLElement);
  const refusal = find("audit-refusal", HTMLElement);
  const report = find("report", HTMLElement);
  const run = find("audit-run", HTMLButtonElement);
  const stop = find("audit-cancel", HTMLButtonElement);
  /** @type {File[]} */
  let files = [];
  /** @type {import("./jobs.js").Job | null} */
  let job = null;

  /** @param {File[]} chosen */
  function choose(chosen) {
    files = chosen;
    const count = chosen.length === 1 ? "1 image of yours" : `${chosen.length} images of yours`;
    images.textContent = chosen.length ? count : "the images that came with the model";
  }

  picker.addEventListener("change", () => choose([...(picker.files ?? [])]));
  takeDropped(find("audit", HTMLElement), choose);
  onClick(find("audit-bundled", HTMLButtonElement), refusal, async () => {
    picker.value = "";
    choose([]);
  });

  onClick(run, refusal, async () => {
    report.replaceChildren();
    try {
      const form = new FormData();
      for (const file of files) form.append("image", file, file.name);
      job = await begin(model.value, asked(), files.length ? form : undefined);
      stop.hidden = false;
      const done = await watch(job, showProgress);
      await showDocument(report, {
        name: `audit-${done.model}-${done.version}`,
        formats: REPORT,
        get: (format) => call(`${pathOf(done)}/report?format=${format}`),
        address: (format) => `${pathOf(done)}/report?format=${format}`,
      });
      report.focus();
      stored();
    } finally {
      if (document.activeElement === stop) run.focus();
      stop.hidden = true;
      showProgress(null);
      job = null;
    }
  });
  onClick(stop, refusal, async () => {
    if (job) await cancel(job);
  });
  choose([]);
  tell(refusal);
}

/** What the form asks for, beside the images. */
function asked() {
  const query = new URLSearchParams();
  for (const name of ["group", "angles"]) {
    const { value } = find(`audit-${name}`, HTMLSelectElement);
    if (value) query.set(name, value);
  }
  if (find("audit-every", HTMLInputElement).checked) query.set("exhaustive_angles", "true");
  if (find("audit-quick", HTMLInputElement).checked) query.set("quick", "true");
  // Whether a value is accepted is the service's to say, in its own sentence.
  const more = find("audit-more", HTMLElement).querySelectorAll("[name]");
  for (const field of /** @type {NodeListOf<HTMLInputElement | HTMLSelectElement>} */ (more)) {
    if (field.value.trim()) query.set(field.name, field.value.trim());
  }
  const labels = find("audit-labels", HTMLInputElement).value;
  if (labels.trim()) for (const each of labels.split(",")) query.append("labels", each.trim());
  return query;
}

/** @param {import("./jobs.js").Job | null} job */
function showProgress(job) {
  const bar = find("audit-progress", HTMLProgressElement);
  const said = find("audit-said", HTMLElement);
  bar.hidden = !job;
  if (!job) {
    said.textContent = "";
    return;
  }
  bar.max = job.total;
  bar.value = job.done;
  said.textContent =
    job.state === "waiting" ? "Another audit runs; this one waits." : `${job.done} of ${job.total} images`;
}
