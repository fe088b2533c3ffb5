const specs = JSON.parse(document.getElementById("specs").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
const options = { renderer: "svg", actions: false, tooltip: { theme: dark ? "dark" : "light" } };
for (const [id, spec] of Object.entries(specs)) {
  vegaEmbed("#" + id, spec, options)
    // The chart is an image with a description: a thousand marks read aloud would help nobody.
    .then((result) => result.view.container().querySelector("svg").setAttribute("aria-hidden", "true"))
    .catch((error) => console.error(id, error));
}
