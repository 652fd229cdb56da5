import { randomUUID } from "node:crypto";
import { masked } from "./canonical.ts";
import { type Claimed, type Engine, type Scope, refused } from "./engine.ts";
import type { BeforeToolCall } from "./host.ts";

/** How long a hook waits for a call that another process runs. */
const WAIT_MS = 2_000;
const RELEASE_TRIES = 100;

/** Claims calls: the engine decides who may run each. */
export class Claims {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Claims a call. `runsAnyway` is whether the call runs even if the engine does not answer. If it does
   * not, a lease that the engine may have granted is released: a call that never ran must not be in doubt. */
  async claim(scope: Scope, key: string, event: BeforeToolCall, runsAnyway: () => boolean): Promise<Claimed> {
    const claimed = await this.#once(scope, key, event, runsAnyway);
    if (claimed.claim !== "busy") return claimed;
    const settled = await this.#engine.wait(claimed.id, WAIT_MS);
    return settled.status === "running" ? claimed : this.#once(scope, key, event, runsAnyway);
  }

  async #once(scope: Scope, key: string, event: BeforeToolCall, runsAnyway: () => boolean): Promise<Claimed> {
    const claimId = randomUUID();
    const claim = () => this.#engine.claim(scope, event.toolName, masked(event.params), key, claimId);
    try {
      return await claim();
    } catch (error) {
      if (!runsAnyway() && !refused(error)) void this.#releaseLater(claim);
      throw error;
    }
  }

  async #releaseLater(claimAgain: () => Promise<Claimed>): Promise<void> {
    for (let tries = 0; tries < RELEASE_TRIES; tries += 1) {
      try {
        const { claim, lease } = await claimAgain();
        if (claim === "execute" && lease !== undefined) await this.release(lease, "the engine did not answer");
        return;
      } catch {
        // The engine is still down.
      }
    }
  }

  /** Releases the lease of a call that does not run. */
  async release(lease: string, why: string): Promise<void> {
    await this.#engine.finish(lease, "not_executed", { error: `held back: ${why}` });
  }
}
