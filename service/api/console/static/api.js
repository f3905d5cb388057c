// Calls of the service. Addresses are relative, so that a proxy may add a prefix.

/** What the service refused, in its own sentence. */
export class Refusal extends Error {
  /**
   * @param {string} sentence
   * @param {number} status
   */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Tells of `key`: a call was refused for want of a key, or for want of a scope. */
export const refusals = new EventTarget();

let key = "";

/**
 * Send a key with every call from now on; it is kept in memory alone.
 * @param {string} given
 */
export function useKey(given) {
  key = given.trim();
}

/** Whether calls carry a key, so that a plain link would be refused. */
export function hasKey() {
  return key !== "";
}

/**
 * Call the service.
 * @param {string} path relative, with its query
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key) headers.set("X-API-Key", key);
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal("The service does not answer; is it running, and is there a network?", 0);
  }
  if (answer.ok) return answer;
  if (answer.status === 401 || answer.status === 403) refusals.dispatchEvent(new Event("key"));
  throw new Refusal(await sentenceOf(answer), answer.status);
}

/**
 * Call the service, and read its answer as JSON.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, options) {
  return (await call(path, options)).json();
}

/**
 * Return the path of a model's calls.
 * @param {string} name
 * @param {string} [what]
 */
export function ofModel(name, what = "") {
  return `models/${encodeURIComponent(name)}${what}`;
}

/** @param {Response} answer */
async function sentenceOf(answer) {
  const text = await answer.text();
  try {
    return String(JSON.parse(text).error);
  } catch {
    return `The answer was ${answer.status} ${answer.statusText}, which is not of the service.`;
  }
}
