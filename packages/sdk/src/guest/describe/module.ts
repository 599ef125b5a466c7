/** A module's workflows as a description (`crates/workflow/src/describe.rs`). */

import { isRandomId } from '../../random-id.js';
import { DYNAMIC_JOB_GROUP, DYNAMIC_JOB_NEEDS, hasTag, isObject, listOf } from '../../tags.js';
import type { HandleTable, WorkflowScope } from '../handles.js';
import { locationOf, restOf, toData } from './data.js';
import { describeJob, needNames } from './job.js';
import { describeHooks, describeNeeds, describeRules, describeTrigger } from './parts.js';

const DESCRIBED: ReadonlySet<string> = new Set([
  ...['_tag', 'name', 'jobs', 'on', 'rules', 'concurrency', '_sourceLocation'],
  ...['onCancel', 'cleanup', 'onSuccess', 'onFailure'],
]);

/** Describes all workflows that a module exports: default first, then by name. */
export function describeModule(
  exports: Readonly<Record<string, unknown>>,
  handles: HandleTable,
): { readonly workflows: unknown[] } {
  const workflows: unknown[] = [];
  const add = (value: unknown, name: string): void => {
    if (hasTag(value, 'Workflow')) workflows.push(describeWorkflow(value, name, handles));
  };
  const main = exports.default;
  if (Array.isArray(main)) main.forEach((value, index) => add(value, `#default[${index}]`));
  else add(main, '#default');
  for (const name of Object.keys(exports).sort(byCodeUnits)) {
    if (name !== 'default') add(exports[name], `#${name}`);
  }
  return { workflows };
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function describeWorkflow(
  workflow: Readonly<Record<PropertyKey, unknown>>,
  exported: string,
  handles: HandleTable,
): unknown {
  const jobs = Array.isArray(workflow.jobs) ? (workflow.jobs as readonly unknown[]) : [];
  const scope: WorkflowScope = { name: String(workflow.name), jobNames: numberJobs(jobs) };
  const described: Record<string, unknown> = {
    name: scope.name,
    export: exported,
    location: locationOf(workflow),
    on: (listOf(workflow.on) ?? []).map((trigger) => describeTrigger(trigger, handles)),
    jobs: jobs.map((job, index) => describeEntry(job, index, scope, handles)),
    rules: describeRules(workflow.rules, handles),
    hooks: describeHooks(workflow, handles),
    concurrency: workflow.concurrency === undefined ? undefined : toData(workflow.concurrency, handles),
    options: restOf(workflow, DESCRIBED, handles),
  };
  return Object.fromEntries(Object.entries(described).filter(([, value]) => value !== undefined));
}

/** Jobs without a name are `job-1`, `job-2`, … in the lock file. */
function numberJobs(jobs: readonly unknown[]): Map<string, string> {
  const names = new Map<string, string>();
  let anonymous = 0;
  for (const job of jobs) {
    if (!isObject(job) || typeof job.name !== 'string') continue;
    if (!names.has(job.name)) names.set(job.name, isRandomId(job.name) ? `job-${++anonymous}` : job.name);
  }
  return names;
}

function describeEntry(job: unknown, index: number, workflow: WorkflowScope, handles: HandleTable): unknown {
  if (isObject(job)) return { kind: 'static', ...describeJob(job, workflow, handles) };
  if (typeof job !== 'function') {
    throw new TypeError(
      `workflow '${workflow.name}': jobs[${index}] is no job; write job('name', { … }) or a generator function`,
    );
  }
  const { [DYNAMIC_JOB_GROUP]: group, [DYNAMIC_JOB_NEEDS]: declared } = job as unknown as Readonly<
    Record<symbol, unknown>
  >;
  const owner = `dynamicJob '${String(group ?? index)}'`;
  const needs = declared === undefined ? undefined : describeNeeds(owner, declared, workflow.jobNames);
  const scope = { workflow, needs: needs && needNames(needs), steps: [] };
  return {
    kind: 'dynamic',
    generate: handles.add(job, scope),
    ...(group === undefined ? {} : { group: String(group) }),
    ...(needs === undefined ? {} : { needs }),
  };
}

/** Describes what a generator returned. */
export function describeGenerated(
  jobs: unknown,
  workflow: WorkflowScope,
  handles: HandleTable,
): { readonly jobs: unknown[] } {
  if (!Array.isArray(jobs)) {
    throw new TypeError(
      'a generator of jobs must return a list; write return [job(`shard-${i}`, { … })], or [] for no jobs',
    );
  }
  const names = new Map(workflow.jobNames);
  for (const [name, number] of numberJobs(jobs)) names.set(name, number);
  const scope: WorkflowScope = { name: workflow.name, jobNames: names };
  return {
    jobs: jobs.map((job: unknown, index) => {
      if (hasTag(job, 'Job')) return describeJob(job, scope, handles);
      throw new TypeError(
        `a generator of jobs returned something else at index ${index}; write job('name', { … })`,
      );
    }),
  };
}
