// Starts the dashboard from the engine that serves it. Opened as a file, the page takes its modules
// from an engine that lets such pages in (a browser loads no module from a file): so its version is
// always the engine's own.
(() => {
  "use strict";
  const isFile = location.protocol === "file:";
  const asked = new URLSearchParams(location.search).get("engine");
  const engine = isFile ? asked || "http://127.0.0.1:3030" : location.origin;
  const root = document.getElementById("app");

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function cannotConnect() {
    const field = element("input", { name: "engine", value: engine, type: "url", required: true });
    field.setAttribute("aria-label", "Where the engine listens");
    const form = element("form", { className: "row" }, field,
      element("button", { type: "submit", className: "primary" }, "Connect"));
    root.replaceChildren(element("main", { className: "lonely" },
      element("h1", {}, "No engine answers"),
      element("p", {}, `Nothing at ${engine} answers this page.`),
      isFile
        ? element("p", {}, "A page opened as a file is let in only by an engine that was started so:")
        : element("p", {}, "Start the engine, then connect again:"),
      element("pre", {}, `openclaw-state-engine serve${isFile ? " --allow-origin null" : ""}`),
      form));
  }

  let address;
  try {
    address = new URL("/src/app.js", engine);
  } catch {
    cannotConnect();
    return;
  }
  import(address.href).then((app) => app.start(root), cannotConnect);
})();
