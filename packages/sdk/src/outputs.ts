/**
 * Outputs of steps and jobs, and the `result` proxies that read them.
 *
 * The runner installs its maps through the exported setters; a proxy looks into them at the time of
 * the read, so that `build.result.version` works in any later step.
 */

import { isObject } from './tags.js';

/** Outputs by step name. */
export type OutputsMap = Map<string, unknown>;

let stepOutputs: OutputsMap = new Map();
let jobOutputs: OutputsMap = new Map();
let stepNames: WeakMap<object, string> = new WeakMap();

/** Installs the outputs of the running job's steps, by step name. */
export function setStepOutputsMap(map: OutputsMap): void {
  stepOutputs = map;
}

/** Installs the outputs of upstream jobs, by job name. */
export function setJobOutputsMap(map: OutputsMap): void {
  jobOutputs = map;
}

/** Installs the names under which step objects and bare step functions run. */
export function setStepRefMap(map: WeakMap<object, string>): void {
  stepNames = map;
}

/** The outputs of a step object or bare step function; `undefined` while there are none. */
export function outputsOfStep(step: object & { readonly name?: unknown }): unknown {
  const name = stepNames.get(step) ?? (typeof step === 'function' ? undefined : step.name);
  return typeof name === 'string' ? stepOutputs.get(name) : undefined;
}

/** The outputs of an upstream job by its in-memory name. */
export function outputsOfJob(name: string): unknown {
  return jobOutputs.get(name);
}

/** Names that inspection tools and promises look up; they never mean an output. */
const BYPASSED = new Set<PropertyKey>([
  ...['constructor', 'toString', 'valueOf', 'toJSON', 'then', 'length', 'nodeType', 'tagName', 'inspect'],
  ...['$$typeof', 'asymmetricMatch', '_tag'],
]);

/** A read-only view of outputs that may not exist yet: reading a field then throws `missing()`. */
function resultProxy(read: () => unknown, missing: (field: string) => string): object {
  const outputs = (): Record<PropertyKey, unknown> | undefined => {
    const value = read();
    return value === undefined || value === null
      ? undefined
      : (Object(value) as Record<PropertyKey, unknown>);
  };
  return new Proxy(
    {},
    {
      get(target, key) {
        if (typeof key === 'symbol' || BYPASSED.has(key)) return Reflect.get(target, key) as unknown;
        const found = outputs();
        if (!found) throw new Error(missing(key));
        return found[key];
      },
      set(_target, key) {
        throw new TypeError(`outputs are read-only: cannot set '${String(key)}'`);
      },
      has: (_target, key) => Reflect.has(outputs() ?? {}, key),
      ownKeys: () => Object.keys(outputs() ?? {}),
      getOwnPropertyDescriptor(_target, key) {
        const found = outputs();
        if (!found || typeof key === 'symbol' || !Object.hasOwn(found, key)) return undefined;
        return { value: found[key], enumerable: true, configurable: true, writable: false };
      },
    },
  );
}

/** The `result` of a step. */
export function stepResult(step: object & { readonly name?: unknown }): object {
  const name = (): string => stepNames.get(step) ?? String(step.name ?? '');
  return resultProxy(
    () => outputsOfStep(step),
    (field) =>
      `Step '${name()}' has not produced outputs yet (reading result.${field}); ` +
      'read it in a step that runs after it, and return an object from its run function',
  );
}

/** The `result` of a job. */
export function jobResult(name: string): object {
  return resultProxy(
    () => outputsOfJob(name),
    (field) =>
      `Job '${name}' has not produced outputs yet (reading result.${field}); ` +
      'add it to `needs` of the job that reads it, and read it inside a step',
  );
}

/** Outputs of a matrix job: by child, and merged. */
export interface MatrixJobOutputs {
  readonly byMatrix: Readonly<Record<string, unknown>>;
  readonly merged: Readonly<Record<string, unknown>>;
}

/** Outputs of a host fan-out: by host, and a summary. */
export interface HostJobOutputs {
  readonly byHost: Readonly<Record<string, unknown>>;
  readonly summary: {
    readonly succeededHosts: readonly string[];
    readonly failedHosts: readonly string[];
    readonly outputs: Readonly<Record<string, readonly unknown[]>>;
  };
}

/** Whether upstream outputs come from a matrix job. */
export function isMatrixJobOutputs(value: unknown): value is MatrixJobOutputs {
  return isObject(value) && isObject(value.byMatrix) && 'merged' in value;
}

/** Whether upstream outputs come from a host fan-out. */
export function isHostJobOutputs(value: unknown): value is HostJobOutputs {
  return isObject(value) && isObject(value.byHost) && isObject(value.summary);
}

/**
 * Shows the fields of a `run:` job on the job itself, keeping the `step-1` key.
 *
 * Only when `step-1` is the one step with outputs; the step's own key wins over a field of that name.
 */
export function flattenRunOutputs(outputs: unknown): unknown {
  if (!isObject(outputs) || Array.isArray(outputs)) return outputs;
  const keys = Object.keys(outputs);
  const only = outputs['step-1'];
  if (keys.length !== 1 || keys[0] !== 'step-1' || !isObject(only) || Array.isArray(only)) return outputs;
  return { ...only, 'step-1': only };
}
