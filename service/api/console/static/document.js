// A report, or a comparison of two: its verdict, its text, and every format to take along.

import { hasKey } from "./api.js";
import { make, onClick, save } from "./dom.js";

/** @typedef {{format: string, suffix: string}} Format */
/**
 * What the service tells in several formats.
 * @typedef {object} Told
 * @property {string} name what files of it are called
 * @property {Format[]} formats that it can be had in
 * @property {(format: string) => Promise<Response>} get
 * @property {(format: string) => string} [address] where it stays, if it does
 */

/** The formats of a report, as the page was made with. */
export const REPORT = formatsOf(document.body.dataset.formats ?? "");

/** The formats of a comparison. */
export const COMPARISON = formatsOf(document.body.dataset.comparisons ?? "");

/**
 * Show what is told, with its verdict first.
 * @param {HTMLElement} place
 * @param {Told} told
 */
export async function showDocument(place, told) {
  const found = await (await told.get("json")).json();
  const text = await (await told.get("text")).text();
  place.replaceChildren(
    verdict(found.verdict),
    make("ul", {}, ...found.reasons.map((/** @type {string} */ each) => make("li", {}, each))),
    ...toTakeAlong(told),
    make("details", {}, make("summary", {}, "Read all of it as text"), scrolled(`All of ${told.name} as text`, text)),
  );
}

/**
 * Make the link to a page, and a button for each format.
 * @param {Told} told
 */
export function toTakeAlong(told) {
  const refusal = make("p", { class: "refusal", role: "alert", hidden: "" });
  const files = told.formats.map(({ format, suffix }) => {
    const button = make("button", { type: "button" }, format);
    onClick(button, refusal, async () => {
      save(await (await told.get(format)).blob(), `${told.name}${suffix}`);
    });
    return button;
  });
  // A link sends no key; with one, the page can still be taken along as a file.
  const link = told.address && !hasKey() ? [page(told.address("html"))] : [];
  return [
    make("p", { class: "row" }, ...link),
    make("p", { class: "row", role: "group", "aria-label": "Download" }, "Download:", ...files),
    refusal,
  ];
}

/**
 * Make a place that scrolls where its content is wider; the keyboard reaches it, and it has a name.
 * @param {string} name
 * @param {Node} content
 */
export function scrolling(name, content) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, content);
}

/** @param {string} word */
export function verdict(word) {
  return make("p", { class: `verdict ${word}` }, make("strong", {}, word));
}

/** @param {string} address */
function page(address) {
  return make("a", { class: "button", href: address, target: "_blank" }, "Open the page with drawings");
}

/**
 * @param {string} name
 * @param {string} text
 */
function scrolled(name, text) {
  return make("pre", { tabindex: "0", role: "region", "aria-label": name }, text);
}

/**
 * @param {string} text names and suffixes
 * @returns {Format[]}
 */
function formatsOf(text) {
  return text.split(",").map((each) => {
    const [format, suffix] = each.split(" ");
    return { format, suffix };
  });
}
