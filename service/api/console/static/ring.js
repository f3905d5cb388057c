// The ring around the picture: for each network the probability of the first answer, by angle.
//
// It is drawn as pictures are turned: 0 degrees at the top, and counterclockwise.

import { draw } from "./dom.js";

const CENTRE = 240;
const KNOB = 229;
const BANDS = [
  { low: 132, high: 164, certificate: 169 },
  { low: 178, high: 210, certificate: 215 },
];

/** Degrees between two bars. */
export const STEP = 5;

/** @typedef {{label: string, classes: string, probability: number, flipped: boolean}} Sample */
/** @typedef {{start: number, stop: number, flipped: boolean}} Interval */

export class Ring {
  /** @param {SVGSVGElement} picture an empty one */
  constructor(picture) {
    this.picture = picture;
    this.bars = BANDS.map(() => draw("g", { class: "bars" }));
    this.certificates = BANDS.map(() => draw("g", { class: "certificate" }));
    this.knob = draw("circle", { class: "knob", r: 9 });
    this.disc = draw("circle", { class: "disc", cx: CENTRE, cy: CENTRE, r: 126 });
    picture.append(
      this.disc,
      ...BANDS.map(({ low, high }, index) =>
        draw("circle", {
          class: `band band${index}`,
          cx: CENTRE,
          cy: CENTRE,
          r: (low + high) / 2,
          "stroke-width": high - low,
        }),
      ),
      ...[0, 90, 180, 270].map((degrees) =>
        draw("path", { class: "quarter", d: `M${point(126, degrees)}L${point(BANDS[1].high, degrees)}` }),
      ),
      ...this.bars,
      ...this.certificates,
      this.knob,
    );
    this.bars.forEach((group, index) => group.classList.add(`bars${index}`));
    this.point(0);
  }

  /**
   * Show at which angle the picture is.
   * @param {number} degrees
   */
  point(degrees) {
    const [x, y] = place(KNOB, degrees);
    this.knob.setAttribute("cx", String(x));
    this.knob.setAttribute("cy", String(y));
  }

  /**
   * Fill the disc behind the picture as what lies outside of it is filled.
   * @param {number} grey
   */
  fill(grey) {
    this.disc.setAttribute("fill", `rgb(${grey} ${grey} ${grey})`);
  }

  /**
   * Draw what one network answered.
   * @param {number} index of the network, from the inside
   * @param {Map<number, Sample>} samples by degrees
   */
  show(index, samples) {
    const { low, high } = BANDS[index];
    const bins = binned(samples);
    const marks = [...bins].flatMap(([degrees, { label, classes, probability, flipped }]) => {
      const top = low + Math.max(0.04, probability) * (high - low);
      const bar = sector(low, top, degrees - STEP / 2 + 0.4, degrees + STEP / 2 - 0.4);
      const drawn = draw("path", { class: flipped ? "bar flipped" : "bar", d: bar });
      if (!flipped) return [drawn];
      // Not by colour alone: a mark outside the band, and what is answered there.
      const [x, y] = place(high - 7, degrees);
      drawn.append(draw("title", {}, `${degrees}°: ${label}`));
      const rim = sector(high - 1, high + 4, degrees - STEP / 2, degrees + STEP / 2);
      const flip = draw("path", { class: "flip", d: rim });
      // A run of equal answers is named once.
      if (bins.get((degrees + 360 - STEP) % 360)?.classes === classes) return [drawn, flip];
      return [drawn, flip, draw("text", { class: "said", x, y: y + 5 }, [...label].slice(0, 3).join(""))];
    });
    this.bars[index].replaceChildren(...marks);
  }

  /**
   * Draw what the certificate of every angle found for one network.
   * @param {number} index
   * @param {Interval[]} intervals
   */
  certify(index, intervals) {
    const radius = BANDS[index].certificate;
    this.certificates[index].replaceChildren(
      ...intervals.map(({ start, stop, flipped }) =>
        draw("path", {
          class: flipped ? "flip" : "kept",
          // One that is narrower than a line is drawn as wide as one, so that it can be seen.
          d: sector(radius - (flipped ? 3 : 1), radius + (flipped ? 3 : 1), start, Math.max(stop, start + 0.4)),
        }),
      ),
    );
  }

  /**
   * Return the angle that a place on the screen points at, in whole degrees.
   * @param {number} x
   * @param {number} y
   */
  angleAt(x, y) {
    const box = this.picture.getBoundingClientRect();
    const [dx, dy] = [x - box.left - box.width / 2, y - box.top - box.height / 2];
    return Math.round((Math.atan2(-dx, -dy) * 180) / Math.PI);
  }
}

/**
 * Put samples into bars, where one that flipped is not hidden by its neighbours.
 * @param {Map<number, Sample>} samples
 */
function binned(samples) {
  /** @type {Map<number, Sample>} */
  const bins = new Map();
  for (const [degrees, sample] of samples) {
    const bin = (Math.round(degrees / STEP) * STEP) % 360;
    const there = bins.get(bin);
    const worse = !there || (sample.flipped && !there.flipped);
    const lower = there && sample.flipped === there.flipped && sample.probability < there.probability;
    if (worse || lower) bins.set(bin, sample);
  }
  return bins;
}

/**
 * @param {number} radius
 * @param {number} degrees
 * @returns {[number, number]}
 */
function place(radius, degrees) {
  const angle = (degrees * Math.PI) / 180;
  return [CENTRE - radius * Math.sin(angle), CENTRE - radius * Math.cos(angle)];
}

/**
 * @param {number} radius
 * @param {number} degrees
 */
function point(radius, degrees) {
  return place(radius, degrees)
    .map((at) => at.toFixed(2))
    .join(" ");
}

/**
 * The part of a ring between two radii and two angles.
 * @param {number} low
 * @param {number} high
 * @param {number} start
 * @param {number} stop
 */
function sector(low, high, start, stop) {
  // A whole circle has no two ends for an arc to lie between.
  const middle = (start + stop) / 2;
  const out = [middle, stop].map((to) => `A${high} ${high} 0 0 0 ${point(high, to)}`);
  const back = [middle, start].map((to) => `A${low} ${low} 0 0 1 ${point(low, to)}`);
  return `M${point(high, start)}${out.join("")}L${point(low, stop)}${back.join("")}Z`;
}
