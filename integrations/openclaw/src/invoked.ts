/** A call by `POST /tools/invoke` or its RPC counterpart `tools.invoke`; `key` is its idempotencyKey. */
export interface InvokedCall {
  key: string | undefined;
}

const INVOKED = /^(?:http|rpc)-[a-z]+(?:-operator)?-(.*)$/s;
/** The host uses the time in milliseconds if there is no key. */
const NO_KEY = /^[0-9]{13}$/;
/** The key prefix of this project's `OpenClawAgent`, which records its calls itself. */
const RECORDED_BY_CALLER = "ose:";

/** Recognizes an invoked call by its id. The host passes nothing else that shows it. */
export function invokedCall(toolCallId: string | undefined): InvokedCall | undefined {
  const key = INVOKED.exec(toolCallId ?? "")?.[1];
  if (key === undefined) return undefined;
  return { key: NO_KEY.test(key) ? undefined : key };
}

/** Whether the caller's key has no visible character. */
export function hasBlankKey({ key }: InvokedCall): boolean {
  return key !== undefined && !/[^\s\p{C}]/u.test(key);
}

export function recordedByCaller({ key }: InvokedCall): boolean {
  return key?.startsWith(RECORDED_BY_CALLER) ?? false;
}
