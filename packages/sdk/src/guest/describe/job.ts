/** Jobs in a description. */

import { listOf } from '../../tags.js';
import type { HandleTable, JobScope, WorkflowScope } from '../handles.js';
import { locationOf, restOf, toData } from './data.js';
import { describeHooks, describeNeeds, describeRules, HOOK_KEYS, type NeedData } from './parts.js';
import { describeSteps, nameSteps } from './step.js';

const DESCRIBED: ReadonlySet<string> = new Set([
  ...[
    '_tag',
    'name',
    'steps',
    'run',
    'result',
    'needs',
    'matrix',
    'rules',
    'environment',
    'environments',
    'env',
  ],
  ...['concurrencyGroup', '_sourceLocation', ...HOOK_KEYS],
]);

/** Describes a job. */
export function describeJob(
  job: Readonly<Record<PropertyKey, unknown>>,
  workflow: WorkflowScope,
  handles: HandleTable,
): Record<string, unknown> {
  const memoryName = String(job.name);
  const name = workflow.jobNames.get(memoryName) ?? memoryName;
  const owner = `job '${name}'`;
  const needs = describeNeeds(owner, job.needs, workflow.jobNames);
  const steps = Array.isArray(job.steps) ? (job.steps as readonly unknown[]) : [];
  const scope: JobScope = {
    workflow,
    needs: job.needs === undefined ? undefined : needNames(needs),
    steps: nameSteps(steps),
  };
  const single = job.environment !== undefined;
  const environments = single ? [job.environment] : (listOf(job.environments) ?? []);
  const described: Record<string, unknown> = {
    name,
    location: locationOf(job),
    needs,
    steps: describeSteps(owner, steps, handles, scope),
    matrix: job.matrix === undefined ? undefined : toData(job.matrix, handles, scope),
    rules: describeRules(job.rules, handles, scope),
    environments: environments.map((environment) => toData(environment, handles, scope)),
    singleEnvironment: single,
    env: job.env === undefined ? undefined : toData(job.env, handles, scope),
    concurrencyGroup:
      job.concurrencyGroup === undefined ? undefined : toData(job.concurrencyGroup, handles, scope),
    hooks: describeHooks(job, handles, scope),
    options: restOf(job, DESCRIBED, handles, scope),
  };
  return Object.fromEntries(Object.entries(described).filter(([, value]) => value !== undefined));
}

/** Names under which a job sees its upstream in `ctx.needs`, each once. */
export function needNames(needs: readonly NeedData[]): string[] {
  return [...new Set(needs.map((need) => need.job ?? need.group ?? ''))];
}
