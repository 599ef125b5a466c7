/** `checkStep()`: a step that knows check mode. */

import { withLocation } from '../source-location.js';
import { makeStep, type Returned, type Step, type StepBaseOptions } from '../step.js';
import type { StepContext } from '../types/context.js';

/** Options of `checkStep`. */
export interface CheckStepOptions<D, R> extends Omit<StepBaseOptions, 'onCancel' | 'cleanup'> {
  /** Finds drift; `null` means in sync. */
  readonly check: (ctx: StepContext) => D | null | Promise<D | null>;
  /** Removes the drift. */
  readonly apply: (ctx: StepContext, drift: NoInfer<D>) => R | Promise<R>;
  /** Describes the drift in Markdown. */
  readonly summarize: (drift: NoInfer<D>) => string | Promise<string>;
  /** Gives the outputs when there is no drift. */
  readonly whenInSync?: (ctx: StepContext) => R | Promise<R>;
}

/** Checks, and applies when there is drift; in check mode it only reports. */
export function checkStep<const N extends string, D, R>(
  name: N,
  options: CheckStepOptions<D, R>,
): Step<Returned<Awaited<R>>, N> {
  const { apply, ...rest } = options;
  if (typeof apply !== 'function') {
    throw new TypeError(
      `checkStep '${name}': \`apply\` must be a function; write apply: async (ctx, drift) => { … }`,
    );
  }
  if (typeof rest.check !== 'function') {
    throw new TypeError(
      `checkStep '${name}': \`check\` must be a function; write check: async (ctx) => null when nothing has to change`,
    );
  }
  return withLocation(makeStep(name, { ...rest, run: apply }, 'checkStep')) as Step<Returned<Awaited<R>>, N>;
}
