// Where a picture comes from: dropped, pasted, picked, a sample, or drawn.

import { call, ask, ofModel } from "./api.js";
import { answerOf } from "./answers.js";
import { find, tell } from "./dom.js";
import { LARGEST, readPicture } from "./picture.js";
import { openPad } from "./pad.js";

/**
 * Let pictures come in by every way there is.
 * @param {import("./turn.js").Turning} turning
 */
export function takePictures(turning) {
  const refusal = find("picture-refusal", HTMLElement);
  const about = find("picture-about", HTMLElement);
  let newest = 0; // of pictures that are still being read

  /**
   * @param {Blob} file
   * @param {string} name
   */
  async function take(file, name) {
    const mine = ++newest;
    tell(refusal);
    about.textContent = "";
    try {
      const found = await readPicture(file).catch(() => null);
      if (mine !== newest) return;
      if (!found) throw await unreadable(file, turning.answers[0].model?.name);
      const { image, width, height } = found;
      const turnedAt = `${image.width} x ${image.height}`;
      const smaller = width > image.width ? `, turned at ${turnedAt} (at most ${LARGEST} a side)` : "";
      about.textContent = `${name}: ${width} x ${height} pixels${smaller}`;
      turning.load(image);
    } catch (error) {
      if (mine === newest) tell(refusal, error);
    }
  }

  const picker = find("file", HTMLInputElement);
  picker.addEventListener("change", () => {
    const [file] = picker.files ?? [];
    if (file) take(file, file.name);
    picker.value = ""; // so that the same file can be picked again
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) take(file, file.name);
  });
  takeDropped(find("turn", HTMLElement), ([file]) => take(file, file.name));
  for (const button of document.querySelectorAll("button[data-sample]")) {
    button.addEventListener("click", () => takeSample(/** @type {HTMLElement} */ (button)));
  }
  openPad(find("draw", HTMLButtonElement), () => turning.fill, (drawn) => take(drawn, "Your drawing"));

  /** @param {HTMLElement} button */
  async function takeSample(button) {
    try {
      const file = await (await call(`console/${button.dataset.sample}`)).blob();
      await take(file, button.getAttribute("aria-label") ?? "A sample");
    } catch (error) {
      tell(refusal, error);
    }
  }
  return take;
}

/**
 * Take files that are dropped on a part of the page; dropped beside it they open nothing.
 * @param {HTMLElement} place
 * @param {(files: File[]) => void} take
 */
export function takeDropped(place, take) {
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => event.preventDefault());
  }
  place.addEventListener("dragover", () => place.classList.add("over"));
  for (const name of ["dragleave", "drop"]) {
    place.addEventListener(name, () => place.classList.remove("over"));
  }
  place.addEventListener("drop", (event) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) take(files);
  });
}

/**
 * Say why a file cannot be turned: in the service's own words where it refuses the file too.
 * @param {Blob} file
 * @param {string | undefined} model
 * @returns {Promise<Error>}
 */
async function unreadable(file, model) {
  const unshown = "This browser cannot show the file, so it cannot be turned here";
  if (!model) return new Error(`${unshown}; PNG, JPEG and WebP can.`);
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const said = await ask(ofModel(model, "/classify"), { method: "POST", headers, body: file });
    const { label } = answerOf(said.predictions[0]);
    return new Error(`${unshown}; ${model} reads it, and answers “${label}”.`);
  } catch (error) {
    return error instanceof Error ? error : new Error(unshown);
  }
}
