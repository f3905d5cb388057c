// What one network answers while the picture is turned: its label, and its ring.

import { ask, ofModel } from "./api.js";
import { make, tell } from "./dom.js";
import { Follower } from "./follower.js";
import { toPng, turned } from "./picture.js";

/** @typedef {import("./ring.js").Sample} Sample */
/** @typedef {import("./ring.js").Interval} Interval */
/** @typedef {{name: string, fill: number}} Model with the grey level of what lies outside images */
/** @typedef {{image: ImageData, degrees: number, mirrored: boolean}} Turn */
/** @typedef {{label: string, index: number, probability: number}} Ranked */
/** @typedef {{label: string, classes: string, top: Ranked[]}} Answer its classes by number: two may have one name */

const RANKED = 1000; // classes, so that the first one is found again

export class Answers {
  /**
   * @param {HTMLElement} place with the elements that it fills, by their classes
   * @param {number} index of its ring
   * @param {import("./ring.js").Ring} ring
   * @param {() => void} changed
   */
  constructor(place, index, ring, changed) {
    this.index = index;
    this.ring = ring;
    this.changed = changed;
    this.label = part(place, ".label");
    this.probability = part(place, ".probability");
    this.kept = part(place, ".kept");
    this.top = part(place, ".top");
    this.refusal = part(place, ".refusal");
    /** @type {Model | null} */
    this.model = null;
    /** @type {Answer | null} the answer to the upright picture */
    this.upright = null;
    /** @type {{degrees: number, answer: Answer} | null} */
    this.newest = null;
    /** @type {Map<number, Sample>} by degrees */
    this.samples = new Map();
    /** @type {Follower<Turn, Answer>} */
    this.follower = new Follower(
      (turn, signal) => this.classify(turn, signal),
      (answer, turn) => this.answered(answer, turn),
      (error) => this.refused(error),
    );
  }

  /**
   * Ask a network from now on; None for no network.
   * @param {Model | null} model
   */
  use(model) {
    this.model = model;
    this.forget();
  }

  /** Begin anew, for another picture. */
  forget() {
    this.follower.restart();
    this.upright = this.newest = null;
    this.restart();
    tell(this.refusal);
    for (const each of [this.label, this.probability, this.top]) each.replaceChildren();
  }

  /** Empty the ring; what the upright picture is keeps being known. */
  restart() {
    this.samples.clear();
    this.ring.show(this.index, this.samples);
    this.ring.certify(this.index, []);
    this.summarise();
  }

  /**
   * Follow the picture.
   * @param {Turn} turn
   * @returns {Promise<void>} done when nothing is asked any more
   */
  async follow(turn) {
    if (this.model) await this.follower.follow(turn);
  }

  /**
   * Draw the certificate of every angle.
   * @param {Interval[]} intervals
   */
  certify(intervals) {
    this.ring.certify(this.index, intervals);
  }

  /**
   * @param {Turn} turn
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async classify(turn, signal) {
    if (!this.upright) {
      const upright = await this.send({ ...turn, degrees: 0, mirrored: false }, signal);
      if (signal.aborted) return upright;
      this.upright = upright;
      if (turn.degrees === 0 && !turn.mirrored) return upright;
    }
    return this.send(turn, signal);
  }

  /**
   * @param {Turn} turn
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  async send({ image, degrees, mirrored }, signal) {
    const { name, fill } = /** @type {Model} */ (this.model);
    const body = await toPng(turned(image, degrees, mirrored, fill));
    const answer = await ask(`${ofModel(name, "/classify")}?top_k=${RANKED}`, {
      method: "POST",
      headers: { "Content-Type": "image/png" },
      body,
      signal,
    });
    return answerOf(answer.predictions[0]);
  }

  /**
   * @param {Answer} answer
   * @param {Turn} turn
   */
  answered(answer, { degrees }) {
    tell(this.refusal);
    const first = this.upright?.top[0].index;
    const probability = answer.top.find(({ index }) => index === first)?.probability ?? 0;
    const flipped = answer.classes !== this.upright?.classes;
    this.samples.set(degrees, { label: answer.label, classes: answer.classes, probability, flipped });
    this.newest = { degrees, answer };
    this.ring.show(this.index, this.samples);
    this.label.textContent = answer.label;
    this.label.classList.toggle("flipped", flipped);
    this.probability.textContent = percent(answer.top[0].probability);
    this.top.replaceChildren(...answer.top.slice(0, 3).flatMap(row));
    this.summarise();
    this.changed();
  }

  /** @param {unknown} error */
  refused(error) {
    this.newest = null;
    this.label.textContent = this.probability.textContent = "";
    this.top.replaceChildren();
    tell(this.refusal, error);
    this.changed();
  }

  summarise() {
    const [tried, flips] = [this.samples.size, this.flips()];
    const angles = tried === 1 ? "1 angle" : `${tried} angles`;
    this.kept.classList.toggle("flipped", flips > 0);
    if (!tried) this.kept.textContent = "";
    else if (flips) this.kept.textContent = `Another answer at ${flips} of ${angles} tried`;
    else this.kept.textContent = `The same answer at ${tried === 1 ? "the" : "all"} ${angles} tried`;
  }

  flips() {
    return [...this.samples.values()].filter(({ flipped }) => flipped).length;
  }
}

/**
 * Read a prediction, of one label or of several.
 * @param {any} prediction
 * @returns {Answer}
 */
export function answerOf(prediction) {
  /** @type {Ranked[]} */
  const given = prediction.labels ?? [prediction];
  const labels = given.map(({ label }) => label).sort();
  const classes = given.map(({ index }) => index).sort();
  return { label: labels.join(", ") || "no label", classes: classes.join(), top: prediction.top };
}

/** @param {number} probability */
export function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

/**
 * A part of images in percent: one decimal, or as many as tell it from none and from all.
 * @param {number} images
 */
export function share(images) {
  const texts = [1, 2, 3, 4, 5, 6, 7].map((decimals) => (100 * images).toFixed(decimals));
  const rounded = (/** @type {string} */ text) => [0, 1].includes(Number(text) / 100);
  return `${texts.find((text) => rounded(text) === [0, 1].includes(images)) ?? texts[0]} %`;
}

/** @param {{label: string, probability: number}} ranked */
function row({ label, probability }) {
  const bar = make("meter", { min: "0", max: "1", value: String(probability) });
  bar.setAttribute("aria-label", `probability of ${label}`);
  return [make("dt", {}, label), make("dd", {}, bar, ` ${percent(probability)}`)];
}

/**
 * @param {HTMLElement} place
 * @param {string} selector
 */
function part(place, selector) {
  const found = place.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new TypeError(`There is no ${selector} here.`);
  return found;
}
