// Starts the dashboard from the engine that serves it. A page that is opened as a file loads its modules
// from an engine that accepts such pages, because browsers do not load modules from files. So the modules
// always have the engine's own version.
(() => {
  "use strict";
  const isFile = location.protocol === "file:";
  const requested = new URLSearchParams(location.search).get("engine");
  const engine = isFile ? requested || "http://127.0.0.1:3030" : location.origin;
  const root = document.getElementById("app");

  function element(name, properties, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  function showConnectForm() {
    const field = element("input", { name: "engine", value: engine, type: "url", required: true });
    field.setAttribute("aria-label", "Address of the engine");
    const form = element("form", { className: "row" }, field,
      element("button", { type: "submit", className: "primary" }, "Connect"));
    root.replaceChildren(element("main", { className: "lonely" },
      element("h1", {}, "No answer from the engine"),
      element("p", {}, `There is no answer to this page from ${engine}.`),
      isFile
        ? element("p", {}, "To accept a page that is opened as a file, start the engine like this:")
        : element("p", {}, "Start the engine, then connect again:"),
      element("pre", {}, `openclaw-state-engine serve${isFile ? " --allow-origin null" : ""}`),
      form));
  }

  let address;
  try {
    address = new URL("/src/app.js", engine);
  } catch {
    showConnectForm();
    return;
  }
  import(address.href).then((app) => app.start(root), showConnectForm);
})();
