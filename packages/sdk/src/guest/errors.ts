/** Thrown values as the host gets them, and back again by handle. */

import { isObject } from '../tags.js';
import type { ThrownData } from './frames.js';

/** How many thrown values are kept for later calls (`retryIf`). */
const KEPT = 64;

/** Remembers what was thrown. */
export class ErrorTable {
  readonly #kept = new Map<number, unknown>();
  #next = 1;

  /** Describes a thrown value and keeps it. */
  describe(thrown: unknown): ThrownData {
    const handle = this.#next++;
    this.#kept.set(handle, thrown);
    if (this.#kept.size > KEPT) this.#kept.delete(handle - KEPT);
    return { ...describeThrown(thrown), handle };
  }

  /** Puts kept values in place of `{"$error": n}`, and `undefined` in place of `{"$undefined": true}`. */
  revive(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.revive(item));
    if (!isObject(value)) return value;
    if (typeof value.$error === 'number') {
      return this.#kept.get(value.$error) ?? new Error('the original error is no longer known');
    }
    if (value.$undefined === true) return undefined;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.revive(item)]));
  }
}

function describeThrown(thrown: unknown): ThrownData {
  if (!isErrorLike(thrown)) return { name: 'NonError', message: textOf(thrown) };
  const data: ThrownData = {
    name: typeof thrown.name === 'string' && thrown.name !== '' ? thrown.name : 'Error',
    message: withCauses(thrown),
  };
  if (typeof thrown.stack === 'string' && thrown.stack !== '') data.stack = thrown.stack;
  if (typeof thrown.exitCode === 'number') data.exitCode = thrown.exitCode;
  if (typeof thrown.signal === 'string') data.signal = thrown.signal;
  return data;
}

interface ErrorLike {
  readonly name?: unknown;
  readonly message: string;
  readonly stack?: unknown;
  readonly exitCode?: unknown;
  readonly signal?: unknown;
  readonly cause?: unknown;
}

/** Errors of other realms and libraries count as well. */
function isErrorLike(value: unknown): value is ErrorLike {
  return (
    isObject(value) &&
    typeof value.message === 'string' &&
    (value instanceof Error || 'stack' in value || 'name' in value)
  );
}

/** The message with the messages of its causes; `fetch failed` alone helps nobody. */
function withCauses(error: ErrorLike): string {
  let message = error.message;
  let cause = error.cause;
  for (let depth = 0; depth < 5 && cause !== undefined && cause !== null; depth++) {
    const text = isErrorLike(cause) ? cause.message : textOf(cause);
    if (text !== '' && !message.includes(text)) message += `: ${text}`;
    cause = isErrorLike(cause) ? cause.cause : undefined;
  }
  return message;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || typeof value === 'symbol' || typeof value === 'function') return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
