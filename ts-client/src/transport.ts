import { ConnectionError, RpcError, StateEngineError } from "./errors.js";
import { delayMs, type Failure, mayRetry, retryAfterMs } from "./retry.js";
import type { Methods } from "./wire.js";

/** Options of one call. They override the client's. */
export interface CallOptions {
  /** Ends the call. Work that the engine has started is not undone. */
  signal?: AbortSignal;
  /** Milliseconds for one try. Default: the client's, or 60,000. */
  timeout?: number;
  /** How often a call is retried if that is safe. Default: the client's, or 2. */
  maxRetries?: number;
}

/** How a client reaches the engine. */
export interface ClientOptions extends Omit<CallOptions, "signal"> {
  /** The state API. Default: `http://127.0.0.1:3030`. */
  url?: string;
  /** The bearer token, if the engine was started with one. */
  token?: string;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Sent with every call. */
  headers?: Record<string, string>;
}

type Answer = { value: unknown } | { error: StateEngineError; failure: Failure; retryAfter?: number };

/** JSON-RPC over HTTP, with a retry if that is safe. */
export class Transport {
  readonly #options: ClientOptions;
  readonly #url: string;
  #id = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#url = options.url ?? "http://127.0.0.1:3030";
  }

  /**
   * Calls `method`. `repeatable`: carrying it out twice is the same as once, so it may be sent again
   * if its answer was lost. `waitMs` is the wait that the call requests from the engine; it is added to
   * the timeout of each try.
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
      const answer = await this.#once(body, repeatable, options, waitMs);
      if ("value" in answer) return answer.value as Methods[M]["result"];
      const { error, failure, retryAfter } = answer;
      if (attempt + 1 >= tries || !mayRetry(repeatable, failure)) throw error;
      const delay = delayMs(attempt, retryAfter, Math.random);
      if (delay === undefined) throw error;
      await sleep(delay, options.signal, error);
    }
  }

  async #once(
    body: string,
    repeatable: boolean,
    options: CallOptions,
    waitMs: number,
  ): Promise<Answer> {
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal, "no");
    const ms = waitMs + (options.timeout ?? this.#options.timeout ?? 60_000);
    const ended = new AbortController();
    const onAbort = () => ended.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => ended.abort(), ms);
    try {
      const send = this.#options.fetch ?? globalThis.fetch;
      const response = await send(this.#url, {
        method: "POST",
        headers: this.#headers(),
        body,
        signal: ended.signal,
        redirect: "error",
      });
      return read(response, await response.text());
    } catch (cause) {
      if (signal?.aborted) throw aborted(signal, "unknown");
      const unsent = isConnectFailure(cause);
      const facts = { retryable: unsent || repeatable, toolRan: unsent ? "no" : "unknown", cause } as const;
      const error = ended.signal.aborted
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

function read(response: Response, text: string): Answer {
  const failure: Failure = {
    unsent: false,
    status: response.status,
    shouldRetry: response.headers.get("x-should-retry"),
  };
  const retryAfter = retryAfterMs(response.headers.get("retry-after"), Date.now());
  const reply = parsed(text);
  if (response.ok && reply !== undefined && "result" in reply) return { value: reply.result };
  const rpcError = reply?.error as { code: number; message: string; data?: Record<string, unknown> } | undefined;
  let error: StateEngineError;
  if (typeof rpcError === "object" && rpcError !== null && typeof rpcError.code === "number") {
    const refusal = new RpcError(rpcError.message, rpcError.code, rpcError.data ?? {});
    failure.code = refusal.code;
    error = refusal;
  } else {
    error = new ConnectionError(`status ${response.status} without a JSON-RPC answer: is this the state API?`, {
      code: "BAD_ANSWER",
      status: response.status,
      retryable: false,
      toolRan: "unknown",
    });
  }
  return retryAfter === undefined ? { error, failure } : { error, failure, retryAfter };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Error codes of a failed connect in Node and Bun. */
const CONNECT_ERRORS = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

function isConnectFailure(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && CONNECT_ERRORS.has(String(cause.code))) return true;
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
