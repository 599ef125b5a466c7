/** `waitFor()`: asks again and again until something is there. */

import { withLocation } from '../source-location.js';
import { makeStep, type Step } from '../step.js';
import type { StepContext } from '../types/context.js';

/** How often and how long to ask. */
export interface WaitTiming {
  readonly name?: string;
  /** Default 2000. */
  readonly intervalMs?: number;
  /** Default 60000. */
  readonly timeoutMs?: number;
  /** Default 0. */
  readonly initialDelayMs?: number;
}

/** Options of `waitFor`. */
export interface WaitForOptions<T, R = undefined> extends WaitTiming {
  /** `null` means not yet; anything else ends the wait. */
  readonly check: () => T | null | undefined | Promise<T | null | undefined>;
  readonly onSuccess?: (value: T) => R | Promise<R>;
  /** Called instead of throwing `WaitForTimeoutError`. */
  readonly onTimeout?: (info: { readonly elapsedMs: number; readonly attempts: number }) => R | Promise<R>;
  /** An error of `check` counts as "not yet"; default true. */
  readonly swallowErrors?: boolean;
  readonly log?: (message: string) => void;
}

/** What `waitFor` saw. */
export type WaitForResult<T, R> =
  | {
      readonly outcome: 'succeeded';
      readonly value: T;
      readonly elapsedMs: number;
      readonly attempts: number;
      readonly result: R | undefined;
    }
  | {
      readonly outcome: 'timed-out';
      readonly elapsedMs: number;
      readonly attempts: number;
      readonly result: R | undefined;
    };

/** The time is over. */
export class WaitForTimeoutError extends Error {
  readonly stepName: string;
  readonly elapsedMs: number;
  readonly attempts: number;

  constructor(stepName: string, elapsedMs: number, attempts: number) {
    super(`${stepName} timed out after ${elapsedMs}ms (${attempts} attempts)`);
    this.name = 'WaitForTimeoutError';
    this.stepName = stepName;
    this.elapsedMs = elapsedMs;
    this.attempts = attempts;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until `check` gives a value or the time is over. */
export async function waitFor<T, R = undefined>(options: WaitForOptions<T, R>): Promise<WaitForResult<T, R>> {
  const { check, onSuccess, onTimeout, swallowErrors = true, log } = options;
  const { name = 'waitFor', intervalMs = 2000, timeoutMs = 60000, initialDelayMs = 0 } = options;
  if (typeof check !== 'function') {
    throw new TypeError(
      `${name}: \`check\` must be a function; write waitFor({ check: async () => (await isUp()) || null })`,
    );
  }
  const start = Date.now();
  const elapsed = (): number => Date.now() - start;
  if (initialDelayMs > 0) await sleep(initialDelayMs);
  for (let attempts = 1; ; attempts++) {
    try {
      const value = await check();
      if (value !== null && value !== undefined) {
        log?.(`${name}: succeeded after ${elapsed()}ms`);
        const result = await onSuccess?.(value);
        return { outcome: 'succeeded', value, elapsedMs: elapsed(), attempts, result };
      }
    } catch (error) {
      if (!swallowErrors) throw error;
      log?.(`${name}: attempt ${attempts} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (elapsed() + intervalMs > timeoutMs) {
      const left = timeoutMs - elapsed();
      if (left > 0) await sleep(left);
      const elapsedMs = elapsed();
      if (!onTimeout) throw new WaitForTimeoutError(name, elapsedMs, attempts);
      return { outcome: 'timed-out', elapsedMs, attempts, result: await onTimeout({ elapsedMs, attempts }) };
    }
    await sleep(intervalMs);
  }
}

/** Options of `waitForStep`: the same functions with the step's context in front. */
export interface WaitForStepOptions<T, R = undefined> extends Omit<WaitTiming, 'name'> {
  readonly check: (ctx: StepContext) => T | null | undefined | Promise<T | null | undefined>;
  readonly onSuccess?: (ctx: StepContext, value: T) => R | Promise<R>;
  readonly onTimeout?: (
    ctx: StepContext,
    info: { readonly elapsedMs: number; readonly attempts: number },
  ) => R | Promise<R>;
  readonly swallowErrors?: boolean;
}

/** A step that waits. */
export function waitForStep<const N extends string, T, R = undefined>(
  name: N,
  options: WaitForStepOptions<T, R>,
): Step<WaitForResult<T, R>, N> {
  const { check, onSuccess, onTimeout, ...rest } = options;
  const run = (ctx: StepContext): Promise<WaitForResult<T, R>> =>
    waitFor<T, R>({
      ...rest,
      name,
      check: () => check(ctx),
      log: (message) => ctx.log.info(message),
      ...(onSuccess ? { onSuccess: (value: T) => onSuccess(ctx, value) } : {}),
      ...(onTimeout ? { onTimeout: (info) => onTimeout(ctx, info) } : {}),
    });
  return withLocation(makeStep(name, { run, timeout: stepTimeout(options) }, 'waitForStep')) as Step<
    WaitForResult<T, R>,
    N
  >;
}

/** Never shorter than the wait itself: the step's own limit is 30 minutes. */
function stepTimeout({
  timeoutMs = 60000,
  initialDelayMs = 0,
}: Omit<WaitTiming, 'name'>): number | undefined {
  const wanted = timeoutMs + initialDelayMs + 60_000;
  return wanted > 30 * 60_000 ? wanted : undefined;
}
