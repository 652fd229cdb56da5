import type { Engine } from "./engine.ts";
import type { Logger } from "./host.ts";
import { digest } from "./canonical.ts";
import { Session } from "./session.ts";

const MAX_SESSIONS = 1_000;
const MAX_NAME = 255;

interface Agent {
  user_id: string;
  /** Engine sessions by name. */
  sessions: Map<string, string>;
}

/** The sessions of all agents. An agent is a user of the engine; a session key is a session's name. */
export class Sessions {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #agents = new Map<string, Promise<Agent>>();
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
  }

  get(agentId: string | undefined, sessionKey: string): Promise<Session> {
    const agent = agentOf(agentId, sessionKey);
    const id = `${agent}\n${sessionKey}`;
    return memoized(this.#sessions, id, () => this.#read(agent, sessionKey));
  }

  /** Drops a session that has changed or ended in the engine, and its user. The next use reads them again. */
  forget(agentId: string | undefined, sessionKey: string): void {
    const agent = agentOf(agentId, sessionKey);
    this.#agents.delete(agent);
    this.#sessions.delete(`${agent}\n${sessionKey}`);
  }

  async #read(agentId: string, sessionKey: string): Promise<Session> {
    await this.#evictIdle();
    const agent = await memoized(this.#agents, agentId, () => this.#agent(agentId));
    const name = sessionKey.length <= MAX_NAME ? sessionKey : digest(sessionKey);
    const found = agent.sessions.get(name);
    const session_id = found ?? (await this.#engine.createSession(agent.user_id, name));
    agent.sessions.set(name, session_id);
    return Session.read(this.#engine, this.#log, { user_id: agent.user_id, session_id });
  }

  async #agent(agentId: string): Promise<Agent> {
    const user_id = await this.#engine.user(`openclaw:${agentId}`);
    return { user_id, sessions: await this.#engine.sessions(user_id) };
  }

  async #evictIdle(): Promise<void> {
    if (this.#sessions.size <= MAX_SESSIONS) return;
    for (const [id, session] of this.#sessions) {
      if ((await session).idle) {
        this.#sessions.delete(id);
        return;
      }
    }
  }
}

function agentOf(agentId: string | undefined, sessionKey: string): string {
  return agentId ?? /^agent:([^:]+):/.exec(sessionKey)?.[1] ?? "main";
}

/** The value of `key` in `map`. The first use creates it; a failure is not stored. */
function memoized<T>(map: Map<string, Promise<T>>, key: string, create: () => Promise<T>): Promise<T> {
  const known = map.get(key);
  if (known) return known;
  const created = create().catch((error: unknown) => {
    map.delete(key);
    throw error;
  });
  map.set(key, created);
  return created;
}
