/** One running call: its number, its signal, and what has to be done before it may end. */

import type { Aborter } from './abort.js';
import { createAborter } from './abort.js';
import type { Environment } from './environment.js';
import type { HostLink } from './host-link.js';

/** A call of one of the author's functions. */
export class Call {
  readonly aborter: Aborter = createAborter();
  /** Changes that the host has not confirmed. */
  #pending: Promise<unknown>[] = [];

  constructor(
    readonly id: number,
    readonly link: HostLink,
    readonly environment: Environment,
  ) {}

  /** Asks the host in this call's name. */
  ask(method: string, params: object | null): Promise<unknown> {
    return this.link.request(this.id, method, params).answer;
  }

  /** Asks for something whose answer only matters before the next command and at the end. */
  askLater(method: string, params: object | null): void {
    this.#pending.push(this.ask(method, params));
  }

  /** Sends what the author changed in `process.env` and waits until the host knows all changes. */
  async settle(): Promise<void> {
    for (const [key, value] of this.environment.takeChanges()) this.askLater('env.set', { key, value });
    while (this.#pending.length > 0) {
      const pending = this.#pending;
      this.#pending = [];
      await Promise.all(pending);
    }
  }

  /** Fires the call's signal. */
  abort(reason: string): void {
    const error = new Error(reason);
    error.name = 'AbortError';
    this.aborter.abort(error);
  }
}
