/** `parallel()`: steps that run at the same time. */

import { withLocation } from './source-location.js';
import type { BareStep, Step } from './step.js';
import { defined, hasTag } from './tags.js';

/** How a group runs. */
export interface ParallelOptions {
  /** Stop siblings on the first hard failure; default true. */
  readonly failFast?: boolean;
  /** How many run at once; default all. */
  readonly maxParallel?: number;
  readonly name?: string;
}

/** A group of steps. */
export interface ParallelGroup<S extends readonly (Step | BareStep)[] = readonly (Step | BareStep)[]> {
  readonly _tag: 'ParallelGroup';
  readonly name?: string;
  readonly failFast: boolean;
  readonly maxParallel?: number;
  readonly steps: S;
}

/** Whether `value` was made by `parallel`. */
export function isParallelGroup(value: unknown): value is ParallelGroup {
  return hasTag(value, 'ParallelGroup');
}

/** Runs steps at the same time and waits for all of them. */
export function parallel<const S extends readonly (Step | BareStep)[]>(
  steps: S,
  options: ParallelOptions = {},
): ParallelGroup<S> {
  const { name, failFast = true, maxParallel } = options;
  const owner = name === undefined ? 'parallel' : `parallel '${name}'`;
  if (!Array.isArray(steps) || steps.length === 0) {
    throw new TypeError(`${owner}: the group is empty; write parallel([step('a', …), step('b', …)])`);
  }
  const names = new Set<string>();
  for (const child of steps as readonly unknown[]) {
    if (isParallelGroup(child)) {
      throw new TypeError(`${owner}: groups cannot be nested; put all steps into one parallel([…])`);
    }
    if (typeof child !== 'function' && !hasTag(child, 'Step')) {
      throw new TypeError(
        `${owner}: every element must be a step or a function; write parallel([step('a', …), async (ctx) => { … }])`,
      );
    }
    const childName = typeof child === 'function' ? '' : (child as Step).name;
    if (childName !== '' && names.has(childName)) {
      throw new TypeError(
        `${owner}: two steps are named '${childName}'; give each step of a group its own name`,
      );
    }
    names.add(childName);
  }
  if (maxParallel !== undefined && (!Number.isInteger(maxParallel) || maxParallel < 0)) {
    throw new TypeError(
      `${owner}: \`maxParallel\` must be a whole number, 0 for no limit; got ${String(maxParallel)}`,
    );
  }
  return withLocation(defined({ _tag: 'ParallelGroup' as const, name, failFast, maxParallel, steps }));
}

/** Steps and bare functions in order, the children of groups in place of their group. */
export function flattenStepInputs(steps: readonly (Step | BareStep | ParallelGroup)[]): (Step | BareStep)[] {
  return steps.flatMap((entry) => (isParallelGroup(entry) ? [...entry.steps] : [entry]));
}
