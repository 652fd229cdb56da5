// One Chromium for all tests, and pages that record what their consoles complain about.

import { readFileSync } from "node:fs";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Starts the browser. If there is none, the error says how to get one. */
export async function startBrowser() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) {
    throw new Error(`no Chromium found: run "apt-get install chromium", or set CHROMIUM to its path`);
  }
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
      "--disable-component-update", "--no-first-run"],
  });
}

/** A page that records the errors and warnings of its console in `page.complaints`. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    page.complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
}

/** What axe finds wrong on a page, in words, by all its rules or only by `rules`. */
export async function violations(page, rules) {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(
    (runOnly) => globalThis.axe.run(document, runOnly ? { runOnly } : {}),
    rules,
  );
  return found.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`,
  );
}

/** The page's width if it is wider than its window, else an empty text. */
export function overflow(page) {
  return page.evaluate(() => {
    const root = document.documentElement;
    return root.scrollWidth > root.clientWidth ? `${root.scrollWidth} > ${root.clientWidth}` : "";
  });
}
