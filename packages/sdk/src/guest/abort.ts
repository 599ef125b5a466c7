/** `AbortController`, with a small one of our own for engines that have none. */

import type { AbortSignalLike } from '../types/globals.js';

/** What the guest needs of a controller. */
export interface Aborter {
  readonly signal: AbortSignalLike;
  abort(reason: unknown): void;
}

/** A new controller. */
export function createAborter(): Aborter {
  return typeof AbortController === 'function' ? new AbortController() : new OwnAborter();
}

class OwnSignal {
  aborted = false;
  reason: unknown;
  onabort: (() => void) | null = null;
  readonly #listeners = new Set<() => void>();

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  fire(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.onabort?.();
    for (const listener of [...this.#listeners]) listener();
  }
}

class OwnAborter implements Aborter {
  readonly #signal = new OwnSignal();

  get signal(): AbortSignalLike {
    return this.#signal as unknown as AbortSignalLike;
  }

  abort(reason: unknown): void {
    this.#signal.fire(reason);
  }
}
