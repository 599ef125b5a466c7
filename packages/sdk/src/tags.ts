/**
 * How objects of the SDK are told apart: by tags, never by `instanceof`.
 *
 * A workflow may be written against another copy of the SDK than the one that runs it, so every test
 * here looks at data only.
 */

/** Key of the group name on a generator made by `dynamicJob`. */
export const DYNAMIC_JOB_GROUP: unique symbol = Symbol.for('kici:dynamicJobGroup') as never;
/** Key of the needs on a result-aware generator. */
export const DYNAMIC_JOB_NEEDS: unique symbol = Symbol.for('kici:dynamicJobNeeds') as never;
/** Key that marks a reference made by `dynamicGroup`. */
export const DYNAMIC_GROUP: unique symbol = Symbol.for('kici:dynamicGroup') as never;

/** Whether `value` is an object that carries `_tag: tag`. */
export function hasTag(value: unknown, tag: string): value is { readonly _tag: string } {
  return isObject(value) && value._tag === tag;
}

/** Whether `value` is a non-null object (functions are not). */
export function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Whether `value` is a plain record: an object that is neither an array nor a RegExp. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !Array.isArray(value) && !isRegExp(value);
}

/** Whether `value` is a RegExp, of any realm. */
export function isRegExp(value: unknown): value is RegExp {
  return Object.prototype.toString.call(value) === '[object RegExp]';
}

/** Puts a single value into a list; leaves lists as they are; absent gives absent. */
export function listOf<T>(value: T | readonly T[] | undefined): T[] | undefined {
  if (value === undefined) return undefined;
  return Array.isArray(value) ? [...(value as readonly T[])] : [value as T];
}

/** A copy of `value` without keys whose value is `undefined`. */
export function defined<T extends object>(value: T): T {
  const out = {} as T;
  for (const key of Object.keys(value) as (keyof T)[]) {
    if (value[key] !== undefined) out[key] = value[key];
  }
  return out;
}
