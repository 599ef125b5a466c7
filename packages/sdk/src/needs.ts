/** `needs`: what a job waits for, and what it learns about it. */

import { flattenRunOutputs, isHostJobOutputs, isMatrixJobOutputs } from './outputs.js';
import { DYNAMIC_GROUP, isObject } from './tags.js';

/** Final state of an upstream job. */
export type NeedStatus = 'success' | 'failed' | 'cancelled' | 'skipped' | 'timed_out_stale' | 'drift_dropped';

/** After which states of the upstream job this one runs. */
export type NeedWhen = 'on-success' | 'always' | 'on-skip' | 'on-failure' | readonly NeedStatus[];

/** A reference to the jobs of a dynamic group. */
export interface DynamicGroupRef {
  readonly [DYNAMIC_GROUP]: true;
  readonly group: string;
  readonly when?: NeedWhen;
}

/** An element of `needs`. */
export type Need =
  | { readonly _tag: 'Job'; readonly name: string }
  | string
  | DynamicGroupRef
  | { readonly name: string; readonly when?: NeedWhen; readonly group?: never }
  | { readonly group: string; readonly when?: NeedWhen; readonly name?: never };

/** Refers to the jobs that `dynamicJob(name, …)` generates. */
export function dynamicGroup(name: string, options: { readonly when?: NeedWhen } = {}): DynamicGroupRef {
  if (typeof name !== 'string' || name.trim() === '') {
    throw new TypeError(
      "dynamicGroup: the group's name is missing; write dynamicGroup('<name>') as in dynamicJob('<name>', …)",
    );
  }
  const ref = { [DYNAMIC_GROUP]: true as const, group: name };
  return options.when === undefined ? ref : { ...ref, when: options.when };
}

/** Whether `value` was made by `dynamicGroup`. */
export function isDynamicGroupRef(value: unknown): value is DynamicGroupRef {
  return isObject(value) && DYNAMIC_GROUP in value;
}

/** What a job learns about an upstream job. */
export interface NeedResult {
  readonly result: Readonly<Record<string, unknown>>;
  readonly status: NeedStatus;
}

/** What a job learns about one child of an upstream fan-out. */
export interface NeedChildResult extends NeedResult {
  readonly name: string;
}

/** `ctx.needs`: by upstream name; fan-outs and groups are lists, sorted by child name. */
export type NeedsContext = Readonly<Record<string, NeedResult | readonly NeedChildResult[]>>;

/** What a runner knows about upstream jobs. */
export interface UpstreamState {
  /** By job name. */
  readonly outputs?: Readonly<Record<string, unknown>>;
  /** By job name, and by expanded name for children of fan-outs. */
  readonly statuses?: Readonly<Record<string, string>>;
  /** Members of dynamic groups. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
}

/** Builds `ctx.needs` for the declared names (jobs and groups). */
export function buildNeedsContext(declared: readonly string[], upstream: UpstreamState): NeedsContext {
  const needs: Record<string, NeedResult | readonly NeedChildResult[]> = {};
  for (const name of declared) {
    const members = upstream.groups?.[name];
    needs[name] = members
      ? sorted(members.map((member) => ({ name: member, ...single(member, upstream) })))
      : (fanout(name, upstream) ?? single(name, upstream));
  }
  return needs;
}

function single(name: string, upstream: UpstreamState): NeedResult {
  return { result: resultOf(upstream.outputs?.[name]), status: statusOf(name, upstream) };
}

/** Children of a matrix or host fan-out are known by outputs by suffix, or by states `name (suffix)`. */
function fanout(name: string, upstream: UpstreamState): readonly NeedChildResult[] | undefined {
  const outputs = upstream.outputs?.[name];
  const bySuffix = isMatrixJobOutputs(outputs)
    ? outputs.byMatrix
    : isHostJobOutputs(outputs)
      ? outputs.byHost
      : undefined;
  const prefix = `${name} (`;
  const children = new Set(
    Object.keys(upstream.statuses ?? {}).filter((key) => key.startsWith(prefix) && key.endsWith(')')),
  );
  for (const suffix of Object.keys(bySuffix ?? {})) children.add(`${prefix}${suffix})`);
  if (!bySuffix && children.size === 0) return undefined;
  return sorted(
    [...children].map((child) => ({
      name: child,
      result: resultOf(bySuffix?.[child.slice(prefix.length, -1)] ?? upstream.outputs?.[child]),
      status: statusOf(child, upstream),
    })),
  );
}

function sorted(children: NeedChildResult[]): NeedChildResult[] {
  return children.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function resultOf(outputs: unknown): Readonly<Record<string, unknown>> {
  const flat = flattenRunOutputs(outputs);
  return isObject(flat) ? flat : {};
}

/** A missing state means success. */
function statusOf(name: string, upstream: UpstreamState): NeedStatus {
  return (upstream.statuses?.[name] ?? 'success') as NeedStatus;
}
