import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { read } from "./model.ts";

/** The destination of the mails. It counts them, and can hold back its answer to a sender. */
export class Sink {
  readonly mails: string[] = [];
  holding = false;
  url = "";
  #held: ServerResponse[] = [];
  #waiting: (() => void)[] = [];
  readonly #server = createServer((request, response) => {
    void read(request).then((body) => {
      this.mails.push(body);
      for (const resolve of this.#waiting.splice(0)) resolve();
      if (this.holding) this.#held.push(response);
      else response.end(`mail ${this.mails.length} accepted`);
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mail`;
    return this.url;
  }

  /** Resolves when the next mail arrives. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** How many mails arrived for `subject`. */
  count(subject: string): number {
    return this.mails.filter((mail) => mail.includes(`"${subject}"`)).length;
  }

  release(): void {
    this.holding = false;
    for (const response of this.#held.splice(0)) response.end("accepted");
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
