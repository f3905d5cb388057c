// The picture, what turns it, and the two networks that follow.

import { Answers } from "./answers.js";
import { find, onClick } from "./dom.js";
import { show, turned } from "./picture.js";
import { Ring, STEP } from "./ring.js";

const SPOKEN_AFTER = 700; // milliseconds without another answer
const FINE = 1;
const COARSE = 15;

/** @typedef {import("./answers.js").Turn} Turn */

export class Turning {
  constructor() {
    this.ring = new Ring(find("ring", SVGSVGElement));
    this.canvas = find("picture", HTMLCanvasElement);
    this.slider = find("angle", HTMLInputElement);
    this.mirror = find("mirror", HTMLButtonElement);
    this.stage = find("stage", HTMLElement);
    this.spoken = find("spoken", HTMLElement);
    this.answers = ["chosen", "other"].map(
      (id, index) => new Answers(find(id, HTMLElement), index, this.ring, () => this.changed()),
    );
    /** @type {ImageData | null} */
    this.image = null;
    this.degrees = 0;
    this.mirrored = false;
    this.timer = 0;
    this.around = 0; // of how many walks around the circle this one is the newest
    this.grip = 0; // degrees from the picture's angle to where it was taken hold of
    /** Hears of another picture. */
    this.onPicture = () => {};
    this.#listen();
  }

  /** Grey level of what lies outside the picture: that of the chosen network's card. */
  get fill() {
    return this.answers[0].model?.fill ?? 0;
  }

  /** @returns {Turn | null} */
  get turn() {
    return this.image && { image: this.image, degrees: this.degrees, mirrored: this.mirrored };
  }

  /**
   * Show another picture, upright.
   * @param {ImageData} image
   */
  load(image) {
    this.around++;
    this.image = image;
    this.mirrored = false;
    this.mirror.setAttribute("aria-pressed", "false");
    for (const each of this.answers) each.forget();
    this.to(0);
    this.onPicture();
  }

  /**
   * Ask a network, or none, from now on.
   * @param {number} index
   * @param {import("./answers.js").Model | null} model
   */
  use(index, model) {
    this.around++;
    this.answers[index].use(model);
    if (index === 0) this.ring.fill(this.fill);
    this.to(this.degrees);
  }

  /**
   * Turn the picture to an angle, counterclockwise.
   * @param {number} degrees
   * @param {boolean} [shown] whether to show it turned
   * @returns {Promise<void>} done when both networks have answered
   */
  async to(degrees, shown = true) {
    this.degrees = ((Math.round(degrees) % 360) + 360) % 360;
    const turn = this.turn;
    if (shown) {
      const signed = this.degrees > 180 ? this.degrees - 360 : this.degrees;
      this.slider.value = String(signed);
      this.slider.setAttribute("aria-valuetext", `${this.degrees} degrees`);
      find("degrees", HTMLElement).textContent = `${this.degrees}°`;
      this.ring.point(this.degrees);
      if (turn) show(this.canvas, turned(turn.image, turn.degrees, turn.mirrored, this.fill));
    }
    if (turn) await Promise.all(this.answers.map((each) => each.follow(turn)));
  }

  /** Turn once around the circle, and wait at each angle for the answers. */
  async goAround() {
    const [start, walk] = [this.degrees, ++this.around];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (let step = 1; step <= 360 / STEP; step++) {
      await this.to(start + step * STEP, !still);
      if (walk !== this.around || this.answers.some((each) => !each.refusal.hidden)) return;
      await new Promise((done) => requestAnimationFrame(done));
    }
  }

  /** @param {number} by degrees */
  #by(by) {
    this.around++;
    this.to(this.degrees + by);
  }

  #listen() {
    this.slider.addEventListener("input", () => {
      this.around++;
      this.to(Number(this.slider.value));
    });
    document.addEventListener("keydown", (event) => this.#onKey(event));
    const turnTo = (/** @type {PointerEvent} */ event) => {
      this.around++;
      this.to(this.ring.angleAt(event.clientX, event.clientY) - this.grip);
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.stage.setPointerCapture(event.pointerId);
      this.grip = this.ring.angleAt(event.clientX, event.clientY) - this.degrees;
      this.stage.addEventListener("pointermove", turnTo);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, () => this.stage.removeEventListener("pointermove", turnTo));
    }
    for (const [id, by] of /** @type {[string, number][]} */ ([["left", 90], ["right", -90]])) {
      find(id, HTMLButtonElement).addEventListener("click", () => this.#by(by));
    }
    this.mirror.addEventListener("click", () => {
      this.around++;
      this.mirrored = !this.mirrored;
      this.mirror.setAttribute("aria-pressed", String(this.mirrored));
      for (const each of this.answers) {
        each.follower.restart();
        each.restart();
      }
      this.to(this.degrees);
    });
    const refusal = find("turn-refusal", HTMLElement);
    onClick(find("around", HTMLButtonElement), refusal, () => this.goAround());
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const at = event.target;
    const free = at === document.body || at === this.slider;
    if (!free || event.altKey || event.ctrlKey || event.metaKey) return;
    const by = event.shiftKey ? COARSE : FINE;
    /** @type {Record<string, number>} */
    const keys = { ArrowLeft: by, ArrowRight: -by, PageUp: 90, PageDown: -90 };
    if (at === this.slider) Object.assign(keys, { ArrowUp: by, ArrowDown: -by, Home: -this.degrees });
    else if (!event.key.startsWith("Arrow")) return;
    if (!(event.key in keys)) return;
    event.preventDefault();
    this.#by(keys[event.key]);
  }

  /** Tell what was answered, in the picture's name and, once it rests, aloud. */
  changed() {
    const said = this.answers.flatMap(({ model, newest, kept }) =>
      model && newest ? [`${model.name}: ${newest.answer.label}. ${kept.textContent}.`] : [],
    );
    this.ring.picture.setAttribute("aria-label", `The circle. ${said.join(" ")}`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.spoken.textContent = `${this.degrees} degrees. ${said.join(" ")}`;
    }, SPOKEN_AFTER);
  }
}
