/** `workflow()`: jobs and what starts them. */

import type { Approval } from './approval.js';
import type { DynamicJob, JobGenerator } from './dynamic-job.js';
import type { EventEnvelope } from './event.js';
import { type Hook, checkHook } from './hooks.js';
import { type AnyJob, checkApproval } from './job.js';
import { checkInstallEnv, checkRegistries, type Registry } from './registries.js';
import type { Rule } from './rules.js';
import { withLocation } from './source-location.js';
import { defined, hasTag, isObject, listOf } from './tags.js';
import type { Trigger } from './triggers/index.js';

/** How runs of one workflow exclude each other. */
export interface Concurrency {
  /** The group's name. */
  readonly group?: (ctx: {
    readonly branch: string;
    readonly event: EventEnvelope;
  }) => string | Promise<string>;
  /** Cancel older runs of the group; default true. */
  readonly cancelInProgress?: boolean;
  /** How many runs of the group may be active; default 1. */
  readonly max?: number;
}

/** Options of a workflow. */
export interface WorkflowOptions {
  readonly jobs: readonly (AnyJob | JobGenerator | DynamicJob)[];
  readonly on?: Trigger | readonly Trigger[];
  readonly rules?: readonly Rule[];
  readonly description?: string;
  /** Globs of files that count as part of the workflow's source. */
  readonly hashFiles?: readonly string[];
  readonly registries?: readonly Registry[];
  /** Secrets for the installation of dependencies, each `<environment>:<secret>`. */
  readonly installEnv?: readonly string[];
  /** Milliseconds for the whole run. */
  readonly timeout?: number;
  readonly onCancel?: Hook;
  readonly cleanup?: Hook;
  readonly onSuccess?: Hook;
  readonly onFailure?: Hook;
  readonly concurrency?: Concurrency;
  readonly approval?: Approval;
}

/** A workflow. Export it: as default, by name, or in a list. */
export interface Workflow extends Omit<WorkflowOptions, 'on'> {
  readonly _tag: 'Workflow';
  readonly name: string;
  readonly on?: readonly Trigger[];
}

/** Makes a workflow. */
export function workflow(name: string, options: WorkflowOptions): Workflow {
  if (typeof name !== 'string') {
    throw new TypeError(
      "workflow: the name is missing; write workflow('<name>', { on: push(), jobs: [ … ] })",
    );
  }
  const owner = `workflow '${name}'`;
  if (!isObject(options) || !Array.isArray(options.jobs)) {
    throw new TypeError(
      `${owner}: \`jobs\` must be a list; write workflow('${name}', { on: push(), jobs: [job('build', { … })] })`,
    );
  }
  options.jobs.forEach((entry: unknown, index) => {
    if (typeof entry === 'function' || hasTag(entry, 'Job')) return;
    throw new TypeError(
      `${owner}: jobs[${index}] is no job; write job('name', { … }), dynamicJob('group', …) or a generator function`,
    );
  });
  const on = listOf(options.on);
  on?.forEach((trigger: unknown, index) => {
    if (isObject(trigger) && typeof trigger._tag === 'string' && trigger._tag.endsWith('Trigger')) return;
    const hint =
      typeof trigger === 'function' ? 'call it: push()' : 'write push(), pr({ … }), schedule({ … }), …';
    throw new TypeError(`${owner}: on[${index}] is no trigger; ${hint}`);
  });
  if (options.registries !== undefined) checkRegistries(owner, options.registries);
  if (options.installEnv !== undefined) checkInstallEnv(owner, options.installEnv);
  if (options.concurrency?.group !== undefined && typeof options.concurrency.group !== 'function') {
    throw new TypeError(
      `${owner}: \`concurrency.group\` must be a function; write group: ({ branch }) => \`deploy-\${branch}\``,
    );
  }
  if (options.approval !== undefined) checkApproval(owner, options.approval);
  for (const type of ['onCancel', 'cleanup', 'onSuccess', 'onFailure'] as const) {
    if (options[type] !== undefined) checkHook(owner, type, options[type]);
  }
  return withLocation(defined({ _tag: 'Workflow' as const, name, ...options, on }));
}
