// The ledger: which audits were made, each report, and two of them compared.

import { ask, call } from "./api.js";
import { COMPARISON, REPORT, showDocument } from "./document.js";
import { find, make, onClick } from "./dom.js";

const PAGE = 20; // audits

/**
 * An entry, as `GET /audits` lists it.
 * @typedef {{number: number, stored: string, report: string, verdict: string, model: string,
 *   version: number, group: string}} Entry
 */

/**
 * Let the ledger be read.
 * @returns {() => void} reads it again, if it was read
 */
export function offerLedger() {
  const refusal = find("ledger-refusal", HTMLElement);
  const list = find("ledger-list", HTMLButtonElement);
  const older = find("ledger-older", HTMLButtonElement);
  const table = find("ledger-table", HTMLTableElement);
  const faults = find("ledger-faults", HTMLElement);
  const shown = find("ledger-report", HTMLElement);
  let before = "";

  /** @param {string} from */
  async function read(from) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (from) query.set("before", from);
    const page = await ask(`audits?${query}`);
    const rows = page.audits.map((/** @type {Entry} */ entry) => row(entry, shown, refusal));
    const body = table.tBodies[0];
    if (from) body.append(...rows);
    else body.replaceChildren(...rows);
    table.hidden = body.rows.length === 0;
    find("ledger-none", HTMLElement).hidden = !table.hidden;
    find("ledger-compare", HTMLButtonElement).hidden = body.rows.length < 2;
    faults.replaceChildren(...page.faults.map((/** @type {string} */ each) => make("li", {}, each)));
    before = page.next ? (new URL(page.next, location.href).searchParams.get("before") ?? "") : "";
    older.hidden = !before;
  }

  onClick(list, refusal, () => read(""));
  onClick(older, refusal, () => read(before));
  onClick(find("ledger-compare", HTMLButtonElement), refusal, async () => {
    const [a, b] = ["a", "b"].map((side) => table.querySelector(`input[name=${side}]:checked`));
    if (!(a instanceof HTMLInputElement && b instanceof HTMLInputElement)) {
      throw new Error("Choose two audits: A, what was there before, and B, what is to take its place.");
    }
    const address = (/** @type {string} */ format) =>
      `audits/compare?${new URLSearchParams({ a: a.value, b: b.value, format })}`;
    const told = { name: "comparison", formats: COMPARISON, address };
    await showDocument(shown, { ...told, get: (format) => call(address(format)) });
    shown.focus();
  });
  onClick(find("sent-compare", HTMLButtonElement), refusal, async () => {
    const form = new FormData();
    for (const side of ["a", "b"]) {
      const [file] = find(`sent-${side}`, HTMLInputElement).files ?? [];
      if (!file) throw new Error("Choose two reports, as the format json has them.");
      form.append(side, file);
    }
    await showDocument(shown, {
      name: "comparison",
      formats: COMPARISON,
      get: (format) => call(`audits/compare?format=${format}`, { method: "POST", body: form }),
    });
    shown.focus();
  });
  return () => {
    if (!table.hidden) list.click();
  };
}

/**
 * @param {Entry} entry
 * @param {HTMLElement} shown
 * @param {HTMLElement} refusal
 */
function row(entry, shown, refusal) {
  const read = make("button", { type: "button", "aria-label": `Read report ${entry.number}` }, "Read");
  onClick(read, refusal, async () => {
    const address = (/** @type {string} */ format) => `audits/${entry.report}?format=${format}`;
    await showDocument(shown, {
      name: `audit-${entry.model}-${entry.report.slice(0, 8)}`,
      formats: REPORT,
      get: (format) => call(address(format)),
      address,
    });
    shown.focus();
  });
  const sides = ["a", "b"].map((name) => {
    const label = `${name.toUpperCase()}: report ${entry.number}`;
    const input = make("input", { type: "radio", name, value: entry.report, "aria-label": label });
    return make("td", {}, input);
  });
  const stored = make("time", { datetime: entry.stored }, entry.stored.slice(0, 16).replace("T", " "));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, String(entry.number)),
    make("td", {}, stored),
    make("td", {}, `${entry.model}/${entry.version}`),
    make("td", {}, entry.group),
    make("td", { class: entry.verdict }, entry.verdict),
    ...sides,
    make("td", {}, read),
  );
}
