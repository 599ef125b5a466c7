/** Triggers with inputs: dispatches by people and schedules. */

import type { z } from 'zod';
import { describeInputs, type InputSchemas } from '../inputs.js';
import type { RuleContext } from '../types/context.js';
import {
  type ForgeTriggerFields,
  type ForgeTriggerOptions,
  forgeFields,
  makeTrigger,
  type OneOrMore,
  required,
  strings,
  type TriggerOptions,
} from './common.js';

/** The values that input schemas give. */
export type InputsOf<S extends InputSchemas> = { readonly [K in keyof S]: z.output<S[K]> };

/** Inputs declared once, for the trigger and for typed reading. */
export interface DispatchInputsHandle<S extends InputSchemas = InputSchemas> {
  readonly __kiciDispatchInputs: true;
  readonly map: S;
  /** The values in a step. */
  from(ctx: { readonly dispatchInputs?: unknown }): InputsOf<S>;
  /** The values in a rule. */
  fromRule(ctx: Pick<RuleContext, 'dispatchInputs'>): InputsOf<S>;
}

/** Declares inputs: string, number, boolean, enum or literal, with optional, nullable, default and bounds. */
export function defineDispatchInputs<const S extends InputSchemas>(map: S): DispatchInputsHandle<S> {
  describeInputs('defineDispatchInputs', map);
  const read = (ctx: { readonly dispatchInputs?: unknown }): InputsOf<S> =>
    (ctx.dispatchInputs ?? {}) as InputsOf<S>;
  return Object.freeze({ __kiciDispatchInputs: true as const, map, from: read, fromRule: read });
}

/** Made by `dispatch`. */
export interface DispatchTrigger extends ForgeTriggerFields {
  readonly _tag: 'DispatchTrigger';
  readonly types?: readonly string[];
  readonly inputs?: InputSchemas | DispatchInputsHandle;
}

/** Options of `dispatch`. */
export interface DispatchOptions extends ForgeTriggerOptions {
  readonly types?: OneOrMore<string>;
  readonly inputs?: InputSchemas | DispatchInputsHandle;
}

/** Started by hand, or by a dispatch event of the forge. */
export function dispatch(options: DispatchOptions = {}): DispatchTrigger {
  if (options.inputs !== undefined) describeInputs('dispatch', options.inputs);
  return makeTrigger({
    _tag: 'DispatchTrigger',
    types: strings('dispatch', 'types', options.types),
    inputs: options.inputs,
    ...forgeFields('dispatch', options),
  });
}

/** Made by `schedule`. */
export interface ScheduleTrigger extends TriggerOptions {
  readonly _tag: 'ScheduleTrigger';
  readonly cron: string;
  readonly timezone: string;
  readonly inputs?: InputSchemas | DispatchInputsHandle;
}

/** Options of `schedule`. */
export interface ScheduleOptions extends TriggerOptions {
  /** Five fields: minute, hour, day of month, month, day of week. */
  readonly cron: string;
  /** IANA name; default UTC. */
  readonly timezone?: string;
  /** Each needs `.default()` or `.optional()`: nobody is there to ask. */
  readonly inputs?: InputSchemas | DispatchInputsHandle;
}

/** Started by the clock. */
export function schedule(options: ScheduleOptions): ScheduleTrigger {
  const cron = required('schedule', 'cron', options?.cron, "schedule({ cron: '0 6 * * *' })");
  const { timezone = 'UTC', inputs, description } = options;
  if (inputs !== undefined) {
    for (const [name, input] of Object.entries(describeInputs('schedule', inputs))) {
      if (input.optional || 'default' in input) continue;
      throw new TypeError(
        `schedule: input '${name}' needs a value when nobody is there to give one; add .default(…) or .optional()`,
      );
    }
  }
  return makeTrigger({ _tag: 'ScheduleTrigger', cron, timezone, description, inputs });
}
