/** Idempotent work: look first, change only when needed. */

import { withLocation } from '../source-location.js';
import { makeStep, type Step } from '../step.js';
import type { StepContext } from '../types/context.js';

/** Options of `idempotent`. */
export interface IdempotentOptions<D, R = unknown> {
  readonly name?: string;
  /** Finds drift; `null` means in sync. */
  readonly check: () => D | null | Promise<D | null>;
  /** Removes the drift. */
  readonly apply: (drift: D) => R | Promise<R>;
  /** Gives the result when there is no drift. */
  readonly whenInSync?: () => R | Promise<R>;
  /** Describes the drift for the log. */
  readonly summarize?: (drift: D) => string | Promise<string>;
  readonly log?: (message: string) => void;
}

/** What `idempotent` did. */
export type IdempotentResult<D, R> =
  | { readonly outcome: 'skipped'; readonly drift: null; readonly result: R | undefined }
  | { readonly outcome: 'applied'; readonly drift: D; readonly result: R };

/** Applies a change only when the check finds drift. */
export async function idempotent<D, R = unknown>(
  options: IdempotentOptions<D, R>,
): Promise<IdempotentResult<D, R>> {
  const { name = 'idempotent', check, apply, whenInSync, summarize, log } = options;
  if (typeof check !== 'function' || typeof apply !== 'function') {
    throw new TypeError(
      `${name}: \`check\` and \`apply\` must be functions; write idempotent({ check: async () => …, apply: async (drift) => { … } })`,
    );
  }
  const drift = await check();
  if (drift === null || drift === undefined) {
    log?.(`${name}: in sync`);
    return { outcome: 'skipped', drift: null, result: await whenInSync?.() };
  }
  log?.(`${name}: ${summarize ? await summarize(drift) : 'drift found'}`);
  return { outcome: 'applied', drift, result: await apply(drift) };
}

/** Options of `idempotentStep`: the same functions with the step's context in front. */
export interface IdempotentStepOptions<D, R = unknown> {
  readonly check: (ctx: StepContext) => D | null | Promise<D | null>;
  readonly apply: (ctx: StepContext, drift: D) => R | Promise<R>;
  readonly whenInSync?: (ctx: StepContext) => R | Promise<R>;
  readonly summarize?: (drift: D) => string | Promise<string>;
}

/** A plain step around `idempotent`; check mode does not know it, `checkStep` makes one that it does. */
export function idempotentStep<const N extends string, D, R = unknown>(
  name: N,
  options: IdempotentStepOptions<D, R>,
): Step<IdempotentResult<D, R>, N> {
  const { check, apply, whenInSync, summarize } = options;
  const run = (ctx: StepContext): Promise<IdempotentResult<D, R>> =>
    idempotent<D, R>({
      name,
      check: () => check(ctx),
      apply: (drift) => apply(ctx, drift),
      log: (message) => ctx.log.info(message),
      ...(whenInSync ? { whenInSync: () => whenInSync(ctx) } : {}),
      ...(summarize ? { summarize } : {}),
    });
  return withLocation(makeStep(name, run, 'idempotentStep')) as Step<IdempotentResult<D, R>, N>;
}
