// Where the page is, as its URL's fragment tells: `#/calls?q=state:in_doubt&call=ID`.

import { useEffect, useState } from "../vendor/preact-htm.js";

/** A fragment taken apart: the path's segments and its parameters. */
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

/** The fragment of a place; parameters without a value are left out. */
export function link(path, params = {}) {
  const search = new URLSearchParams(
    Object.entries(params).filter(([, value]) => value !== undefined && value !== ""),
  ).toString();
  const where = path.map(encodeURIComponent).join("/");
  return `#/${where}${search ? `?${search}` : ""}`;
}

/** Goes to a place; `replace` leaves no step back. */
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
