// Several files at once: a row each, with its picture and its answer, and a file of all of them.

import { answerOf, percent } from "./answers.js";
import { ask, ofModel } from "./api.js";
import { find, make, onClick, save } from "./dom.js";
import { takeDropped } from "./sources.js";

const AT_ONCE = 4; // requests
const THUMBNAIL = 48; // pixels
const COLUMNS = ["file", "model", "version", "digest", "label", "probability", "error"];

/** Let files be classified into a table. */
export function offerTable() {
  const model = find("files-model", HTMLSelectElement);
  const picker = find("files", HTMLInputElement);
  const table = find("files-table", HTMLTableElement);
  const said = find("files-said", HTMLElement);
  const csv = find("files-csv", HTMLButtonElement);
  const refusal = find("files-refusal", HTMLElement);
  /** @type {Record<string, string | number>[]} */
  let records = [];
  let newest = 0;

  /** @param {File[]} files */
  async function classifyAll(files) {
    const [mine, name] = [++newest, model.value];
    if (!name) return;
    const rows = files.map((file) => ({ file, row: emptyRow(file) }));
    /** @type {Record<string, string | number>[]} */
    const found = [];
    records = found;
    table.tBodies[0].replaceChildren(...rows.map(({ row }) => row));
    table.hidden = false;
    csv.hidden = true;
    let [next, done] = [0, 0];
    async function work() {
      for (let place = next++; place < rows.length && mine === newest; place = next++) {
        const { file, row } = rows[place];
        found[place] = await classify(file, name);
        if (mine !== newest) return;
        show(row, found[place]);
        said.textContent = `${++done} of ${rows.length} files`;
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (mine === newest) csv.hidden = false;
  }

  picker.addEventListener("change", () => {
    classifyAll([...(picker.files ?? [])]);
    picker.value = "";
  });
  takeDropped(find("several", HTMLElement), classifyAll);
  onClick(csv, refusal, async () => {
    save(new Blob([csvOf(records)], { type: "text/csv;charset=utf-8" }), "answers.csv");
  });
}

/**
 * @param {File} file
 * @param {string} model
 */
async function classify(file, model) {
  try {
    const { model: used, predictions } = await ask(`${ofModel(model, "/classify")}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
    const { label, top } = answerOf(predictions[0]);
    return {
      file: file.name,
      model: used.name,
      version: used.version,
      digest: used.digest,
      label,
      probability: top[0].probability,
      error: "",
    };
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error);
    return { file: file.name, model, version: "", digest: "", label: "", probability: "", error: sentence };
  }
}

/** @param {File} file */
function emptyRow(file) {
  const size = { width: String(THUMBNAIL), height: String(THUMBNAIL) };
  const canvas = make("canvas", { ...size, role: "img", "aria-label": `Thumbnail of ${file.name}` });
  drawSmall(file, canvas);
  const name = make("th", { scope: "row" }, file.name);
  return make("tr", {}, make("td", {}, canvas), name, make("td"), make("td"));
}

/**
 * @param {HTMLTableRowElement} row
 * @param {Record<string, string | number>} record
 */
function show(row, { label, probability, error }) {
  const [, , answer, sure] = row.cells;
  if (error) {
    answer.colSpan = 2;
    answer.className = "refused";
    answer.textContent = String(error);
    sure.remove();
  } else {
    answer.replaceChildren(make("strong", {}, String(label)));
    sure.textContent = percent(Number(probability));
  }
}

/**
 * Draw a file small, where the browser can show it at all.
 * @param {File} file
 * @param {HTMLCanvasElement} canvas
 */
async function drawSmall(file, canvas) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) {
    canvas.setAttribute("aria-label", `No thumbnail of ${file.name}: the browser cannot show it`);
    return;
  }
  const scale = THUMBNAIL / Math.max(bitmap.width, bitmap.height);
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  canvas.getContext("2d")?.drawImage(bitmap, (THUMBNAIL - w) / 2, (THUMBNAIL - h) / 2, w, h);
  bitmap.close();
}

/**
 * Write CSV, in which a file's name cannot become a formula of a spreadsheet.
 * @param {Record<string, string | number>[]} records
 */
function csvOf(records) {
  const cell = (/** @type {string | number} */ value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = records.map((record) => COLUMNS.map((name) => cell(record[name])).join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}
