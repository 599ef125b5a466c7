/**
 * Which call the running code belongs to: `console` and `process.stdout` have no context of their own.
 *
 * Node knows (`AsyncLocalStorage`, installed by `node-main`). The embedded engine does not, so the guest
 * follows what starts code there: frames of the host and timers. Code that continues after something else
 * (a file that was read, say) is counted to the call that ran last, which is right unless steps run in
 * parallel.
 */

import { globals } from './frames.js';

/** Follows calls. 0 is "outside a call". */
export class CurrentCall {
  readonly #active = new Set<number>();
  #last = 0;

  /** Runs the beginning of a call. */
  start<T>(call: number, fn: () => T): T {
    this.#active.add(call);
    this.#last = call;
    return globals.__kiciAsync ? globals.__kiciAsync.run(call, fn) : fn();
  }

  /** The call is over. */
  end(call: number): void {
    this.#active.delete(call);
  }

  /** Code of this call continues. */
  resume(call: number | undefined): void {
    if (call !== undefined) this.#last = call;
  }

  /** The call that is running. */
  get(): number {
    const known = globals.__kiciAsync?.current();
    if (known !== undefined) return known;
    if (this.#active.has(this.#last)) return this.#last;
    const [only] = this.#active;
    return this.#active.size === 1 && only !== undefined ? only : 0;
  }

  /** Makes timers remember the call that set them; not needed in Node. */
  followTimers(): void {
    if (globals.__kiciAsync) return;
    const target = globalThis as unknown as Record<string, unknown>;
    for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
      const original = target[name];
      if (typeof original !== 'function') continue;
      const follow = (fn: unknown, ...rest: unknown[]): unknown => {
        if (typeof fn !== 'function') return (original as (...args: unknown[]) => unknown)(fn, ...rest);
        const call = this.get();
        const wrapped = (...args: unknown[]): unknown => {
          this.resume(call);
          return (fn as (...args: unknown[]) => unknown)(...args);
        };
        return (original as (...args: unknown[]) => unknown)(wrapped, ...rest);
      };
      target[name] = follow;
    }
  }
}
