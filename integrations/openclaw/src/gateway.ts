import { NotExecutedError } from "@openclaw/ts-client";

export interface GatewayOptions {
  gatewayUrl?: string;
  gatewayToken?: string;
  agentId?: string;
  sessionKey?: string;
}

/** A key with this prefix shows the plugin in the gateway that its call is already recorded. */
const RECORDED = "ose:";

/** What to do about an answer that proves that nothing ran, by status. */
const REMEDIES: Record<number, string> = {
  401: "set gatewayToken or OPENCLAW_GATEWAY_TOKEN",
  403: "a plugin or policy of the gateway forbids the call",
  404: "the gateway does not offer this tool here: check its plugins and its deny list; it does not serve MCP, file and exec tools over HTTP",
  429: "the gateway limits the rate of calls: try later",
};

/** OpenClaw's `POST /tools/invoke`, which does not deduplicate calls itself. */
export class Gateway {
  readonly #url: string;
  readonly #options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#url = `${(options.gatewayUrl ?? "http://127.0.0.1:18789").replace(/\/$/, "")}/tools/invoke`;
  }

  /**
   * Runs a tool and returns its result as the gateway reports it. Throws `NotExecutedError` if the answer
   * proves that nothing ran. After any other fault (a 500, a broken connection) the outcome is unknown.
   */
  async invoke(
    tool: string,
    args: Record<string, unknown>,
    key: string,
    attempt: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { sessionKey, agentId } = this.#options;
    const idempotencyKey = `${RECORDED}${key}${attempt === 1 ? "" : `#${attempt}`}`;
    const body = JSON.stringify({ tool, args, sessionKey, agentId, idempotencyKey });
    let response: Response;
    try {
      response = await fetch(this.#url, { method: "POST", headers: this.#headers(), body, signal, redirect: "error" });
    } catch (cause) {
      if (isConnectFailure(cause)) throw new NotExecutedError(`the gateway does not answer at ${this.#url}: is it running?`, { cause });
      throw cause;
    }
    const answer = (await response.json().catch(() => undefined)) as Answer | undefined;
    if (response.ok && answer?.ok === true) return answer.result;
    const { status } = response;
    const problem = `the gateway answered ${status}${answer?.error?.message ? `: ${answer.error.message}` : ""}`;
    if (status >= 400 && status < 500 && status !== 408) {
      throw new NotExecutedError(status in REMEDIES ? `${problem} (${REMEDIES[status]})` : problem);
    }
    throw new Error(problem);
  }

  #headers(): Record<string, string> {
    const token = this.#options.gatewayToken ?? process.env["OPENCLAW_GATEWAY_TOKEN"];
    return {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
  }
}

interface Answer {
  ok?: boolean;
  result?: unknown;
  error?: { message?: string };
}

/** Whether there was never a connection, so that nothing was sent. */
function isConnectFailure(error: unknown): boolean {
  const cause = (error as { cause?: { code?: unknown } }).cause;
  return cause?.code === "ECONNREFUSED" || cause?.code === "ENOTFOUND";
}
