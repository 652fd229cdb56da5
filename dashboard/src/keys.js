// The keyboard: j and k move in a list, Enter opens, Esc closes, / searches, ? helps.

import { useEffect } from "../vendor/preact-htm.js";

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") !== null;
}

/** Runs `actions[key]` for keys that are not typed into a field. Escape is always told. */
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

/** Moves the focus to the next or previous row of the list that is shown. */
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
  ["p", "pause, or go on showing changes"],
  ["?", "this list"],
];
