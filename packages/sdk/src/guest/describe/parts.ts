/** Rules, hooks, needs and triggers in a description. */

import { describeInputs } from '../../inputs.js';
import { isDynamicGroupRef } from '../../needs.js';
import { ALWAYS_TRUE } from '../../rules.js';
import { isObject } from '../../tags.js';
import type { HandleTable, JobScope } from '../handles.js';
import { restOf } from './data.js';

/** Hooks of jobs; workflows have the first four, steps the first two. */
export const HOOK_KEYS = [
  'onCancel',
  'cleanup',
  'onSuccess',
  'onFailure',
  'beforeStep',
  'afterStep',
] as const;

/** Describes the hooks that `source` has. */
export function describeHooks(
  source: Readonly<Record<PropertyKey, unknown>>,
  handles: HandleTable,
  scope?: JobScope,
): Record<string, unknown> {
  const hooks: Record<string, unknown> = {};
  for (const key of HOOK_KEYS) {
    const hook = source[key];
    if (typeof hook === 'function') hooks[key] = { run: handles.add(hook, scope) };
    else if (isObject(hook) && typeof hook.run === 'function') {
      const run = handles.add(hook.run, scope);
      hooks[key] = hook.timeout === undefined ? { run } : { run, timeout: hook.timeout };
    }
  }
  return hooks;
}

/** Describes rules; one that is always true has no check. */
export function describeRules(rules: unknown, handles: HandleTable, scope?: JobScope): unknown {
  if (!Array.isArray(rules)) return undefined;
  return rules.map((rule: unknown) => {
    const { label, check } = isObject(rule) ? rule : { label: '', check: undefined };
    const described = { label: String(label ?? '') };
    if (typeof check !== 'function' || ALWAYS_TRUE in check) return described;
    return { ...described, check: handles.add(check, scope) };
  });
}

/** A need in a description. */
export interface NeedData {
  job?: string;
  group?: string;
  when?: unknown;
  plain: boolean;
}

/** Describes needs; names of jobs without a name become those of the lock file. */
export function describeNeeds(
  owner: string,
  needs: unknown,
  jobNames: ReadonlyMap<string, string>,
): NeedData[] {
  if (!Array.isArray(needs)) return [];
  return needs.map((need: unknown, index) => {
    if (typeof need === 'string') return { job: jobNames.get(need) ?? need, plain: true };
    if (isObject(need)) {
      const when = need.when === undefined ? {} : { when: need.when };
      if (isDynamicGroupRef(need) || typeof need.group === 'string')
        return { group: String(need.group), ...when, plain: false };
      if (need._tag === 'Job') return { job: upstreamName(owner, String(need.name), jobNames), plain: true };
      if (typeof need.name === 'string')
        return { job: jobNames.get(need.name) ?? need.name, ...when, plain: false };
    }
    throw new TypeError(
      `${owner}: needs[${index}] is no job; write a job, its name, { name, when } or dynamicGroup('name')`,
    );
  });
}

const MADE_UP = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function upstreamName(owner: string, name: string, jobNames: ReadonlyMap<string, string>): string {
  const known = jobNames.get(name);
  if (known === undefined && MADE_UP.test(name)) {
    throw new Error(
      `${owner}: it needs a job without a name that is not in this workflow; add that job to \`jobs\``,
    );
  }
  return known ?? name;
}

const NONE: ReadonlySet<string> = new Set();
const INPUTS: ReadonlySet<string> = new Set(['inputs']);

/** Describes a trigger: `_tag` and the author's options, input schemas as descriptors. */
export function describeTrigger(trigger: unknown, handles: HandleTable): unknown {
  if (!isObject(trigger)) return trigger;
  if (trigger.inputs === undefined) return restOf(trigger, NONE, handles);
  const owner = trigger._tag === 'ScheduleTrigger' ? 'schedule' : 'dispatch';
  return { ...restOf(trigger, INPUTS, handles), inputs: describeInputs(owner, trigger.inputs) };
}
