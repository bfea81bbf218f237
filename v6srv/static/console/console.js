// What pages do beyond htmx: nothing that they could not do without. No page needs a script.
"use strict";

// A refused form stays as it is; its reason is read out, and seen.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status < 400) document.getElementById("problems")?.replaceChildren();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.xhr.status >= 400) document.getElementById("problems")?.scrollIntoView({ block: "center" });
});

// Whoever looks at a page that has gone to sleep need not be told ten times what changed.
document.addEventListener("htmx:beforeRequest", (event) => {
  const timed = event.detail.requestConfig.triggeringEvent?.type === undefined;
  if (timed && document.hidden && event.detail.requestConfig.verb === "get") event.preventDefault();
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
