import { ConnectionError, RpcError, StateEngineError } from "./errors.js";
import { delayMs, type Failure, mayRetry, retryAfterMs } from "./retry.js";
import type { Methods } from "./wire.js";

/** What each call can be told; it goes before what the client was told. */
export interface CallOptions {
  /** Ends the call; what the engine already took on is not undone. */
  signal?: AbortSignal;
  /** Milliseconds for one try; 60,000 unless the client says otherwise. */
  timeout?: number;
  /** How often a call is tried again, where that is safe; 2 unless the client says otherwise. */
  maxRetries?: number;
}

/** How a client reaches the engine. */
export interface ClientOptions extends Omit<CallOptions, "signal"> {
  /** The state API; `http://127.0.0.1:3030` unless given. */
  url?: string;
  /** The bearer token, where the engine was started with one. */
  token?: string;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Sent with every call. */
  headers?: Record<string, string>;
}

type Answered = { value: unknown } | { error: StateEngineError; failure: Failure; after?: number };

/** JSON-RPC over HTTP, with retries where they are safe. */
export class Transport {
  readonly #options: ClientOptions;
  readonly #url: string;
  #id = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#url = options.url ?? "http://127.0.0.1:3030";
  }

  /**
   * Calls `method`. `repeatable`: carrying it out twice is the same as once, so that it may be sent
   * again when its answer was lost. `waitMs` is what the engine was asked to wait; a try's time to
   * answer comes on top.
   */
  async call<M extends keyof Methods>(
    method: M,
    params: Methods[M]["params"],
    repeatable: boolean,
    options: CallOptions,
    waitMs = 0,
  ): Promise<Methods[M]["result"]> {
    this.#id += 1;
    const body = JSON.stringify({ jsonrpc: "2.0", id: this.#id, method, params });
    const tries = 1 + (options.maxRetries ?? this.#options.maxRetries ?? 2);
    for (let attempt = 0; ; attempt += 1) {
      const answered = await this.#once(body, repeatable, options, waitMs);
      if ("value" in answered) return answered.value as Methods[M]["result"];
      const { error, failure, after } = answered;
      if (attempt + 1 >= tries || !mayRetry(repeatable, failure)) throw error;
      const pause = delayMs(attempt, after, Math.random);
      if (pause === undefined) throw error;
      await sleep(pause, options.signal, error);
    }
  }

  async #once(
    body: string,
    repeatable: boolean,
    options: CallOptions,
    waitMs: number,
  ): Promise<Answered> {
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal, "no");
    const ms = waitMs + (options.timeout ?? this.#options.timeout ?? 60_000);
    const ends = new AbortController();
    const onAbort = () => ends.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => ends.abort(), ms);
    try {
      const send = this.#options.fetch ?? globalThis.fetch;
      const response = await send(this.#url, {
        method: "POST",
        headers: this.#headers(),
        body,
        signal: ends.signal,
        redirect: "error",
      });
      return read(response, await response.text());
    } catch (cause) {
      if (signal?.aborted) throw aborted(signal, "unknown");
      const unsent = neverLeft(cause);
      const facts = { retryable: unsent || repeatable, toolRan: unsent ? "no" : "unknown", cause } as const;
      const error = ends.signal.aborted
        ? new ConnectionError(`no answer from ${this.#url} within ${ms} ms`, { code: "TIMEOUT", ...facts })
        : new ConnectionError(
            `no answer from ${this.#url}: ${reason(cause)}. Is the engine running? (openclaw-state-engine serve)`,
            { code: "CONNECTION", ...facts },
          );
      return { error, failure: { unsent } };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #headers(): Record<string, string> {
    const { token, headers } = this.#options;
    return {
      ...headers,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      "content-type": "application/json",
    };
  }
}

function read(response: Response, text: string): Answered {
  const failure: Failure = {
    unsent: false,
    status: response.status,
    shouldRetry: response.headers.get("x-should-retry"),
  };
  const after = retryAfterMs(response.headers.get("retry-after"), Date.now());
  const answer = parsed(text);
  if (response.ok && answer !== undefined && "result" in answer) return { value: answer.result };
  const told = answer?.error as { code: number; message: string; data?: Record<string, unknown> } | undefined;
  let error: StateEngineError;
  if (typeof told === "object" && told !== null && typeof told.code === "number") {
    const refusal = new RpcError(told.message, told.code, told.data ?? {});
    failure.code = refusal.code;
    error = refusal;
  } else {
    error = new ConnectionError(`status ${response.status} and no JSON-RPC answer: is this the state API?`, {
      code: "BAD_ANSWER",
      status: response.status,
      retryable: false,
      toolRan: "unknown",
    });
  }
  return after === undefined ? { error, failure } : { error, failure, after };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Errors of the connect itself, as Node and Bun name them. */
const CONNECT = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

function neverLeft(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && CONNECT.has(String(cause.code))) return true;
  }
  return false;
}

function reason(error: unknown): string {
  let deepest = error;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  if (!(deepest instanceof Error)) return String(deepest);
  return deepest.message || String((deepest as { code?: unknown }).code ?? deepest.name);
}

export function aborted(signal: AbortSignal, toolRan: "no" | "unknown"): ConnectionError {
  return new ConnectionError("the call was aborted by its signal", {
    code: "ABORTED",
    retryable: false,
    toolRan,
    cause: signal.reason,
  });
}

function sleep(ms: number, signal: AbortSignal | undefined, error: StateEngineError): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(aborted(signal as AbortSignal, error.toolRan === "no" ? "no" : "unknown"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
