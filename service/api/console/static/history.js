// A model's audits in the ledger, the oldest first, with what each of them measured.

import { share } from "./answers.js";
import { ask, call } from "./api.js";
import { scrolling, toTakeAlong } from "./document.js";
import { find, make, onClick } from "./dom.js";

const COLUMNS = ["No.", "Stored (UTC)", "Version", "Group", "Verdict", "Keep their label", "Logits moved by", "Images"];
const FORMATS = [
  { format: "html", suffix: ".html" },
  { format: "json", suffix: ".json" },
];

/**
 * An audit, as `GET /audits/history` tells it.
 * @typedef {{number: number, stored: string, version: number, group: string, verdict: string,
 *   data: string, agreement: number, deviation: number}} Point
 */

/** Let the history of a model be shown. */
export function offerHistory() {
  const model = find("history-model", HTMLSelectElement);
  const shown = find("ledger-report", HTMLElement);
  onClick(find("ledger-history", HTMLButtonElement), find("ledger-refusal", HTMLElement), async () => {
    const name = model.value;
    const address = (/** @type {string} */ format) =>
      `audits/history?${new URLSearchParams({ model: name, format })}`;
    const { points, faults } = await ask(address("json"));
    const told = { name: `history-${name}`, formats: FORMATS, address };
    shown.replaceChildren(
      make("h3", {}, `Audits of ${name}, the oldest first`),
      make("ul", { class: "faults" }, ...faults.map((/** @type {string} */ each) => make("li", {}, each))),
      ...(points.length
        ? [scrolling(`Audits of ${name}`, table(points))]
        : [make("p", {}, "The ledger has no audit of this model.")]),
      ...toTakeAlong({ ...told, get: (format) => call(address(format)) }),
    );
    shown.focus();
  });
}

/** @param {Point[]} points */
function table(points) {
  const head = COLUMNS.map((name) => make("th", { scope: "col" }, name));
  const rows = points.map((point) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, String(point.number)),
      make("td", {}, point.stored.slice(0, 16).replace("T", " ")),
      make("td", {}, String(point.version)),
      make("td", {}, point.group),
      make("td", { class: point.verdict }, point.verdict),
      make("td", {}, share(point.agreement)),
      make("td", {}, point.deviation.toPrecision(2)),
      make("td", {}, make("code", { title: point.data }, `${point.data.slice(0, 8)}…`)),
    ),
  );
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}
