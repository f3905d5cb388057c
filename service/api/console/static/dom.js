// Finding and making elements, so that the other modules speak of what they show.

/**
 * Return an element of the page by its id, of the kind that is needed.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(`The page has no ${kind.name} '${id}'.`);
  return found;
}

/**
 * Make an element with attributes and with what it holds; text is never read as HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Make an element of a drawing.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * Say what was refused where it happened, or take it back.
 * @param {HTMLElement} place
 * @param {unknown} [error]
 */
export function tell(place, error) {
  const sentence = error instanceof Error ? error.message : "";
  if (place.textContent !== sentence) place.textContent = sentence;
  place.hidden = !sentence;
}

/**
 * Do what a button asks for: once at a time, and what goes wrong is said at its place.
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} place
 * @param {() => Promise<void>} act
 */
export function onClick(button, place, act) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    // A disabled button would lose the keyboard's focus.
    button.setAttribute("aria-disabled", "true");
    tell(place);
    try {
      await act();
    } catch (error) {
      tell(place, error);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

/**
 * Hand a file to whoever looks at the page.
 * @param {Blob} content
 * @param {string} name
 */
export function save(content, name) {
  const address = URL.createObjectURL(content);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
