/** Steps in a description. */

import { normalizeRetry, type OutputSchemas } from '../../step.js';
import { hasTag, isObject, listOf } from '../../tags.js';
import type { HandleTable, JobScope, StepRole } from '../handles.js';
import { locationOf, toData } from './data.js';
import { describeHooks, describeRules } from './parts.js';

/** Names the steps of one job: `step-N` for anonymous ones, one counter per job. */
export function nameSteps(steps: readonly unknown[]): (readonly [object, string])[] {
  let anonymous = 0;
  const named: (readonly [object, string])[] = [];
  const visit = (entry: unknown): void => {
    if (hasTag(entry, 'ParallelGroup')) {
      for (const child of (entry as { readonly steps?: unknown }).steps as readonly unknown[]) visit(child);
      return;
    }
    const own = typeof entry === 'function' ? '' : (entry as { readonly name?: unknown }).name;
    const name = typeof own === 'string' && own !== '' ? own : `step-${++anonymous}`;
    named.push([entry as object, name]);
  };
  steps.forEach(visit);
  return named;
}

/** Describes the entries of a job's `steps`; names come from `scope` in the same order. */
export function describeSteps(
  owner: string,
  steps: readonly unknown[],
  handles: HandleTable,
  scope: JobScope,
): unknown[] {
  let next = 0;
  const one = (entry: unknown): Record<string, unknown> => {
    const name = scope.steps[next++]?.[1] ?? '';
    return describeStep(owner, entry, name, handles, scope);
  };
  return steps.map((entry) => {
    if (!hasTag(entry, 'ParallelGroup')) return { kind: 'step', ...one(entry) };
    const group = entry as unknown as Readonly<Record<string, unknown>>;
    return toJson({
      kind: 'parallel',
      name: group.name,
      failFast: group.failFast !== false,
      maxParallel: group.maxParallel,
      steps: (group.steps as readonly unknown[]).map(one),
    });
  });
}

function describeStep(
  owner: string,
  entry: unknown,
  name: string,
  handles: HandleTable,
  scope: JobScope,
): Record<string, unknown> {
  if (typeof entry === 'function') {
    return { name, bare: true, run: handles.add(entry, scope, { part: 'run', step: name }) };
  }
  if (!isObject(entry))
    throw new TypeError(`${owner}: a step is ${String(entry)}; write step('name', async (ctx) => { … })`);
  const outputs =
    isObject(entry.outputs) && Object.keys(entry.outputs).length > 0 ? entry.outputs : undefined;
  const ref = (fn: unknown, role?: StepRole): unknown =>
    typeof fn === 'function' ? handles.add(fn, scope, role) : undefined;
  const producer = (part: 'run' | 'whenInSync'): StepRole =>
    outputs ? { part, step: name, outputs: outputs as OutputSchemas } : { part, step: name };
  const retry = normalizeRetry(`step '${name}'`, entry.retry);
  return toJson({
    name,
    run: ref(entry.run, producer('run')),
    hasOutputs: outputs !== undefined,
    check: ref(entry.check, { part: 'check', step: name, drift: entry.drift }),
    summarize: ref(entry.summarize),
    whenInSync: ref(entry.whenInSync, producer('whenInSync')),
    continueOnError: entry.continueOnError,
    timeout: entry.timeout,
    retry: retry && toJson({ ...retry, retryIf: ref(retry.retryIf) }),
    cache: listOf(entry.cache)?.map((spec) => toData(spec, handles)),
    rules: describeRules(entry.rules, handles, scope),
    hooks: describeHooks(entry, handles, scope),
    approval: entry.approval === undefined ? undefined : toData(entry.approval, handles),
    location: locationOf(entry),
  });
}

/** A copy without undefined fields. */
function toJson(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
