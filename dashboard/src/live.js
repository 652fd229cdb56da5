// What is shown, kept true: values that are read again when the engine tells of a change.

import { useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { readEvents } from "./events.js";

/** Reads at most this often, in ms. */
const PACE = 400;
const RETRY = [500, 1000, 2000, 5000];

const listeners = new Set();
const feed = { state: "connecting", paused: false, missed: false };
let lastId = null;
const watchers = new Set();

function set(change) {
  Object.assign(feed, change);
  watchers.forEach((watcher) => watcher());
}

function tell(change) {
  if (feed.paused) feed.missed = true;
  else listeners.forEach((listener) => listener(change));
}

/** Follows the engine's changes for as long as the page lives. */
export async function follow(onUnauthorized) {
  for (let failures = 0; ; failures++) {
    try {
      await readEvents(lastId, (message) => {
        lastId = message.id ?? lastId;
        if (message.event === "hello") {
          // Whatever was read before the stream was there may be old.
          if (feed.state === "lost") tell({ kind: "many" });
          failures = 0;
          set({ state: "live" });
        } else {
          tell(message.event === "change" ? JSON.parse(message.data) : { kind: "many" });
        }
      });
    } catch (error) {
      if (error.code === "UNAUTHORIZED") {
        onUnauthorized();
        return;
      }
    }
    set({ state: "lost" });
    const pause = RETRY[Math.min(failures, RETRY.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Stops or goes on showing changes. */
export function pause(paused) {
  set({ paused });
  if (!paused && feed.missed) {
    feed.missed = false;
    tell({ kind: "many" });
  }
}

/** Runs `listener` for each change, while the component is shown. */
export function useChanges(listener, deps) {
  useEffect(() => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, deps);
}

/** The feed's state: `connecting`, `live` or `lost`, and whether it is paused. */
export function useFeed() {
  const [, again] = useState(0);
  useEffect(() => {
    const watcher = () => again((n) => n + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return feed;
}

/**
 * What `read(signal, changes)` gives, read again after changes; `deps` make it a new question. While
 * it is read again the old value stays.
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

/** Runs `run(changes)` after changes, one at a time and not too often. */
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
    }, PACE);
  };
  useEffect(() => () => clearTimeout(current.timer), []);
  useChanges((change) => {
    if (current.changes.length < 200) current.changes.push(change);
    schedule();
  }, []);
}

/** The present, anew every few seconds, for "2 min ago". */
export function useNow(every = 5000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}
