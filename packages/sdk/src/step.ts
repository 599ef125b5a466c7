/** `step()`: one thing that a job does. */

import type { z } from 'zod';
import { type Approval, type StepApproval, normalizeApproval } from './approval.js';
import type { CacheSpec } from './cache.js';
import { type Hook, checkHook } from './hooks.js';
import { stepResult } from './outputs.js';
import type { Rule } from './rules.js';
import { withLocation } from './source-location.js';
import { defined, isObject } from './tags.js';
import type { StepContext } from './types/context.js';

/** `outputs` of a step: a zod schema for each. */
export type OutputSchemas = Readonly<Record<string, z.ZodType>>;
type MayBeAbsent<S> = undefined extends z.output<S> ? true : false;
type Flattened<T> = { [K in keyof T]: T[K] };
/** The outputs that schemas describe. */
export type OutputsOf<S extends OutputSchemas> = Flattened<
  { [K in keyof S as MayBeAbsent<S[K]> extends true ? never : K]: z.output<S[K]> } & {
    [K in keyof S as MayBeAbsent<S[K]> extends true ? K : never]?: z.output<S[K]>;
  }
>;
/** What a function returns, awaited; nothing becomes an empty object. */
export type Returned<R> = [R] extends [undefined | null | void] ? Record<never, never> : R;

/** When and how often a failing step is tried again. */
export interface RetryOptions {
  /** Attempts in all. */
  readonly maxAttempts: number;
  /** Wait before the second attempt, ms; default 1000. */
  readonly delayMs?: number;
  /** Default `exponential`. */
  readonly backoff?: 'exponential' | 'fixed';
  /** Longest wait, ms; default 30000. */
  readonly maxDelayMs?: number;
  /** Whether the error is worth another attempt. */
  readonly retryIf?: (error: unknown) => boolean | Promise<boolean>;
}

/** `retry` with its defaults filled in. */
export interface NormalizedRetry {
  readonly maxAttempts: number;
  readonly delayMs: number;
  readonly backoff: 'exponential' | 'fixed';
  readonly maxDelayMs: number;
  readonly retryIf?: RetryOptions['retryIf'];
}

/** Options that every kind of step has. */
export interface StepBaseOptions {
  /** A failure does not stop the job. */
  readonly continueOnError?: boolean;
  /** Milliseconds per attempt; default 30 minutes. */
  readonly timeout?: number;
  /** Attempts in all, or the long form. */
  readonly retry?: number | RetryOptions;
  readonly cache?: CacheSpec | readonly CacheSpec[];
  readonly rules?: readonly Rule[];
  readonly onCancel?: Hook;
  readonly cleanup?: Hook;
}

/** A step that just runs. */
export interface PlainStepOptions<R> extends StepBaseOptions {
  readonly run: (ctx: StepContext) => R | Promise<R>;
  readonly approval?: Approval;
  readonly check?: never;
  readonly summarize?: never;
  readonly drift?: never;
  readonly whenInSync?: never;
}

/** A step that finds drift first and runs only when there is some. */
export interface CheckedStepOptions<R, D> extends StepBaseOptions {
  /** Finds drift; `null` means in sync. */
  readonly check: (ctx: StepContext) => D | null | Promise<D | null>;
  /** Describes drift in Markdown. */
  readonly summarize: (drift: NoInfer<D>) => string | Promise<string>;
  /** Schema of the drift. */
  readonly drift?: z.ZodType<D>;
  readonly run: (ctx: StepContext, drift: NoInfer<D>) => R | Promise<R>;
  /** Gives the outputs when there is no drift. */
  readonly whenInSync?: (ctx: StepContext) => R | Promise<R>;
  readonly approval?: StepApproval;
}

/** With `outputs`, what `run` returns has to fit. */
export type WithOutputs<S extends OutputSchemas> = { readonly outputs: S };
/** Without `outputs`, the type of what `run` returns is the type of the outputs. */
export type WithoutOutputs = { readonly outputs?: never };

/** A step. */
export interface Step<out R = unknown, out N extends string = string> {
  readonly _tag: 'Step';
  readonly name: N;
  readonly run: (ctx: StepContext, drift: never) => unknown;
  readonly outputs?: OutputSchemas;
  readonly check?: (ctx: StepContext) => unknown;
  readonly summarize?: (drift: never) => unknown;
  readonly drift?: z.ZodType;
  readonly whenInSync?: (ctx: StepContext) => unknown;
  readonly continueOnError?: boolean;
  readonly timeout?: number;
  readonly retry?: NormalizedRetry;
  readonly cache?: CacheSpec | readonly CacheSpec[];
  readonly rules?: readonly Rule[];
  readonly onCancel?: Hook;
  readonly cleanup?: Hook;
  readonly approval?: StepApproval;
  /** The step's outputs, once it has run. */
  readonly result: R;
}

/** A bare function in `steps`. */
export type BareStep = (ctx: StepContext) => unknown;

export function step<const N extends string, R>(
  name: N,
  run: (ctx: StepContext) => R | Promise<R>,
): Step<Returned<Awaited<R>>, N>;
export function step<R>(run: (ctx: StepContext) => R | Promise<R>): Step<Returned<Awaited<R>>, ''>;
export function step<const N extends string, const S extends OutputSchemas>(
  name: N,
  options: WithOutputs<S> & PlainStepOptions<NoInfer<OutputsOf<S>>>,
): Step<OutputsOf<S>, N>;
export function step<const S extends OutputSchemas>(
  options: WithOutputs<S> & PlainStepOptions<NoInfer<OutputsOf<S>>>,
): Step<OutputsOf<S>, ''>;
export function step<const N extends string, const S extends OutputSchemas, D>(
  name: N,
  options: WithOutputs<S> & CheckedStepOptions<NoInfer<OutputsOf<S>>, D>,
): Step<OutputsOf<S>, N>;
export function step<const S extends OutputSchemas, D>(
  options: WithOutputs<S> & CheckedStepOptions<NoInfer<OutputsOf<S>>, D>,
): Step<OutputsOf<S>, ''>;
export function step<const N extends string, R>(
  name: N,
  options: WithoutOutputs & PlainStepOptions<R>,
): Step<Returned<Awaited<R>>, N>;
export function step<R>(options: WithoutOutputs & PlainStepOptions<R>): Step<Returned<Awaited<R>>, ''>;
export function step<const N extends string, R, D>(
  name: N,
  options: WithoutOutputs & CheckedStepOptions<R, D>,
): Step<Returned<Awaited<R>>, N>;
export function step<R, D>(
  options: WithoutOutputs & CheckedStepOptions<R, D>,
): Step<Returned<Awaited<R>>, ''>;
/** Makes a step: `step('name', fn)`, `step(fn)`, `step('name', options)` or `step(options)`. */
export function step(nameOrRun: unknown, runOrOptions?: unknown): Step {
  const named = typeof nameOrRun === 'string';
  return withLocation(makeStep(named ? nameOrRun : '', named ? runOrOptions : nameOrRun, 'step'));
}

/** What `step()` does, for the helper factories as well; `factory` names the caller in errors. */
export function makeStep(name: string, runOrOptions: unknown, factory: string): Step {
  const owner = name === '' ? factory : `${factory} '${name}'`;
  const options = typeof runOrOptions === 'function' ? { run: runOrOptions } : runOrOptions;
  if (!isObject(options)) {
    throw new TypeError(
      `${owner}: it has nothing to run; write ${factory}('${name || 'name'}', async (ctx) => { … })`,
    );
  }
  checkStepOptions(owner, options);
  const { retry, ...rest } = options as unknown as PlainStepOptions<unknown>;
  const made = defined({
    _tag: 'Step' as const,
    name,
    ...rest,
    retry: normalizeRetry(owner, retry),
  }) as object;
  return Object.defineProperty(made, 'result', { value: stepResult(made), enumerable: true }) as Step;
}

function checkStepOptions(owner: string, options: Record<PropertyKey, unknown>): void {
  if (typeof options.run !== 'function') {
    throw new TypeError(`${owner}: \`run\` must be a function; write run: async (ctx) => { … }`);
  }
  for (const key of ['check', 'summarize', 'whenInSync'] as const) {
    if (options[key] !== undefined && typeof options[key] !== 'function') {
      throw new TypeError(`${owner}: \`${key}\` must be a function; write ${key}: async (ctx) => …`);
    }
  }
  if (options.check !== undefined && options.summarize === undefined) {
    throw new TypeError(
      `${owner}: \`check\` needs \`summarize\`, which describes the drift to people; add summarize: (drift) => '…'`,
    );
  }
  if (options.approval !== undefined) {
    const { when } = normalizeApproval(options.approval as StepApproval);
    if (when === 'drift' && options.check === undefined) {
      throw new TypeError(
        `${owner}: \`approval.when: 'drift'\` needs \`check\`, which finds the drift; add check and summarize, or drop \`when\``,
      );
    }
  }
  for (const type of ['onCancel', 'cleanup'] as const) {
    if (options[type] !== undefined) checkHook(owner, type, options[type]);
  }
}

/** Fills in the defaults of `retry`. */
export function normalizeRetry(owner: string, retry: unknown): NormalizedRetry | undefined {
  if (retry === undefined) return undefined;
  const options = (typeof retry === 'number' ? { maxAttempts: retry } : retry) as RetryOptions;
  if (!isObject(options) || !Number.isInteger(options.maxAttempts) || options.maxAttempts < 1) {
    throw new TypeError(
      `${owner}: \`retry\` must say how many attempts there are; write retry: 3 or retry: { maxAttempts: 3 }`,
    );
  }
  const { maxAttempts, delayMs = 1000, backoff = 'exponential', maxDelayMs = 30000, retryIf } = options;
  return defined({ maxAttempts, delayMs, backoff, maxDelayMs, retryIf });
}
