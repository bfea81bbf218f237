// In a file of its own: the page's content security policy lets nothing run that stands in the page.
window.addEventListener("load", () => {
  const place = document.getElementById("documentation");
  window.ui = SwaggerUIBundle({
    ...JSON.parse(place.dataset.settings),
    url: place.dataset.url,
    dom_id: "#documentation",
  });
});
