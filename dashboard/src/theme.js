// Light or dark: the system's choice, unless this browser has its own.

import { html, useEffect, useState } from "../vendor/preact-htm.js";

const NAME = "state-engine-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const SIGN = { system: "◐", light: "☀", dark: "☾" };

function stored() {
  try {
    return NEXT[localStorage.getItem(NAME)] ? localStorage.getItem(NAME) : "system";
  } catch {
    return "system";
  }
}

export function Theme() {
  const [theme, setTheme] = useState(stored);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(NAME, theme);
    } catch {
      // A page without storage follows the system again next time.
    }
  }, [theme]);
  return html`<button
    type="button"
    class="quiet"
    title=${`Colours: ${theme}`}
    aria-label=${`Colours: ${theme}`}
    onClick=${() => setTheme(NEXT[theme])}>${SIGN[theme]}</button>`;
}
