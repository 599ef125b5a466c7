/** Checks what steps return against the schemas that they declare. */

import type { OutputSchemas } from '../step.js';
import { isObject } from '../tags.js';

interface Issue {
  readonly path?: readonly PropertyKey[];
  readonly message: string;
}

interface Parsed {
  readonly success: boolean;
  readonly error?: { readonly issues: readonly Issue[] };
}

/** A value does not fit its schema. */
class SchemaError extends Error {
  override readonly name = 'SchemaError';
}

/** Fails when `value` lacks one of the declared outputs, or has one of another type. */
export async function checkOutputs(step: string, schemas: OutputSchemas, value: unknown): Promise<void> {
  const outputs = isObject(value) && !Array.isArray(value) ? value : {};
  const problems: string[] = [];
  for (const [key, schema] of Object.entries(schemas))
    problems.push(...(await issuesOf(schema, outputs[key], [key])));
  if (problems.length === 0) return;
  throw new SchemaError(
    `Step '${step}' returned outputs that do not fit its \`outputs\` schema: ${problems.join('; ')}`,
  );
}

/** Fails when a check's drift does not fit the `drift` schema; `null` is no drift. */
export async function checkDrift(step: string, schema: unknown, value: unknown): Promise<void> {
  if (value === null || value === undefined) return;
  const problems = await issuesOf(schema, value, []);
  if (problems.length === 0) return;
  throw new SchemaError(
    `Step '${step}': \`check\` returned drift that does not fit its \`drift\` schema: ${problems.join('; ')}`,
  );
}

async function issuesOf(schema: unknown, value: unknown, path: readonly PropertyKey[]): Promise<string[]> {
  if (!isObject(schema) || typeof schema.safeParseAsync !== 'function') return [];
  const parsed = await (schema.safeParseAsync as (value: unknown) => Promise<Parsed>)(value);
  if (parsed.success) return [];
  return (parsed.error?.issues ?? []).map((issue) => {
    const place = [...path, ...(issue.path ?? [])].map(String).join('.');
    return place === '' ? issue.message : `${place}: ${issue.message}`;
  });
}
