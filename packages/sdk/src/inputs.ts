/**
 * Reduces input schemas to the descriptors of the lock file.
 *
 * Only a closed subset of zod can be asked for by a form or a command line: string, number, boolean,
 * enum, literal, with optional, nullable, default, min, max, regex and int. Schemas are read by their
 * `def`, never by `instanceof`, so that another copy of zod 4 works as well.
 */

import type { z } from 'zod';
import { isObject, isRegExp } from './tags.js';

/** Inputs by name. */
export type InputSchemas = Readonly<Record<string, z.ZodType>>;

/** An input in the form of the lock file; keys are in its write order. */
export interface InputDescriptor {
  type: 'string' | 'number' | 'integer' | 'boolean' | 'enum' | 'literal';
  optional: boolean;
  nullable: boolean;
  default?: unknown;
  min?: number;
  max?: number;
  pattern?: string;
  values?: string[];
  literal?: unknown;
}

type Def = Readonly<Record<string, unknown>>;

const SUPPORTED =
  'string, number, boolean, enum or literal, with optional, nullable, default, min, max, regex and int';

/** Describes a map of inputs, or a handle made by `defineDispatchInputs`; fails naming the input. */
export function describeInputs(owner: string, inputs: unknown): Record<string, InputDescriptor> {
  const map = isObject(inputs) && inputs.__kiciDispatchInputs === true ? inputs.map : inputs;
  if (!isObject(map) || Array.isArray(map) || defOf(map)) {
    throw new TypeError(
      `${owner}: \`inputs\` maps names to schemas; write inputs: { region: z.enum(['eu', 'us']) }`,
    );
  }
  const described: Record<string, InputDescriptor> = {};
  for (const name of Object.keys(map)) {
    described[name] = describeInput(`${owner}: input '${name}'`, map[name]);
  }
  return described;
}

function defOf(schema: unknown): Def | undefined {
  if (!isObject(schema)) return undefined;
  const inner = isObject(schema._zod) ? schema._zod.def : schema.def;
  return isObject(inner) && typeof inner.type === 'string' ? inner : undefined;
}

function describeInput(owner: string, schema: unknown): InputDescriptor {
  let optional = false;
  let nullable = false;
  let fallback: { readonly value: unknown } | undefined;
  let def = defOf(schema);
  while (def && (def.type === 'optional' || def.type === 'nullable' || def.type === 'default')) {
    if (def.type === 'optional') optional = true;
    else if (def.type === 'nullable') nullable = true;
    else if (fallback === undefined && def.defaultValue !== undefined) fallback = { value: def.defaultValue };
    def = defOf(def.innerType);
  }
  if (!def)
    throw new TypeError(
      `${owner} is no zod schema; write z.string(), z.number(), z.boolean(), z.enum([…]) or z.literal(…)`,
    );
  const described: InputDescriptor = { type: 'string', optional, nullable };
  if (fallback) described.default = fallback.value;
  return fillKind(owner, def, described);
}

function fillKind(owner: string, def: Def, described: InputDescriptor): InputDescriptor {
  switch (def.type) {
    case 'string':
    case 'number':
      described.type = def.type;
      for (const check of checksOf(def)) fillCheck(owner, check, described);
      return described;
    case 'boolean':
      described.type = 'boolean';
      return described;
    case 'enum':
      described.type = 'enum';
      described.values = Object.values(isObject(def.entries) ? def.entries : {}).map(String);
      return described;
    case 'literal':
      described.type = 'literal';
      described.literal = Array.isArray(def.values) ? def.values[0] : undefined;
      return described;
    default:
      throw new TypeError(`${owner} is a z.${String(def.type)}, which cannot be asked for; use ${SUPPORTED}`);
  }
}

/** Checks of a schema; a format schema such as `z.int()` is a check itself. */
function checksOf(def: Def): Def[] {
  const checks = Array.isArray(def.checks) ? def.checks : [];
  const own = typeof def.check === 'string' ? [def] : [];
  return [...own, ...checks.map((check: unknown) => checkDef(check)).filter((check) => check !== undefined)];
}

function checkDef(check: unknown): Def | undefined {
  if (!isObject(check)) return undefined;
  const inner = isObject(check._zod) ? check._zod.def : check.def;
  return isObject(inner) ? inner : undefined;
}

function fillCheck(owner: string, check: Def, described: InputDescriptor): void {
  switch (check.check) {
    case 'min_length':
      described.min = Number(check.minimum);
      return;
    case 'max_length':
      described.max = Number(check.maximum);
      return;
    case 'length_equals':
      described.min = Number(check.length);
      described.max = Number(check.length);
      return;
    case 'greater_than':
      described.min = Number(check.value);
      return;
    case 'less_than':
      described.max = Number(check.value);
      return;
    case 'number_format':
      if (check.format === 'safeint' || check.format === 'int32' || check.format === 'uint32') {
        described.type = 'integer';
        return;
      }
      break;
    case 'string_format':
      if (check.format === 'regex' && isRegExp(check.pattern)) {
        described.pattern = check.pattern.source;
        return;
      }
      break;
  }
  const name = String(check.format ?? check.check ?? 'custom');
  throw new TypeError(`${owner} uses the check '${name}', which cannot be asked for; use ${SUPPORTED}`);
}
