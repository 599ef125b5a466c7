/**
 * Which call the running code belongs to: `console` has no context of its own.
 *
 * Node knows (`AsyncLocalStorage`, installed by `node-main`). In the embedded engine it is a plain property,
 * `__kiciHost.context`: the engine runs one frame or timer at a time until nothing is left to do, timers
 * restore what it was when they were set, and the guest sets it for each frame (`docs/design/engine.md`).
 */

import { globals } from './frames.js';

/** Outside of any call. */
const NO_CALL = 0;

/** Runs the beginning of a call. */
export function startCall<T>(call: number, fn: () => T): T {
  if (globals.__kiciAsync) return globals.__kiciAsync.run(call, fn);
  resumeCall(call);
  return fn();
}

/** Code of this call continues now. */
export function resumeCall(call: number | undefined): void {
  if (globals.__kiciHost) globals.__kiciHost.context = call ?? NO_CALL;
}

/** The call that is running; 0 is none. */
export function currentCall(): number {
  return globals.__kiciAsync?.current() ?? globals.__kiciHost?.context ?? NO_CALL;
}
