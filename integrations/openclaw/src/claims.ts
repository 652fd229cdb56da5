import { randomUUID } from "node:crypto";
import { masked } from "./canonical.ts";
import { type Claimed, type Engine, type Place, refused } from "./engine.ts";
import type { BeforeToolCall } from "./host.ts";

/** How long a hook waits for one that another process runs. */
const WAIT_MS = 2_000;
const RELEASE_TRIES = 100;

/** Asks the engine who may run a call. */
export class Claims {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Claims a call. `runs` says whether it will run where the answer does not come: else what the engine
   * may have granted is given back, so that nothing stays in doubt that never ran. */
  async claim(place: Place, key: string, event: BeforeToolCall, runs: () => boolean): Promise<Claimed> {
    const claimed = await this.#once(place, key, event, runs);
    if (claimed.claim !== "busy") return claimed;
    const settled = await this.#engine.wait(claimed.id, WAIT_MS);
    return settled.status === "running" ? claimed : this.#once(place, key, event, runs);
  }

  async #once(place: Place, key: string, event: BeforeToolCall, runs: () => boolean): Promise<Claimed> {
    const claimId = randomUUID();
    const ask = () => this.#engine.claim(place, event.toolName, masked(event.params), key, claimId);
    try {
      return await ask();
    } catch (error) {
      if (!runs() && !refused(error)) void this.#release(ask);
      throw error;
    }
  }

  async #release(ask: () => Promise<Claimed>): Promise<void> {
    for (let tries = 0; tries < RELEASE_TRIES; tries += 1) {
      try {
        const { claim, lease } = await ask();
        if (claim === "execute" && lease !== undefined) await this.giveBack(lease, "the engine did not answer");
        return;
      } catch {
        // Down still.
      }
    }
  }

  /** A granted call that does not run. */
  async giveBack(lease: string, why: string): Promise<void> {
    await this.#engine.finish(lease, "not_executed", { error: `held back: ${why}` });
  }
}
