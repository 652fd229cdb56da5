// Lists that are read page by page and kept true at their front.

import { useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { rpc } from "./api.js";
import { useBatches } from "./live.js";

const PAGE = 50;
/** Rows behind the first page that are read one by one when they change; more wait for a reload. */
const MAX_SINGLE = 20;

const EMPTY = { items: [], next: null, error: null, busy: true, loaded: false };

/** `fresh` over `items`: in the list's order, each row once. */
export function merge(items, fresh, order) {
  const known = new Set(fresh.map((item) => item.id));
  return [...fresh, ...items.filter((item) => !known.has(item.id))].sort(order);
}

/**
 * The pages of `method` with `params()`, in `order`; new ones on top as they come. `one(id)` reads a
 * single row again, where rows can change far from the front.
 */
export function usePages({ method, params, order, one }, deps) {
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
      // A row that the first page would show and does not is no longer part of the list.
      const end = page.next ? page.items.at(-1) : null;
      const goes = (item) => !fresh.has(item.id) && (end === null || (end && order(item, end) < 0));
      const changed = new Set(changes.map((change) => change.execution_id));
      const stale = one
        ? state.items.filter((item) => changed.has(item.id) && !fresh.has(item.id) && !goes(item))
        : [];
      const again = await Promise.all(
        stale.slice(0, MAX_SINGLE).map((item) => one(item.id, mine.abort.signal)),
      );
      if (mine !== current.current) return;
      setState((old) => {
        const touches = page.items.length === 0 || old.items.some((item) => fresh.has(item.id));
        // More came than one page holds: what lies between is not known, so the list begins anew.
        if (page.next && old.items.length > 0 && !touches) return { ...old, ...page, error: null };
        const items = merge(old.items.filter((item) => !goes(item)), [...page.items, ...again], order);
        return { ...old, items, error: null, next: old.loaded ? old.next : page.next };
      });
    }),
  );

  return { ...state, more, reload: first };
}

/** Newest first; ids of the engine grow with time. */
export const newestFirst = (a, b) => (a.id < b.id ? 1 : -1);

export const lastActiveFirst = (a, b) =>
  a.last_activity_at === b.last_activity_at
    ? newestFirst(a, b)
    : a.last_activity_at < b.last_activity_at
      ? 1
      : -1;
