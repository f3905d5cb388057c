// What is proved about the chosen model, what was measured, and what is claimed by neither.

import { ask, call, hasKey, ofModel } from "./api.js";
import { share } from "./answers.js";
import { find, make, save, tell } from "./dom.js";

/**
 * Say what is known of a model.
 * @param {import("./answers.js").Model | null} model
 */
export async function showClaims(model) {
  const places = ["proved", "measured", "unclaimed"].map((id) => find(id, HTMLElement));
  const refusal = find("claims-refusal", HTMLElement);
  for (const place of places) place.replaceChildren();
  tell(refusal);
  if (!model) return;
  showLinks(model.name);
  try {
    const [detail, proof] = await Promise.all([
      ask(ofModel(model.name)),
      ask(ofModel(model.name, "/proof")).catch((error) => ({ outcome: "", reasons: [error.message] })),
    ]);
    const [proved, measured, unclaimed] = places;
    const digest = make("code", { class: "digest" }, detail.digest);
    proved.append(...provedBy(proof), " The file is ", digest, ".");
    measured.append(...sentences(measuredOf(detail)));
    unclaimed.append(...sentences(unclaimedBy(proof, detail)));
  } catch (error) {
    tell(refusal, error);
  }
}

/** @param {any} proof */
function provedBy({ outcome, subgroup, exact_bits: exact, reasons }) {
  const word = make("strong", { class: outcome === "PROVED" ? "pass" : "doubt" }, outcome || "No proof");
  if (outcome === "") return [word, `: ${reasons[0]}`];
  const bits = exact ? " In every bit, too: nothing is rounded where the order of a sum depends on it." : "";
  return [word, ` over ${subgroup}: ${reasons[0]}${bits}`];
}

/** @param {any} detail */
function* measuredOf({ card, verification, runtime }) {
  const { audit, metrics } = card;
  yield (
    `When it was packaged, ${share(audit.label_agreement)} of ${audit.images} images kept their label under ` +
    `every rotation of ${audit.group}; at 95 % confidence at least ` +
    `${share(audit.agreement_interval.low)} of all images do. Verdict: ${audit.verdict}.`
  );
  const { exactness } = verification;
  if (exactness) {
    yield (
      `At load on this machine (${runtime.device}), ${exactness.images} images were rotated and put among others: ` +
      (exactness.exact
        ? "no logit changed in any bit."
        : `a logit moved by up to ${Number(exactness.max_logit_deviation).toPrecision(2)}.`)
    );
  }
  if (metrics.test) {
    const { error_percent: error, count, data_set: data } = metrics.test;
    yield `${Math.round((error * count) / 100)} of ${count} images got a wrong label (${data}).`;
  }
}

/**
 * @param {any} proof
 * @param {any} detail
 */
function* unclaimedBy({ outcome, reasons, subgroup }, { card }) {
  if (outcome) yield* reasons.slice(1);
  if (outcome === "PROVED") {
    yield `Angles that are not in ${subgroup} are measured, not proved: between pixels something has to be invented.`;
  }
  yield "That the answer stands still does not say that it is right.";
  yield "Nothing is claimed of a camera that is turned: light and lens turn with it, or do not.";
  if (!card.metrics.test) yield "How often its labels are right is not on its card.";
}

/** @param {Iterable<string>} said */
function sentences(said) {
  return [...said].map((each) => make("li", {}, each));
}

/**
 * Point the links at a model.
 * @param {string} name
 */
function showLinks(name) {
  find("proof-link", HTMLAnchorElement).href = ofModel(name, "/proof");
  find("card-link", HTMLAnchorElement).href = ofModel(name);
}

/** Let the links to documents work with a key, too, which a plain link does not send. */
export function openWithKey() {
  for (const link of document.querySelectorAll("a[data-key]")) {
    link.addEventListener("click", async (event) => {
      if (!hasKey()) return;
      event.preventDefault();
      const refusal = find("claims-refusal", HTMLElement);
      tell(refusal);
      try {
        const answer = await call(/** @type {HTMLAnchorElement} */ (link).getAttribute("href") ?? "");
        const json = answer.headers.get("Content-Type")?.startsWith("application/json");
        save(await answer.blob(), `${link.id}.${json ? "json" : "txt"}`);
      } catch (error) {
        tell(refusal, error);
      }
    });
  }
}
