/** `job()`: steps on one agent and one workspace. */

import { type Approval, normalizeApproval } from './approval.js';
import type { CacheSpec } from './cache.js';
import type { EventEnvelope } from './event.js';
import { type Hook, type HookType, checkHook } from './hooks.js';
import { checkInit, type Init } from './init.js';
import type { Matrix, MatrixCombination } from './matrix.js';
import type { Need } from './needs.js';
import { jobResult } from './outputs.js';
import { type ParallelGroup, isParallelGroup } from './parallel.js';
import { randomId } from './random-id.js';
import type { Rule } from './rules.js';
import { withLocation } from './source-location.js';
import type { BareStep, Returned, Step } from './step.js';
import { defined, hasTag, isObject } from './tags.js';
import type { StepContext } from './types/context.js';
import type { RunsOn, RunsOnAll } from './types/selectors.js';

/** A value, or a function of the event. */
export type OfEvent<T> = T | ((event: EventEnvelope) => T | Promise<T>);

/** CPU and memory, e.g. `{ cpus: 2, memory: '4g' }`. */
export interface ResourceAmount {
  readonly cpus?: number;
  readonly memory?: string;
}

/** An element of `steps`. */
export type StepInput = Step | BareStep | ParallelGroup;

/** Options that do not exclude each other. */
export interface JobBaseOptions {
  readonly needs?: readonly Need[];
  readonly matrix?: Matrix;
  readonly include?: readonly MatrixCombination[];
  readonly exclude?: readonly MatrixCombination[];
  /** How many children of a fan-out run at once. */
  readonly maxParallel?: number;
  /** Stop the other children on the first failure. */
  readonly failFast?: boolean;
  readonly rules?: readonly Rule[];
  readonly description?: string;
  /** `false`: no clone. */
  readonly checkout?: boolean;
  /** All steps run in this container. */
  readonly container?: string | { readonly image: string; readonly env?: Readonly<Record<string, string>> };
  readonly env?: OfEvent<Readonly<Record<string, string>>>;
  readonly concurrencyGroup?: OfEvent<string>;
  readonly onCancel?: Hook;
  readonly cleanup?: Hook;
  readonly onSuccess?: Hook;
  readonly onFailure?: Hook;
  readonly beforeStep?: Hook;
  readonly afterStep?: Hook;
  /** Seconds between TERM and KILL on cancel; default 30. */
  readonly gracePeriod?: number;
  /** Milliseconds for the whole job. */
  readonly timeout?: number;
  readonly resources?: { readonly requests?: ResourceAmount; readonly limits?: ResourceAmount };
  readonly init?: Init;
  readonly cache?: CacheSpec | readonly CacheSpec[];
  readonly approval?: Approval;
}

/** Where it runs: one agent, or every matching host. */
export type Placement =
  | {
      readonly runsOn: RunsOn;
      readonly runsOnAll?: never;
      readonly onUnreachable?: never;
      readonly includeUninitialized?: never;
    }
  | {
      readonly runsOn?: never;
      readonly runsOnAll: RunsOnAll;
      /** What to do about absent durable hosts; default `hold`. */
      readonly onUnreachable?: 'hold' | 'skip' | 'fail';
      /** Also bring up hosts without an agent, over SSH. */
      readonly includeUninitialized?: boolean;
    };

/** Environments: one or several, later ones override earlier ones. */
export type Environments =
  | { readonly environment?: OfEvent<string>; readonly environments?: never }
  | { readonly environment?: never; readonly environments?: readonly OfEvent<string>[] };

/** Everything but what the job does. */
export type JobOptionsWithoutWork = JobBaseOptions & Placement & Environments;
/** A job of one function. */
export type RunJobOptions<R> = JobOptionsWithoutWork & {
  readonly run: (ctx: StepContext) => R | Promise<R>;
  readonly steps?: readonly never[];
};
/** A job of steps. */
export type StepsJobOptions<S extends readonly StepInput[]> = JobOptionsWithoutWork & {
  readonly steps: S;
  readonly run?: never;
};

/** Outputs of a job of one function: its fields, and the same under `step-1`. */
export type RunJobResult<R> = Returned<R> & { readonly 'step-1': Returned<R> };

type Flat<E> = E extends { readonly _tag: 'ParallelGroup'; readonly steps: readonly (infer C)[] } ? C : E;
type NameOf<E> = E extends Step<unknown, infer N> ? N : never;
type NamedOutputs<E> = {
  readonly [S in E as NameOf<S> extends '' ? never : NameOf<S>]: S extends Step<infer R> ? R : never;
};
/** Outputs of a job of steps: step name → outputs. */
export type StepsJobResult<S extends readonly StepInput[]> =
  string extends NameOf<Flat<S[number]>>
    ? Readonly<Record<string, Readonly<Record<string, unknown>>>>
    : NamedOutputs<Extract<Flat<S[number]>, Step>>;

/** A job. */
export interface Job<out R = unknown> {
  readonly _tag: 'Job';
  /** A random id when the author gave none. */
  readonly name: string;
  readonly steps: readonly StepInput[];
  /** Outputs, for jobs that `need` this one. */
  readonly result: R;
}

/** A job of any kind. */
export type AnyJob = Job;

const HOOKS: readonly HookType[] = [
  'onCancel',
  'cleanup',
  'onSuccess',
  'onFailure',
  'beforeStep',
  'afterStep',
];

export function job<R>(name: string, options: RunJobOptions<R>): Job<RunJobResult<Awaited<R>>>;
export function job<R>(options: RunJobOptions<R>): Job<RunJobResult<Awaited<R>>>;
export function job<const S extends readonly StepInput[]>(
  name: string,
  options: StepsJobOptions<S>,
): Job<StepsJobResult<S>>;
export function job<const S extends readonly StepInput[]>(
  options: StepsJobOptions<S>,
): Job<StepsJobResult<S>>;
/** Makes a job: `job('name', options)`, or `job(options)` for one that is only referred to by its value. */
export function job(nameOrOptions: unknown, maybeOptions?: unknown): Job {
  const named = typeof nameOrOptions === 'string';
  const owner = named ? `job '${nameOrOptions}'` : 'job';
  const options = named ? maybeOptions : nameOrOptions;
  if (!isObject(options)) {
    throw new TypeError(
      `${owner}: the options are missing; write job('name', { runsOn: 'linux', run: async (ctx) => { … } })`,
    );
  }
  const name = named ? nameOrOptions : randomId();
  checkPlacement(owner, options);
  const { run, steps, ...rest } = options;
  const made = defined({ _tag: 'Job' as const, name, ...rest, steps: stepsOf(owner, run, steps) }) as object;
  checkOptions(owner, options);
  Object.defineProperty(made, 'result', { value: jobResult(name), enumerable: true });
  return withLocation(made) as Job;
}

function checkPlacement(owner: string, options: Record<PropertyKey, unknown>): void {
  const { runsOn, runsOnAll, environment, environments } = options;
  if (runsOn === undefined && runsOnAll === undefined) {
    throw new TypeError(
      `${owner}: it does not say where it runs; write runsOn: 'linux' for one agent or runsOnAll: 'role:web' for every matching host`,
    );
  }
  if (runsOn !== undefined && runsOnAll !== undefined) {
    throw new TypeError(
      `${owner}: \`runsOn\` and \`runsOnAll\` exclude each other; keep runsOn for one agent or runsOnAll for every matching host`,
    );
  }
  if (environment !== undefined && environments !== undefined) {
    throw new TypeError(
      `${owner}: \`environment\` and \`environments\` exclude each other; write environments: ['a', 'b'] for several`,
    );
  }
}

function stepsOf(owner: string, run: unknown, steps: unknown): readonly unknown[] {
  if (steps !== undefined && !Array.isArray(steps)) {
    throw new TypeError(
      `${owner}: \`steps\` must be a list; write steps: [step('name', async (ctx) => { … })]`,
    );
  }
  if (run !== undefined) {
    if (steps !== undefined && steps.length > 0) {
      throw new TypeError(
        `${owner}: \`run\` and \`steps\` exclude each other; make the function of \`run\` an element of \`steps\``,
      );
    }
    if (typeof run !== 'function') {
      throw new TypeError(`${owner}: \`run\` must be a function; write run: async (ctx) => { … }`);
    }
    return [run];
  }
  (steps ?? []).forEach((entry: unknown, index: number) => {
    if (typeof entry === 'function' || hasTag(entry, 'Step') || isParallelGroup(entry)) return;
    throw new TypeError(
      `${owner}: steps[${index}] is no step; write step('name', async (ctx) => { … }), parallel([…]) or a function`,
    );
  });
  return [...((steps ?? []) as readonly unknown[])];
}

function checkOptions(owner: string, options: Record<PropertyKey, unknown>): void {
  if (options.needs !== undefined && !Array.isArray(options.needs)) {
    throw new TypeError(`${owner}: \`needs\` must be a list; write needs: [otherJob] or needs: ['other']`);
  }
  if (options.maxParallel !== undefined && !(Number(options.maxParallel) >= 1)) {
    throw new TypeError(`${owner}: \`maxParallel\` must be at least 1; got ${String(options.maxParallel)}`);
  }
  if (options.init !== undefined) checkInit(owner, options.init);
  if (options.approval !== undefined) checkApproval(owner, options.approval);
  for (const type of HOOKS) if (options[type] !== undefined) checkHook(owner, type, options[type]);
}

/** Drift is found by checked steps, so only they can wait for it. */
export function checkApproval(owner: string, approval: unknown): void {
  if (normalizeApproval(approval as Approval).when === 'drift') {
    throw new TypeError(
      `${owner}: \`approval.when: 'drift'\` is for steps with \`check\`; drop \`when\`, or move the approval to the step`,
    );
  }
}
