// The route of the page, in the fragment of its address: `#/calls?q=state:in_doubt&call=ID`.

import { useEffect, useState } from "../vendor/preact-htm.js";

/** Parses a fragment into the path's segments and the parameters. */
export function parse(hash) {
  const text = hash.replace(/^#\/?/, "");
  const [path, search = ""] = text.split("?", 2);
  const segments = path.split("/").filter(Boolean).map(decode);
  return { path: segments, params: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The fragment of a route. Parameters without a value are left out. */
export function link(path, params = {}) {
  const search = new URLSearchParams(
    Object.entries(params).filter(([, value]) => value !== undefined && value !== ""),
  ).toString();
  const segments = path.map(encodeURIComponent).join("/");
  return `#/${segments}${search ? `?${search}` : ""}`;
}

/** Goes to a route. With `replace`, the browser's history gets no new entry. */
export function go(path, params, { replace = false } = {}) {
  const to = link(path, params);
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = to;
  }
}

export function useRoute() {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
