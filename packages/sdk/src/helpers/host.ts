/** Steps for the life of a host: wait until it is there, restart it. */

import { withLocation } from '../source-location.js';
import { makeStep, type Step } from '../step.js';
import type { StepContext } from '../types/context.js';
import { waitFor, type WaitForResult, type WaitTiming } from './wait-for.js';

/** Says whether the host is there. */
export type HostProbe = (ctx: StepContext) => boolean | Promise<boolean>;

/** A step that waits until `probe` says that the host is there. */
export function waitForHostAlive(
  probe: HostProbe,
  options: Pick<WaitTiming, 'name' | 'intervalMs' | 'timeoutMs'> = {},
): Step<WaitForResult<true, undefined>> {
  const { name = 'wait-for-host-alive', intervalMs = 3000, timeoutMs = 300000 } = options;
  if (typeof probe !== 'function') {
    throw new TypeError(
      'waitForHostAlive: the probe must be a function; write waitForHostAlive(async ({ $ }) => (await $`ping -c1 host`.nothrow()).ok)',
    );
  }
  const run = (ctx: StepContext): Promise<WaitForResult<true, undefined>> =>
    waitFor<true>({
      name,
      intervalMs,
      timeoutMs,
      check: async () => ((await probe(ctx)) ? true : null),
      log: (message) => ctx.log.info(message),
    });
  return withLocation(makeStep(name, run, 'waitForHostAlive')) as Step<WaitForResult<true, undefined>>;
}

/** A step that restarts the host it runs on. It must be the last; what follows belongs into another job on that host. */
export function restartHost(
  options: { readonly deadlineMs?: number } = {},
): Step<Record<never, never>, 'restart-host'> {
  const run = (ctx: StepContext): Promise<void> => ctx.kici.host.requestReboot(options);
  return withLocation(makeStep('restart-host', run, 'restartHost')) as Step<
    Record<never, never>,
    'restart-host'
  >;
}
