// What the theme leaves out for keyboards and screen readers.

// A table that is wider than its place is scrolled. The keyboard can do so only where the focus can go.
const watched = new ResizeObserver((entries) => {
  for (const { target } of entries) mark(target);
});

document$.subscribe(() => {
  for (const place of document.querySelectorAll(".md-typeset__scrollwrap")) watched.observe(place);
});

document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");

function mark(place) {
  if (place.scrollWidth > place.clientWidth) {
    place.tabIndex = 0;
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", `Table: ${heading(place)}`);
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
  }
}

/** Return the heading that a place stands under. */
function heading(place) {
  const above = [...document.querySelectorAll("article :is(h1, h2, h3)")].filter(
    (each) => each.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING,
  );
  return above.at(-1)?.firstChild?.textContent?.trim() ?? document.title;
}
