import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

interface Message {
  role: string;
  content: unknown;
  tool_call_id?: string;
}

interface ModelRequest {
  messages: Message[];
  tools?: { function: { name: string } }[];
}

/** What a request to the model contained: the last order, and the tool results after it, oldest first. */
export interface Seen {
  order: string;
  results: string[];
}

const ORDER = /(CALL|TWICE|PAIR) (\S+) (\{.*?\})(?:\s|$)/s;
/** What OpenClaw writes in place of a lost result. */
const LOST = /missing tool result|interrupted|aborted/i;

/** A model on the loopback that follows the order in the user's text, and calls again if a result was lost.
 * `CALL tool {json}` calls once, `TWICE` calls twice in a row, `PAIR` makes two calls in one message. */
export class Model {
  readonly seen: Seen[] = [];
  /** All text that the model ever received. */
  read = "";
  #server: Server;
  #calls = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then((chunks) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
        response.end("data: [DONE]\n\n");
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The results in the latest request whose order contains `text`. */
  results(text: string): string[] {
    return this.seen.findLast(({ order }) => order.includes(text))?.results ?? [];
  }

  async #answer(request: IncomingMessage): Promise<unknown[]> {
    const body = JSON.parse(await read(request)) as ModelRequest;
    this.read += body.messages.map(({ content }) => textOf(content)).join("\n");
    const orders = body.messages.flatMap((message, at) => {
      const order = message.role === "user" ? ORDER.exec(textOf(message.content)) : null;
      return order ? [{ at, order }] : [];
    });
    const last = orders.at(-1);
    if (last === undefined) return chunks({ content: "nothing to do" }, "stop");
    const [, verb, tool, json] = last.order;
    const results = body.messages.slice(last.at).filter((message) => message.role === "tool");
    const texts = results.map((message) => textOf(message.content));
    this.seen.push({ order: last.order[0], results: texts });
    const usable = texts.filter((text) => !LOST.test(text) || text.includes("[state-engine]")).length;
    const wanted = verb === "CALL" ? 1 : 2;
    if (usable >= wanted) return chunks({ content: `DONE ${texts.at(-1)}` }, "stop");
    const together = verb === "PAIR" ? wanted - usable : 1;
    const direct = body.tools?.some(({ function: { name } }) => name === tool) ?? false;
    const calls = Array.from({ length: together }, (_, index) => {
      this.#calls += 1;
      const name = direct ? tool : "tool_call";
      const args = direct ? json : JSON.stringify({ id: tool, args: JSON.parse(json ?? "{}") });
      const id = `call_${process.pid}_${this.#calls}`;
      return { index, id, type: "function", function: { name, arguments: args } };
    });
    return chunks({ tool_calls: calls }, "tool_calls");
  }
}

function chunks(delta: unknown, finish_reason: string): unknown[] {
  const head = { id: "mock", object: "chat.completion.chunk", created: 0, model: "mock-1" };
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  return [
    { ...head, choices: [{ index: 0, delta: { role: "assistant", ...(delta as object) }, finish_reason: null }] },
    { ...head, choices: [{ index: 0, delta: {}, finish_reason }] },
    { ...head, choices: [], usage },
  ];
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (part as { text?: string }).text ?? "").join("\n");
}

export async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
