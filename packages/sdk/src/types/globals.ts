/**
 * Web types that the SDK mentions, taken from the editor's `lib.dom` or `@types/node` when one is
 * there and written out where none is, so that the declarations need neither.
 */

interface PlainAbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The platform's `AbortSignal`. */
export type AbortSignalLike = typeof globalThis extends { AbortSignal: { prototype: infer T } }
  ? T
  : PlainAbortSignal;
