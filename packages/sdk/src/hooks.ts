/** Hooks: functions that run around steps and at the end of a job or workflow. */

import { isObject } from './tags.js';
import type { HookContext } from './types/context.js';

/** A hook's function. */
export type HookFn = (ctx: HookContext) => unknown;

/** A function, or a function with its time limit (ms, default 5 minutes). */
export type Hook = HookFn | { readonly run: HookFn; readonly timeout?: number };

/** Every hook there is. */
export type HookType = 'onCancel' | 'cleanup' | 'onSuccess' | 'onFailure' | 'beforeStep' | 'afterStep';

/** What the wrappers below make. */
export interface NamedHook {
  readonly name: string;
  readonly type: HookType;
  readonly run: HookFn;
  readonly timeout?: number;
}

/** Fails with what to write when `hook` is no hook. */
export function checkHook(owner: string, type: HookType, hook: unknown): void {
  const run = isObject(hook) ? hook.run : hook;
  if (typeof run !== 'function') {
    throw new TypeError(
      `${owner}: \`${type}\` must be a function or { run, timeout? }; write ${type}: async (ctx) => { … }`,
    );
  }
}

function named(type: HookType): (hook: Hook) => NamedHook {
  return (hook) => {
    checkHook(`${type}()`, type, hook);
    const { run, timeout } = typeof hook === 'function' ? { run: hook, timeout: undefined } : hook;
    const made = { name: run.name || type, type, run };
    return timeout === undefined ? made : { ...made, timeout };
  };
}

/** Runs when the job is cancelled gracefully. */
export const onCancel: (hook: Hook) => NamedHook = named('onCancel');
/** Runs last, whatever happened. */
export const cleanup: (hook: Hook) => NamedHook = named('cleanup');
/** Runs after success. */
export const onSuccess: (hook: Hook) => NamedHook = named('onSuccess');
/** Runs after failure. */
export const onFailure: (hook: Hook) => NamedHook = named('onFailure');
/** Runs before each step of a job. */
export const beforeStep: (hook: Hook) => NamedHook = named('beforeStep');
/** Runs after each step of a job. */
export const afterStep: (hook: Hook) => NamedHook = named('afterStep');
