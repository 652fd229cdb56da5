// The frame around all views: navigation, the count of calls in doubt, search, and the stream of changes.

import { html, render, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { keepPageKey, readiness } from "./api.js";
import { Call } from "./call.js";
import { Calls } from "./calls.js";
import { Doubt } from "./doubt.js";
import { plural } from "./format.js";
import { HELP, moveFocus, useKeys } from "./keys.js";
import { follow, pause, useFeed, useLive } from "./live.js";
import { go, link, parse, useRoute } from "./route.js";
import { Session } from "./session.js";
import { Sessions } from "./sessions.js";
import { SignIn } from "./sign-in.js";
import { Stats } from "./stats.js";
import { Theme } from "./theme.js";

/** Shows the dashboard in `root`. */
export function start(root) {
  const { params, path } = parse(location.hash);
  if (params.page_key) {
    keepPageKey(params.page_key);
    history.replaceState(null, "", link(path));
  }
  root.replaceChildren();
  render(html`<${App} />`, root);
}

function App() {
  const route = useRoute();
  const [locked, setLocked] = useState(route.path[0] === "sign-in");
  const [help, setHelp] = useState(false);
  const search = useRef(null);
  useEffect(() => {
    if (!locked) follow(() => setLocked(true));
  }, [locked]);

  const back = route.params.call && link(route.path, { ...route.params, call: undefined });
  const feed = useFeed();
  const doubts = useDoubts();
  useKeys({
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    "/": () => search.current?.focus(),
    "?": () => setHelp((shown) => !shown),
    p: () => pause(!feed.paused),
    Escape: () => {
      if (help) setHelp(false);
      else if (document.activeElement === search.current) search.current.blur();
      else if (back) location.hash = back;
    },
  });

  if (locked) {
    const signedIn = () => {
      go([], {}, { replace: true });
      setLocked(false);
    };
    return html`<${SignIn} used=${route.params.used === "1"} signedIn=${signedIn} />`;
  }
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Bar} route=${route} doubts=${doubts} search=${search} help=${() => setHelp(true)} />
    <${Banners} route=${route} doubts=${doubts} />
    <main id="main" tabindex="-1" class=${back ? "split" : ""}>
      <div class="view"><${View} route=${route} /></div>
      ${back &&
      html`<div class="pane"><${Call} key=${route.params.call} id=${route.params.call}
        close=${back} /></div>`}
    </main>
    ${help && html`<${Help} close=${() => setHelp(false)} />`}`;
}

/** The address's fragment holds the route, so a link to `#main` cannot move to the content. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function View({ route }) {
  const [view, id] = route.path;
  const { params } = route;
  if (view === "sessions" && id) return html`<${Session} key=${id} id=${id} params=${params} />`;
  if (view === "calls" && id) return html`<${Call} key=${id} id=${id} />`;
  if (view === "calls") return html`<${Calls} params=${params} />`;
  if (view === "doubt") return html`<${Doubt} />`;
  if (view === "stats") return html`<${Stats} />`;
  return html`<${Sessions} params=${params} />`;
}

function Bar({ route, doubts, search, help }) {
  const [view] = route.path;
  const feed = useFeed();
  const tab = (path, text, on) =>
    html`<a href=${link(path)} aria-current=${on ? "page" : undefined}>${text}</a>`;
  const state = feed.paused ? "paused" : feed.state;
  return html`<header class="bar">
    <a class="brand" href=${link([])}><img src=${logo} alt="" width="22" height="22" />State engine</a>
    <nav aria-label="Views">
      ${tab([], "Sessions", !view || view === "sessions")}
      ${tab(["calls"], "Calls", view === "calls")}
      <${DoubtTab} on=${view === "doubt"} doubts=${doubts} />
      ${tab(["stats"], "Statistics", view === "stats")}
    </nav>
    <${Search} route=${route} field=${search} />
    <button
      type="button"
      class=${`quiet feed is-${state}`}
      aria-pressed=${feed.paused}
      title=${feed.paused ? "Resume updates" : "Pause updates"}
      onClick=${() => pause(!feed.paused)}>
      <span class="dot" aria-hidden="true"></span>${state}
    </button>
    <${Theme} />
    <button type="button" class="quiet" aria-label="Keyboard" onClick=${help}>?</button>
  </header>`;
}

const logo = new URL("../favicon.svg", import.meta.url).href;

/** How many calls are in doubt. The engine keeps this count in memory, so it is cheap to read after each
 * change. */
const useDoubts = () =>
  useLive(async () => (await readiness()).store.in_doubt, []).value ?? 0;

function DoubtTab({ on, doubts }) {
  return html`<a href=${link(["doubt"])} aria-current=${on ? "page" : undefined}
    >In doubt${doubts > 0 && html` <span class="badge">${doubts}</span>`}</a>`;
}

/** Problems that need attention on every page. */
function Banners({ route, doubts }) {
  const feed = useFeed();
  return html`<div aria-live="polite">
    ${feed.state === "lost" &&
    html`<p class="banner lost">The engine does not answer. This page may be out of date. Trying again…</p>`}
    ${doubts > 0 &&
    route.path[0] !== "doubt" &&
    html`<p class="banner doubt">
      <b>${plural(doubts, "call is", "calls are")} in doubt:</b> nobody knows whether they took effect.${" "}
      <a href=${link(["doubt"])}>Find out, and settle</a>
    </p>`}
  </div>`;
}

/** The search line. It finds sessions on their page, and calls everywhere else. */
function Search({ route, field }) {
  const ofSessions = route.path.length === 0;
  const target = ofSessions ? [] : ["calls"];
  const query = route.path[0] === "calls" || ofSessions ? (route.params.q ?? "") : "";
  const submit = (event) => {
    event.preventDefault();
    const q = field.current.value.trim();
    go(target, { ...(ofSessions ? route.params : {}), q, call: undefined });
  };
  useEffect(() => {
    field.current.value = query;
  }, [query, ofSessions]);
  return html`<form class="search" role="search" onSubmit=${submit}>
    <input
      type="search"
      ref=${field}
      aria-label=${ofSessions ? "Find sessions" : "Find calls"}
      placeholder=${ofSessions
        ? "Find a session by name, user or goal"
        : "tool:send_email state:in_doubt after:1h text"}
      onSearch=${submit}
      spellcheck=${false} />
  </form>`;
}

function Help({ close }) {
  const ref = useRef(null);
  useEffect(() => ref.current.showModal(), []);
  return html`<dialog ref=${ref} onClose=${close} aria-labelledby="help">
    <h2 id="help">Keyboard</h2>
    <dl class="table">
      ${HELP.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}
    </dl>
    <h2>Search</h2>
    <p>
      <code>tool:</code> <code>state:</code> <code>via:</code> <code>is:duplicated</code>${" "}
      <code>after:</code> <code>before:</code> <code>session:</code> <code>goal:</code>${" "}
      <code>user:</code>, and any words from id, tool, key, input or error.
    </p>
    <form method="dialog"><button class="primary">Close</button></form>
  </dialog>`;
}
