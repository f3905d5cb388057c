// Which models there are, and which two are shown side by side.

import { ask, ofModel } from "./api.js";
import { make } from "./dom.js";

/** @typedef {import("./answers.js").Model} Model */
/**
 * A model as `GET /models` lists it.
 * @typedef {{name: string, default: boolean, versions: number[], version: number | null,
 *   group: string | null, failed: {version: number, reason: string}[]}} Listed
 */

/**
 * List the models that are served.
 * @returns {Promise<Listed[]>}
 */
export async function listServed() {
  const { models } = /** @type {{models: Listed[]}} */ (await ask("models"));
  const served = models.filter((model) => model.versions.length > 0);
  if (served.length > 0) return served;
  const failed = models.flatMap(({ name, failed: versions }) =>
    versions.map(({ version, reason }) => `${name}/${version}: ${reason}`),
  );
  if (failed.length === 0) {
    throw new Error(
      "The repository holds no model yet; one that is put there is served within seconds, and " +
        "“Look again” finds it.",
    );
  }
  throw new Error(`No model is served. ${failed.join(" ")}`);
}

/**
 * Read what is needed to ask a model.
 * @param {string} name
 * @returns {Promise<Model>}
 */
export async function describe(name) {
  const { card } = await ask(ofModel(name));
  return { name, fill: card.input.fit.fill };
}

/**
 * Offer models in a list, and keep the choice that was made if it is still there.
 * @param {HTMLSelectElement} list
 * @param {Listed[]} models
 * @param {string} preferred
 * @param {boolean} optional whether there may be none
 */
export function offer(list, models, preferred, optional = false) {
  const before = list.value;
  const names = models.map(({ name }) => name);
  const options = models.map(({ name, group }) =>
    make("option", { value: name }, group && group !== "trivial" ? `${name} (${group})` : name),
  );
  list.replaceChildren(...options);
  if (optional) list.append(make("option", { value: "" }, "none"));
  list.value = before && names.includes(before) ? before : preferred;
}

/**
 * Choose what to show: the default, and beside it the plain network, or any other one.
 * @param {Listed[]} models
 * @returns {[string, string]}
 */
export function choosePair(models) {
  const chosen = models.find((model) => model.default) ?? models[0];
  const others = models.filter((model) => model !== chosen);
  const plain = others.find(({ group }) => group === "trivial") ?? others[0];
  return [chosen.name, plain?.name ?? ""];
}
