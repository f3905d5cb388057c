// A pad to draw a digit on, with mouse, pen or finger.

import { find } from "./dom.js";

const PEN = 0.09; // of the side

/**
 * Open the pad with a button, and hand on what was drawn.
 * @param {HTMLButtonElement} button
 * @param {() => number} background grey level of the paper
 * @param {(drawn: Blob) => void} take
 */
export function openPad(button, background, take) {
  const pad = find("pad", HTMLDialogElement);
  const canvas = find("paper", HTMLCanvasElement);
  const use = find("pad-use", HTMLButtonElement);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @type {[number, number] | null} */
  let last = null;

  function clear() {
    const paper = background();
    context.fillStyle = `rgb(${paper} ${paper} ${paper})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = paper < 128 ? "white" : "black";
    context.lineWidth = PEN * canvas.width;
    context.lineCap = context.lineJoin = "round";
    use.disabled = true;
  }

  /**
   * @param {PointerEvent} event
   * @returns {[number, number]} in pixels of the paper
   */
  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** @param {PointerEvent} event */
  function draw(event) {
    if (!last) return;
    const here = placeOf(event);
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...here);
    context.stroke();
    last = here;
    use.disabled = false;
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = placeOf(event);
    draw(event); // a dot, where nothing is drawn after it
  });
  canvas.addEventListener("pointermove", draw);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  button.addEventListener("click", () => {
    clear();
    pad.showModal();
  });
  find("pad-clear", HTMLButtonElement).addEventListener("click", clear);
  find("pad-close", HTMLButtonElement).addEventListener("click", () => pad.close());
  use.addEventListener("click", () => {
    pad.close();
    canvas.toBlob((drawn) => drawn && take(drawn), "image/png");
  });
}
