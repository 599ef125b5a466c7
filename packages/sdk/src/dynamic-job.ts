/** `dynamicJob()`: jobs that are generated when the run starts, or when other jobs are done. */

import type { AnyJob } from './job.js';
import type { Need, NeedsContext } from './needs.js';
import { DYNAMIC_JOB_GROUP, DYNAMIC_JOB_NEEDS } from './tags.js';
import type { GeneratorContext } from './types/context.js';

/** Generates jobs. */
export type JobGenerator = (context: GeneratorContext) => readonly AnyJob[] | Promise<readonly AnyJob[]>;

/** What a generator with needs gets. */
export interface ResultAwareGeneratorContext extends GeneratorContext {
  readonly ctx: GeneratorContext['ctx'] & { readonly needs: NeedsContext };
}

/** A generator that runs when its needs are done. */
export interface ResultAwareOptions {
  readonly needs: readonly Need[];
  readonly generate: (context: ResultAwareGeneratorContext) => readonly AnyJob[] | Promise<readonly AnyJob[]>;
}

/** A generator with the group and needs it was declared with; only the runner calls it. */
export interface DynamicJob {
  readonly [DYNAMIC_JOB_GROUP]: string;
  readonly [DYNAMIC_JOB_NEEDS]?: readonly Need[];
}

/** Generates the jobs of a group. At most 100, each with its own name. */
export function dynamicJob(group: string, generate: JobGenerator | ResultAwareOptions): DynamicJob {
  if (typeof group !== 'string' || group.trim() === '') {
    throw new TypeError(
      "dynamicJob: the group's name is missing; write dynamicJob('<name>', async ({ ctx }) => [ … ])",
    );
  }
  const resultAware = typeof generate === 'function' ? undefined : generate;
  const fn = typeof generate === 'function' ? generate : generate?.generate;
  if (typeof fn !== 'function') {
    throw new TypeError(
      `dynamicJob '${group}': the generator is missing; write dynamicJob('${group}', async ({ ctx }) => [ … ]) or { needs, generate }`,
    );
  }
  if (resultAware && !Array.isArray(resultAware.needs)) {
    throw new TypeError(
      `dynamicJob '${group}': \`needs\` must be a list; write needs: [job, 'name', dynamicGroup('group')]`,
    );
  }
  // A wrapper, so that one function may serve two groups.
  const made = (context: ResultAwareGeneratorContext) => fn(context);
  Object.defineProperty(made, DYNAMIC_JOB_GROUP, { value: group });
  if (resultAware) Object.defineProperty(made, DYNAMIC_JOB_NEEDS, { value: resultAware.needs });
  return made as unknown as DynamicJob;
}

/** Whether an element of `jobs` is a generator. */
export function isDynamicJobFn(value: unknown): value is JobGenerator {
  return typeof value === 'function';
}
