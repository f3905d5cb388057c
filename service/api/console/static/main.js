// The console: what happens when the page is opened, and when the models or the key change.

import { refusals, useKey } from "./api.js";
import { offerAudits } from "./audit.js";
import { offerCertificate } from "./certificate.js";
import { openWithKey, showClaims } from "./claims.js";
import { find, onClick, tell } from "./dom.js";
import { offerGlance } from "./glance.js";
import { offerHistory } from "./history.js";
import { offerLedger } from "./ledger.js";
import { choosePair, describe, listServed, offer } from "./models.js";
import { takePictures } from "./sources.js";
import { offerTable } from "./table.js";
import { Turning } from "./turn.js";

const turning = new Turning();
const lists = ["chosen-model", "other-model"].map((id) => find(id, HTMLSelectElement));
const refusal = find("models-refusal", HTMLElement);
const again = find("again", HTMLButtonElement);

/** Read which models there are, and begin. */
async function begin() {
  tell(refusal);
  try {
    const served = await listServed();
    const pair = choosePair(served);
    lists.forEach((list, index) => offer(list, served, pair[index], index > 0));
    for (const id of ["audit-model", "files-model", "history-model"]) offer(find(id, HTMLSelectElement), served, pair[0]);
    await Promise.all(lists.map((_, index) => use(index)));
  } catch (error) {
    tell(refusal, error);
  }
  again.hidden = refusal.hidden;
}

/**
 * Ask the model that was chosen.
 * @param {number} index
 */
async function use(index) {
  const name = lists[index].value;
  const place = turning.answers[index].refusal;
  try {
    const model = name ? await describe(name) : null;
    if (lists[index].value !== name) return; // another was chosen meanwhile
    turning.use(index, model);
    if (index === 0) await showClaims(model);
  } catch (error) {
    turning.use(index, null);
    tell(place, error);
  }
}

lists.forEach((list, index) => list.addEventListener("change", () => use(index)));
onClick(again, refusal, begin);

const keyBox = find("key-box", HTMLDetailsElement);
const keyField = find("key", HTMLInputElement);
refusals.addEventListener("key", () => (keyBox.open = true));
find("key-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(keyField.value);
  keyBox.open = false;
  begin();
});

offerCertificate(turning);
takePictures(turning);
openWithKey();
offerAudits(offerLedger());
offerHistory();
offerTable();
offerGlance(begin);
find("first-sample", HTMLButtonElement).click();
begin();
