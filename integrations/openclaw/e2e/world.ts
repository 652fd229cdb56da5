import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineProcess } from "./engine.ts";
import { Gateway } from "./gateway.ts";
import { Model } from "./model.ts";
import { Sink } from "./sink.ts";

interface Parts {
  /** The installed package `openclaw`. */
  installed: string;
  home: string;
  /** The plugin's folder, and the tarball that `npm pack` created from it. */
  plugin: string;
  packed: string;
}

/** What the cases share: engine, model, sink, and gateways with different settings. */
export class World {
  readonly engine: EngineProcess;
  readonly model = new Model();
  readonly sink = new Sink();
  readonly packed: string;
  readonly guarded: Gateway;
  readonly searching: Gateway;
  readonly bare: Gateway;
  readonly proxied: Gateway;
  #last: Gateway | undefined;
  #running: Gateway | undefined;
  readonly #wall: { stop(): void };

  private constructor(parts: Parts, addresses: { model: string; sink: string; wall: string }, more: { engine: EngineProcess; model: Model; sink: Sink; wall: { stop(): void } }) {
    const { installed, home, plugin, packed } = parts;
    this.engine = more.engine;
    this.model = more.model;
    this.sink = more.sink;
    this.#wall = more.wall;
    this.packed = packed;
    const mailer = fileURLToPath(new URL("mailer", import.meta.url));
    const server = fileURLToPath(new URL("mcp-server.mjs", import.meta.url));
    const sdk = join(installed, "../@modelcontextprotocol/sdk/dist/esm");
    const outbox = {
      command: process.execPath,
      args: [server],
      env: { MCP_SDK: sdk, MAIL_SINK: addresses.sink },
    };
    const all = {
      openclaw: join(installed, "openclaw.mjs"),
      model: addresses.model,
      sink: addresses.sink,
      engine: this.engine.url,
      proxy: { proxyUrl: addresses.wall },
      plugins: [mailer],
    };
    this.guarded = new Gateway({
      ...all,
      home: join(home, "guarded"),
      more: { mcp: { servers: { outbox } } },
    });
    const entry = { enabled: true, hooks: { allowConversationAccess: true } };
    this.searching = new Gateway({
      ...all,
      home: join(home, "searching"),
      plugins: [plugin, mailer],
      entries: { "state-engine": entry },
      toolSearch: true,
    });
    this.bare = new Gateway({ ...all, home: join(home, "bare") });
    this.proxied = new Gateway({
      ...all,
      home: join(home, "proxied"),
      // The sink is on the loopback, which OpenClaw exempts from its proxy by default.
      proxy: { proxyUrl: this.engine.proxy, loopbackMode: "proxy" },
    });
  }

  static async create(parts: Parts): Promise<World> {
    const model = new Model();
    const sink = new Sink();
    const wall = await startWall();
    const addresses = { model: await model.start(), sink: await sink.start(), wall: wall.url };
    const pass = ["--pass", new URL(addresses.model).host];
    const engine = await new EngineProcess(join(parts.home, "engine", "state.db"), ...pass).start();
    return new World(parts, addresses, { engine, model, sink, wall });
  }

  /** Returns this gateway, running. Kills any other first. */
  async running(gateway: Gateway): Promise<Gateway> {
    if (this.#running !== gateway) {
      await this.#running?.kill();
      this.#running = this.#last = gateway;
      await gateway.start();
    }
    return gateway;
  }

  gatewayLog(): string {
    return this.#last?.tail() ?? "";
  }

  async close(): Promise<void> {
    await this.#running?.kill();
    await this.engine.kill();
    this.model.stop();
    this.sink.stop();
    this.#wall.stop();
  }
}

/** A proxy that refuses everything, so that no test's traffic leaves the machine. */
async function startWall(): Promise<{ url: string; stop(): void }> {
  const server = createServer((_request, response) => response.writeHead(403).end());
  server.on("connect", (_request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
