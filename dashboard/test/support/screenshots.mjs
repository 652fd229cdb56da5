// Takes the screenshots of docs/DASHBOARD.md: npm run screenshots.

import { fileURLToPath } from "node:url";
import { openPage, startBrowser } from "./browser.mjs";
import { Engine } from "./engine.mjs";
import { startTool } from "./tool.mjs";
import { makeTraffic } from "./traffic.mjs";

const folder = fileURLToPath(new URL("../../../docs/dashboard/", import.meta.url));
const wide = { width: 1280, height: 800 };
const narrow = { width: 375, height: 780 };

const tool = await startTool();
const engine = await Engine.start();
const browser = await startBrowser();
try {
  const { ada, sent } = await makeTraffic(engine, tool);
  const session = `#/sessions/${ada.session.id}`;
  const pictures = [
    ["sessions-light", "light", wide, "#/", ".sessions .dup"],
    ["session-light", "light", { width: 1180, height: 660 }, `${session}?call=${sent.id}`, ".echo >> nth=0"],
    ["session-dark", "dark", wide, session, ".echo >> nth=0"],
    ["doubt-light", "light", wide, "#/doubt", ".settle >> nth=1"],
    ["stats-dark", "dark", wide, "#/stats", ".tile"],
    ["session-narrow", "light", narrow, session, ".echo >> nth=0"],
    ["doubt-narrow", "dark", narrow, "#/doubt", ".settle >> nth=1"],
  ];
  for (const [name, colorScheme, viewport, hash, ready] of pictures) {
    const page = await openPage(browser, { colorScheme, viewport, reducedMotion: "reduce" });
    await page.goto(`${engine.api}/${hash}`);
    await page.waitForSelector(ready);
    await page.waitForSelector(".feed.is-live");
    await page.screenshot({ path: `${folder}${name}.png` });
    await page.context().close();
  }
} finally {
  await browser.close();
  await engine.stop();
  tool.stop();
}
