// Keeps what is shown up to date: values are read again when the engine reports a change.

import { useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { readEvents } from "./events.js";

/** The shortest time between two reads. */
const MIN_INTERVAL_MS = 400;
const RETRY_DELAYS_MS = [500, 1000, 2000, 5000];

const listeners = new Set();
const feed = { state: "connecting", paused: false, missed: false };
let lastId = null;
const watchers = new Set();

function set(change) {
  Object.assign(feed, change);
  watchers.forEach((watcher) => watcher());
}

function notify(change) {
  if (feed.paused) feed.missed = true;
  else listeners.forEach((listener) => listener(change));
}

/** Follows the engine's changes as long as the page is open. */
export async function follow(onUnauthorized) {
  for (let failures = 0; ; failures++) {
    try {
      await readEvents(lastId, (message) => {
        lastId = message.id ?? lastId;
        if (message.event === "hello") {
          // What was read while there was no stream may be out of date.
          if (feed.state === "lost") notify({ kind: "many" });
          failures = 0;
          set({ state: "live" });
        } else {
          notify(message.event === "change" ? JSON.parse(message.data) : { kind: "many" });
        }
      });
    } catch (error) {
      if (error.code === "UNAUTHORIZED") {
        onUnauthorized();
        return;
      }
    }
    set({ state: "lost" });
    const delay = RETRY_DELAYS_MS[Math.min(failures, RETRY_DELAYS_MS.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
}

/** Pauses or resumes updates. */
export function pause(paused) {
  set({ paused });
  if (!paused && feed.missed) {
    feed.missed = false;
    notify({ kind: "many" });
  }
}

/** Runs `listener` for each change while the component is shown. */
export function useChanges(listener, deps) {
  useEffect(() => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, deps);
}

/** The feed's state: `connecting`, `live` or `lost`, and whether it is paused. */
export function useFeed() {
  const [, rerender] = useState(0);
  useEffect(() => {
    const watcher = () => rerender((n) => n + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return feed;
}

/**
 * The value of `read(signal, changes)`, read again after changes. The old value stays until the new one
 * arrives. When `deps` change, it starts again without a value.
 * @returns {{value: any, error: Error|null, reload: () => void}}
 */
export function useLive(read, deps) {
  const [state, setState] = useState({ value: null, error: null });
  const latest = useRef({});
  const run = useCallback(
    (changes) => {
      const mine = latest.current;
      mine.abort?.abort();
      const abort = (mine.abort = new AbortController());
      return read(abort.signal, changes, mine.value ?? null).then(
        (value) => {
          if (abort.signal.aborted) return;
          mine.value = value;
          setState({ value, error: null });
        },
        (error) => {
          if (abort.signal.aborted) return;
          setState({ value: mine.value ?? null, error });
        },
      );
    },
    deps,
  );

  useEffect(() => {
    latest.current = {};
    setState({ value: null, error: null });
    run(null);
    return () => latest.current.abort?.abort();
  }, [run]);

  useBatches(run);
  return { ...state, reload: () => run(null) };
}

/** Runs `run(changes)` after changes: never two at once, and not too often. */
export function useBatches(run) {
  const { current } = useRef({ timer: 0, changes: [] });
  current.run = run;
  const schedule = () => {
    if (current.timer) return;
    current.timer = setTimeout(async () => {
      const changes = current.changes.splice(0);
      await current.run(changes);
      current.timer = 0;
      if (current.changes.length > 0) schedule();
    }, MIN_INTERVAL_MS);
  };
  useEffect(() => () => clearTimeout(current.timer), []);
  useChanges((change) => {
    if (current.changes.length < 200) current.changes.push(change);
    schedule();
  }, []);
}

/** The current time, updated every few seconds, for texts such as "2 min ago". */
export function useNow(every = 5000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}
