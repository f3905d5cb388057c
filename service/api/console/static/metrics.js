// The text of /metrics, read.

/** @typedef {{labels: Record<string, string>, value: number}} Sample */

/**
 * Read Prometheus' text format.
 * @param {string} text
 * @returns {Map<string, Sample[]>} by the name of the metric
 */
export function parse(text) {
  /** @type {Map<string, Sample[]>} */
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!parts) continue;
    const [, name, inner = "", value] = parts;
    const labels = Object.fromEntries(
      [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, said]) => [key, unescaped(said)]),
    );
    const samples = found.get(name) ?? [];
    samples.push({ labels, value: value === "+Inf" ? Infinity : Number(value) });
    found.set(name, samples);
  }
  return found;
}

/**
 * Return the value below which a part of what a histogram counted lies, by its buckets.
 * @param {Sample[]} buckets of one histogram
 * @param {number} part
 * @returns {number | null} null if nothing was counted
 */
export function quantile(buckets, part) {
  const sorted = buckets
    .map(({ labels, value }) => ({ most: labels.le === "+Inf" ? Infinity : Number(labels.le), count: value }))
    .sort((a, b) => a.most - b.most);
  const total = sorted.at(-1)?.count ?? 0;
  if (!total) return null;
  return sorted.find(({ count }) => count >= part * total)?.most ?? Infinity;
}

/** @param {string} text */
function unescaped(text) {
  return text.replace(/\\(.)/g, (_, each) => (each === "n" ? "\n" : each));
}
