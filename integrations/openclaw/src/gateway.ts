import { NotExecutedError } from "@openclaw/ts-client";

export interface GatewayOptions {
  gatewayUrl?: string;
  gatewayToken?: string;
  agentId?: string;
  sessionKey?: string;
}

/** Keys with this prefix tell the plugin in the gateway that their call is recorded already. */
const RECORDED = "ose:";

/** What an answer without effect means, and what to do about it. */
const REMEDIES: Record<number, string> = {
  401: "set gatewayToken, or OPENCLAW_GATEWAY_TOKEN",
  403: "a plugin or policy of the gateway forbids it",
  404: "the gateway has no such tool here: look at its plugins and its deny list; MCP, file and exec tools are not served over HTTP",
  429: "the gateway refuses so many calls: try later",
};

/** OpenClaw's `POST /tools/invoke`. It knows no idempotency of its own. */
export class Gateway {
  readonly #url: string;
  readonly #options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#url = `${(options.gatewayUrl ?? "http://127.0.0.1:18789").replace(/\/$/, "")}/tools/invoke`;
  }

  /**
   * Runs a tool; gives the tool's result as the gateway tells it. An answer that proves that nothing
   * ran is a `NotExecutedError`; after any other fault (500, a broken line) nobody knows.
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
      if (refused(cause)) throw new NotExecutedError(`the gateway does not answer at ${this.#url}: is it running?`, { cause });
      throw cause;
    }
    const answer = (await response.json().catch(() => undefined)) as Answer | undefined;
    if (response.ok && answer?.ok === true) return answer.result;
    const { status } = response;
    const said = `the gateway answered ${status}${answer?.error?.message ? `: ${answer.error.message}` : ""}`;
    if (status >= 400 && status < 500 && status !== 408) {
      throw new NotExecutedError(status in REMEDIES ? `${said} (${REMEDIES[status]})` : said);
    }
    throw new Error(said);
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

/** The connection was never made: nothing was sent. */
function refused(error: unknown): boolean {
  const cause = (error as { cause?: { code?: unknown } }).cause;
  return cause?.code === "ECONNREFUSED" || cause?.code === "ENOTFOUND";
}
