/** A call that came by `POST /tools/invoke`, or by its twin `tools.invoke`; `key` is its idempotencyKey. */
export interface Invoked {
  key: string | undefined;
}

const INVOKED = /^(?:http|rpc)-[a-z]+(?:-operator)?-(.*)$/s;
/** The host puts the time in milliseconds where there is no key. */
const NO_KEY = /^[0-9]{13}$/;
/** Keys of the adapter of this project, which records its calls itself. */
const RECORDED_BY_CALLER = "ose:";

/** What the id of a tool call tells of how it came; an id is all that the host gives. */
export function invoked(toolCallId: string | undefined): Invoked | undefined {
  const key = INVOKED.exec(toolCallId ?? "")?.[1];
  if (key === undefined) return undefined;
  return { key: NO_KEY.test(key) ? undefined : key };
}

export function recordedByCaller({ key }: Invoked): boolean {
  return key?.startsWith(RECORDED_BY_CALLER) ?? false;
}
