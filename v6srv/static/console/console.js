// What pages do beyond htmx: nothing that they could not do without. No page needs a script.
"use strict";

// A refused form stays as it is; its reason is read out, and seen.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status < 400) document.getElementById("problems")?.replaceChildren();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.xhr.status >= 400) document.getElementById("problems")?.scrollIntoView({ block: "center" });
});

// What a page asks for again by itself it does not ask for while nobody sees it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const again = event.detail.elt.getAttribute("hx-trigger")?.startsWith("every");
  if (again && document.hidden) event.preventDefault();
});

// <button data-copy="#id">: copy the text of that element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  button.textContent = "Copied";
});

// The numbers beside a text that is edited.
document.addEventListener("input", (event) => {
  const gutter = event.target.closest(".editor")?.querySelector(".gutter");
  if (!gutter) return;
  event.target.rows = event.target.value.split("\n").length;
  gutter.textContent = Array.from({ length: event.target.rows }, (_, at) => at + 1).join("\n");
});
