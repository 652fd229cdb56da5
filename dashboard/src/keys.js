// The keyboard: j and k move in a list, Enter opens, Esc closes, / searches, ? shows the help.

import { useEffect } from "../vendor/preact-htm.js";

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") !== null;
}

/** Runs `actions[key]` for keys that are not typed into a field, and for Escape everywhere. */
export function useKeys(actions) {
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const action = actions[event.key];
      if (!action) return;
      if (event.key !== "Escape" && isTyping(event.target)) return;
      event.preventDefault();
      action(event);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
}

/** Moves the focus by `by` rows in the visible list. */
export function moveFocus(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

export const HELP = [
  ["j, k", "next, previous row"],
  ["Enter", "open"],
  ["Esc", "close, or leave the field"],
  ["/", "search"],
  ["p", "pause or resume updates"],
  ["?", "this list"],
];
