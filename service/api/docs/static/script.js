// Sends the calls of this page. An address is relative, as the page's own links are.
"use strict";

function addressOf(form) {
  let path = form.dataset.path.slice(1);
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("input[data-in=path]")) {
    path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
  }
  for (const field of form.querySelectorAll("input[data-in=query]")) {
    if (field.value) query.append(field.name, field.value);
  }
  return query.size ? `${path}?${query}` : path;
}

function headersOf(form) {
  const headers = new Headers();
  const key = document.getElementById("key").value;
  if (key) headers.set("X-API-Key", key);
  for (const field of form.querySelectorAll("input[data-in=header]")) {
    if (field.value) headers.set(field.name, field.value);
  }
  return headers;
}

function bodyOf(form, headers) {
  const type = form.querySelector("[data-in=type]");
  const file = form.querySelector("[data-in=file]")?.files[0];
  const text = form.querySelector("[data-in=text]")?.value;
  const content = file ?? text;
  if (!type || !content) return undefined;
  if (type.value === "multipart/form-data") {
    const parts = new FormData();
    parts.append("image", new Blob([content]), file?.name ?? "text");
    return parts; // which names its own content type, with the boundary
  }
  headers.set("Content-Type", type.value);
  return content;
}

function shown(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(form, output) {
  const headers = headersOf(form);
  const body = bodyOf(form, headers);
  output.hidden = false;
  output.textContent = "...";
  try {
    const answer = await fetch(addressOf(form), { method: form.dataset.method, headers, body });
    output.textContent = `${answer.status} ${answer.statusText}\n\n${shown(await answer.text())}`;
  } catch (error) {
    output.textContent = `The service did not answer: ${error.message}`;
  }
}

for (const form of document.querySelectorAll("form[data-path]")) {
  form.querySelector("button").hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, form.querySelector("pre"));
  });
}
