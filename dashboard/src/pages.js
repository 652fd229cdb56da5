// Lists that are read page by page and kept up to date at the front.

import { useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { useBatches } from "./live.js";

const PAGE = 50;
/** How many changed rows behind the first page are read one by one. More wait for a reload. */
const MAX_SINGLE_READS = 20;

const EMPTY = { items: [], next: null, error: null, busy: true, loaded: false };

/** `items` with `fresh` rows added or replaced, each row once and in the list's order. */
export function merge(items, fresh, order) {
  const known = new Set(fresh.map((item) => item.id));
  return [...fresh, ...items.filter((item) => !known.has(item.id))].sort(order);
}

/**
 * The pages of `method` with `params()`, in `order`; new rows appear on top. `readOne(id)` reads a single
 * row again. It is needed only if rows can change far from the front.
 */
export function usePages({ method, params, order, readOne }, deps) {
  const [state, setState] = useState(EMPTY);
  const current = useRef({});
  const read = useCallback(
    (cursor, signal) => rpc(method, { ...params(), limit: PAGE, cursor }, signal),
    deps,
  );

  const run = useCallback(
    async (work) => {
      const mine = current.current;
      try {
        await work(mine);
      } catch (error) {
        if (error.name !== "AbortError" && mine === current.current) {
          setState((old) => ({ ...old, error, busy: false }));
        }
      }
    },
    [read],
  );

  const first = () =>
    run(async (mine) => {
      const page = await read(undefined, mine.abort.signal);
      if (mine !== current.current) return;
      setState({ items: page.items, next: page.next, error: null, busy: false, loaded: true });
    });

  useEffect(() => {
    const mine = (current.current = { abort: new AbortController() });
    setState(EMPTY);
    first();
    return () => mine.abort.abort();
  }, [read]);

  const more = () =>
    run(async (mine) => {
      setState((old) => ({ ...old, busy: true }));
      const page = await read(state.next, mine.abort.signal);
      if (mine !== current.current) return;
      setState((old) => ({
        items: merge(old.items, page.items, order),
        next: page.next,
        error: null,
        busy: false,
        loaded: true,
      }));
    });

  useBatches((changes) =>
    run(async (mine) => {
      const page = await read(undefined, mine.abort.signal);
      const fresh = new Set(page.items.map((item) => item.id));
      // A row that belongs on the first page but is missing is no longer part of the list.
      const end = page.next ? page.items.at(-1) : null;
      const isGone = (item) => !fresh.has(item.id) && (end === null || (end && order(item, end) < 0));
      const changed = new Set(changes.map((change) => change.execution_id));
      const stale = readOne
        ? state.items.filter((item) => changed.has(item.id) && !fresh.has(item.id) && !isGone(item))
        : [];
      const reread = await Promise.all(
        stale.slice(0, MAX_SINGLE_READS).map((item) => readOne(item.id, mine.abort.signal)),
      );
      if (mine !== current.current) return;
      setState((old) => {
        const overlaps = page.items.length === 0 || old.items.some((item) => fresh.has(item.id));
        // More rows arrived than one page holds. The rows in between are unknown, so the list starts again.
        if (page.next && old.items.length > 0 && !overlaps) return { ...old, ...page, error: null };
        const items = merge(old.items.filter((item) => !isGone(item)), [...page.items, ...reread], order);
        return { ...old, items, error: null, next: old.loaded ? old.next : page.next };
      });
    }),
  );

  return { ...state, more, reload: first };
}

/** Newest first: the engine's ids grow with time. */
export const newestFirst = (a, b) => (a.id < b.id ? 1 : -1);

export const lastActiveFirst = (a, b) =>
  a.last_activity_at === b.last_activity_at
    ? newestFirst(a, b)
    : a.last_activity_at < b.last_activity_at
      ? 1
      : -1;
