/** Builds the first argument of each kind of call. */

import * as sdk from '@kici-dev/sdk';
import type { CacheRestoreResult } from '../cache.js';
import { buildKiciApi, type KiciApi } from '../kici-api.js';
import { createStepSecrets, type MountFileOptions, type StepSecrets } from '../secrets.js';
import { isObject } from '../tags.js';
import type { GeneratorContext, Logger, MatrixContext, RuleContext, StepContext } from '../types/context.js';
import type { Call } from './call.js';
import type { CallKind } from './frames.js';
import type { Handle } from './handles.js';
import { createLogger } from './logger.js';
import { shellOf } from './shell-backend.js';
import type { Outputs } from './upstream.js';

/** Data of a call, as the host sends it (`docs/design/engine-data.md`). */
export type CallData = Readonly<Record<string, unknown>>;

/** What contexts are built from besides their data. */
export interface ContextParts {
  readonly root: string;
  readonly outputs: Outputs;
  readonly secretKeys: readonly string[];
}

/** The first argument of a call. */
export function buildArgument(
  kind: Exclude<CallKind, 'plain'>,
  call: Call,
  handle: Handle,
  data: CallData,
  parts: ContextParts,
): unknown {
  switch (kind) {
    case 'step':
      return stepContext(call, handle, data, parts);
    case 'hook':
      return { ...stepContext(call, handle, data, parts), outcome: data.outcome };
    case 'rule':
      return ruleContext(call, data, parts);
    case 'generator':
      return generatorContext(call, handle, data, parts);
    case 'matrix':
      return matrixContext(call, data, parts);
  }
}

const PASSED_ON = [
  'matrix',
  'fanout',
  'host',
  'agent',
  'provider',
  'environment',
  'workflowRepo',
  'sourceRepo',
] as const;

function stepContext(
  call: Call,
  handle: Handle,
  data: CallData,
  { root, outputs, secretKeys }: ContextParts,
): StepContext {
  const log = loggerOf(call, data);
  const needs = data.needs ?? outputs.needs(handle.scope);
  const event = isObject(data.event) ? data.event : {};
  const passedOn = Object.fromEntries(
    PASSED_ON.filter((key) => !isAbsent(data[key])).map((key) => [key, data[key]]),
  );
  const context = {
    $: shellOf(call, root),
    log,
    env: call.environment.live,
    setEnv(key: string, value: string): void {
      if (secretKeys.includes(key)) {
        log.warn(`setEnv: '${key}' is the name of a secret and cannot be set; choose another name`);
        return;
      }
      call.environment.set(key, String(value));
      call.askLater('env.set', { key, value: String(value) });
    },
    addPath(dir: string): void {
      call.environment.prependPath(String(dir));
      call.askLater('path.add', { dir: String(dir) });
    },
    signal: call.aborter.signal,
    inputs: {},
    dispatchInputs: isObject(data.dispatchInputs) ? data.dispatchInputs : {},
    workflow: named(data.workflow),
    job: jobOf(data),
    rawPayload: isObject(event.payload) ? event.payload : {},
    isTestRun: data.isTestRun === true,
    secrets: secretsOf(call, secretKeys),
    emit: (event: unknown, payload: unknown = {}, options: unknown = {}) =>
      emit(call, event, payload, options),
    outputsOf: (step: unknown) => outputs.ofStep(step),
    jobOutputs: (job: unknown) => outputs.ofJob(job),
    setSecretOutput(key: string, value: string): void {
      if (typeof key !== 'string' || key === '' || typeof value !== 'string') {
        throw new TypeError(
          `setSecretOutput: it takes a name and a string; write ctx.setSecretOutput('TOKEN', token)`,
        );
      }
      call.askLater('secretOutput.set', { key, value });
    },
    cache: {
      restore: async (spec: object) => (await call.ask('cache.restore', spec)) as CacheRestoreResult,
      save: async (spec: object) => void (await call.ask('cache.save', spec)),
    },
    kici: kiciOf(call),
    attestProvenance: (options: object) =>
      call.ask('api', { method: 'provenance.attest', params: { ...options } }),
    ...passedOn,
    ...(isAbsent(needs) ? {} : { needs }),
  };
  return context as unknown as StepContext;
}

function ruleContext(call: Call, data: CallData, { root }: ContextParts): RuleContext {
  const event = isObject(data.event) ? data.event : {};
  const context = {
    event,
    changedFiles: data.changedFiles ?? event.changedFiles ?? [],
    env: call.environment.live,
    dispatchInputs: data.dispatchInputs ?? {},
    $: shellOf(call, root),
    ...(isAbsent(data.fanout) ? {} : { fanout: data.fanout }),
  };
  return context as unknown as RuleContext;
}

function generatorContext(
  call: Call,
  handle: Handle,
  data: CallData,
  { root, outputs }: ContextParts,
): GeneratorContext {
  const needs = data.needs ?? outputs.generatorNeeds(handle.scope);
  const ctx = {
    workflow: named(data.workflow),
    event: data.event ?? {},
    ...(isAbsent(needs) ? {} : { needs }),
  };
  const context = {
    $: shellOf(call, root),
    ctx,
    log: loggerOf(call, data),
    env: call.environment.live,
    kici: kiciOf(call),
  };
  return context as unknown as GeneratorContext;
}

function matrixContext(call: Call, data: CallData, { root }: ContextParts): MatrixContext {
  const ctx = { workflow: named(data.workflow), job: jobOf(data) };
  return { $: shellOf(call, root), ctx, log: loggerOf(call, data), env: call.environment.live };
}

function loggerOf(call: Call, data: CallData): Logger {
  const step = isObject(data.step) && typeof data.step.name === 'string' ? data.step.name : undefined;
  return createLogger(call, step);
}

function kiciOf(call: Call): KiciApi {
  return buildKiciApi((method, params) => call.ask('api', { method, params }));
}

function secretsOf(call: Call, keys: readonly string[]): StepSecrets {
  const source = {
    keys,
    async get(key: string): Promise<string> {
      const answer = (await call.ask('secrets.get', { key })) as {
        value?: string;
        missing?: boolean;
        available?: string[];
      };
      if (answer.missing === true || answer.value === undefined)
        throw new sdk.SecretNotFoundError(key, answer.available ?? keys);
      return answer.value;
    },
    async expose(key: string, value: string): Promise<void> {
      call.environment.set(key, value);
      await call.ask('env.set', { key, value, secret: true });
    },
    async mountFile(options: MountFileOptions, exposeAs?: string): Promise<string> {
      const { sources, divider = '', mode = 0o600, name } = options;
      const answer = (await call.ask('secrets.mountFile', { sources, divider, mode, name, exposeAs })) as {
        path: string;
      };
      if (exposeAs !== undefined) call.environment.set(exposeAs, answer.path);
      return answer.path;
    },
  };
  return createStepSecrets(source, sdk.SecretNotFoundError);
}

async function emit(call: Call, event: unknown, payload: unknown, options: unknown): Promise<unknown> {
  const name = isObject(event) && typeof event.name === 'string' ? event.name : event;
  if (typeof name !== 'string' || name === '') {
    throw new TypeError("emit: the event's name is missing; write ctx.emit('shipped', { version })");
  }
  const target = isObject(options) ? options.target : undefined;
  try {
    return await call.ask('emit', target === undefined ? { name, payload } : { name, payload, target });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      reason.startsWith('Event emission failed') ? reason : `Event emission failed: ${reason}`,
      { cause: error },
    );
  }
}

function named(value: unknown): { readonly name: string } {
  return { name: isObject(value) ? String(value.name ?? '') : '' };
}

function jobOf(data: CallData): { readonly name: string; readonly runsOn: string } {
  const job = isObject(data.job) ? data.job : {};
  return { name: String(job.name ?? ''), runsOn: String(job.runsOn ?? '') };
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}
