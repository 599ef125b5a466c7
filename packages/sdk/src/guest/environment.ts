/**
 * Keeps `process.env` of the author's code and the job's environment in the host the same.
 *
 * The host tells what changed since the last call (`data.env`); the author changes variables through
 * `ctx.setEnv`, `ctx.addPath` or `process.env` itself. Commands of `ctx.$` get the host's environment, so
 * what the author changed is sent before the next command and at the end of the call.
 */

import type { Env } from '../types/context.js';

/** A changed variable; `null` is one that was removed. */
export type Change = readonly [key: string, value: string | null];

/** Follows `process.env`. */
export class Environment {
  readonly #live: Env;
  readonly #known = new Map<string, string>();

  constructor() {
    const target = globalThis as unknown as { process?: { env?: Env } };
    target.process ??= {};
    target.process.env ??= {};
    this.#live = target.process.env;
    for (const [key, value] of Object.entries(this.#live))
      if (value !== undefined) this.#known.set(key, String(value));
  }

  /** The live variables. */
  get live(): Env {
    return this.#live;
  }

  /** Takes over what the host says. */
  apply(changes: unknown): void {
    if (typeof changes !== 'object' || changes === null) return;
    for (const [key, value] of Object.entries(changes as Record<string, unknown>)) {
      this.set(key, value === null ? null : String(value));
    }
  }

  /** Sets a variable that the host knows about already. */
  set(key: string, value: string | null): void {
    if (value === null) {
      delete this.#live[key];
      this.#known.delete(key);
    } else {
      this.#live[key] = value;
      this.#known.set(key, value);
    }
  }

  /** Puts a directory in front of `PATH`. */
  prependPath(dir: string): void {
    const key = Object.keys(this.#live).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
    const windows =
      (globalThis as unknown as { process?: { platform?: string } }).process?.platform === 'win32';
    const rest = this.#live[key];
    this.set(key, rest ? `${dir}${windows ? ';' : ':'}${rest}` : dir);
  }

  /** What the author changed in `process.env` since the last time. */
  takeChanges(): Change[] {
    const changes: Change[] = [];
    const current = Object.entries(this.#live);
    for (const [key, value] of current) {
      if (value !== undefined && this.#known.get(key) !== String(value)) changes.push([key, String(value)]);
    }
    for (const key of this.#known.keys()) if (this.#live[key] === undefined) changes.push([key, null]);
    for (const [key, value] of changes) {
      if (value === null) this.#known.delete(key);
      else this.#known.set(key, value);
    }
    return changes;
  }
}
