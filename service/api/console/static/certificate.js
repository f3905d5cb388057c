// One button: the picture at every angle there is, by both networks, drawn around the rings.

import { ask } from "./api.js";
import { find, make, onClick } from "./dom.js";
import { begin, pathOf, watch } from "./jobs.js";
import { toPng } from "./picture.js";

/**
 * Let the button run the certificate.
 * @param {import("./turn.js").Turning} turning
 */
export function offerCertificate(turning) {
  const said = find("certificate", HTMLElement);
  const refusal = find("turn-refusal", HTMLElement);
  turning.onPicture = () => said.replaceChildren();
  onClick(find("certify", HTMLButtonElement), refusal, async () => {
    const { image } = turning;
    said.replaceChildren();
    if (!image) return;
    const png = await toPng(image);
    let claim = "";
    for (const each of turning.answers) {
      if (!each.model) continue;
      const line = make("p");
      said.append(line);
      try {
        const outcome = await certify(each.model.name, png, line);
        if (turning.image !== image || !each.model) return; // another picture has come meanwhile
        each.certify(drawn(outcome.images[0]));
        line.textContent = `${each.model.name}: ${sentence(outcome.images[0])}`;
        claim = outcome.claim.at(-1);
      } catch (error) {
        line.remove();
        throw error;
      }
    }
    said.append(make("p", { class: "soft" }, claim));
  });
}

/**
 * @param {string} model
 * @param {Blob} png
 * @param {HTMLElement} line
 */
async function certify(model, png, line) {
  const query = new URLSearchParams({
    exhaustive_angles: "true",
    exhaustive_images: "1",
    pictures: "false",
  });
  const job = await watch(await begin(model, query, png, "image/png"), ({ done, total }) => {
    line.textContent = `${model}: ${done} of at most ${total} pictures classified`;
  });
  return (await ask(`${pathOf(job)}/report?format=json`)).exhaustive_angles;
}

/** @param {any} image */
function drawn({ intervals, label }) {
  return intervals.map((/** @type {any} */ each) => ({ ...each, flipped: each.label !== label }));
}

/** @param {any} image */
function sentence({ constant, kept_degrees: kept, intervals, label, distinct_images: images }) {
  const tried = `${images.toLocaleString("en")} different pictures, which are all there are by nearest-neighbour rotation`;
  if (constant) return `the same answer at every angle (${tried}).`;
  const others = intervals.filter((/** @type {any} */ each) => each.label !== label).length;
  return (
    `the answer of the upright picture on ${(Math.floor(10 * kept) / 10).toFixed(1)} of 360 degrees, and another one on ` +
    `${others} ${others === 1 ? "interval" : "intervals"} of angles (${tried}).`
  );
}
