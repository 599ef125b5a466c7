/** Frames between the guest and its engine: one JSON object each (`docs/design/engine.md`). */

/** How a call's first argument is built. */
export type CallKind = 'step' | 'hook' | 'rule' | 'generator' | 'matrix' | 'plain';

/** An error of the host. */
export interface HostErrorData {
  readonly name: string;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Host → guest. */
export type ToGuest =
  | {
      readonly type: 'load';
      readonly entry: string;
      readonly root: string;
      readonly mode: 'describe' | 'run';
      readonly state?: unknown;
    }
  | {
      readonly type: 'call';
      readonly call: number;
      readonly fn: number;
      readonly kind: CallKind;
      readonly data?: unknown;
      readonly args?: readonly unknown[];
    }
  | { readonly type: 'abort'; readonly call: number; readonly reason?: string }
  | {
      readonly type: 'reply';
      readonly request: number;
      readonly ok?: unknown;
      readonly error?: HostErrorData;
    }
  | { readonly type: 'push'; readonly request: number; readonly data: unknown };

/** An error of the author's code as the host gets it. */
export interface ThrownData {
  name: string;
  message: string;
  stack?: string;
  exitCode?: number;
  signal?: string;
  handle?: number;
}

/** Guest → host. */
export type FromGuest =
  | { readonly type: 'ready' }
  | { readonly type: 'loaded'; readonly description: unknown }
  | { readonly type: 'failed'; readonly error: ThrownData }
  | { readonly type: 'returned'; readonly call: number; readonly value?: unknown }
  | { readonly type: 'threw'; readonly call: number; readonly error: ThrownData }
  | {
      readonly type: 'request';
      readonly call: number;
      readonly request: number;
      readonly method: string;
      readonly params: unknown;
    }
  | { readonly type: 'notify'; readonly call: number; readonly method: string; readonly params: unknown };

/** What the engine gives to the guest. */
export interface EngineHost {
  send(json: string): void;
  /** The call that is running (embedded engine). */
  context?: number;
}

/** Keeps track of which call runs, where the engine can (Node's `AsyncLocalStorage`). */
export interface AsyncCalls {
  run<T>(call: number, fn: () => T): T;
  current(): number | undefined;
}

/** Globals that connect guest and engine. */
export interface GuestGlobals {
  __kiciHost?: EngineHost;
  __kiciGuest?: { receive(json: string): void };
  __kiciAsync?: AsyncCalls;
}

/** The global object, as the guest uses it. */
export const globals = globalThis as typeof globalThis & GuestGlobals;
