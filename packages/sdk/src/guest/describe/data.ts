/** Author's values as plain data: functions become handles, regular expressions `{"$re"}`. */

import { isObject, isRegExp } from '../../tags.js';
import type { HandleTable, JobScope } from '../handles.js';

/** Converts a value for a description; `undefined` and symbols are dropped. */
export function toData(value: unknown, handles: HandleTable, scope?: JobScope): unknown {
  if (typeof value === 'function') return handles.add(value, scope);
  if (isRegExp(value)) return { $re: { source: value.source, flags: value.flags } };
  if (Array.isArray(value)) return value.map((item) => toData(item, handles, scope) ?? null);
  if (!isObject(value)) return typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value;
  if (typeof value.toJSON === 'function') return JSON.parse(JSON.stringify(value)) as unknown;
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const item = toData(value[key], handles, scope);
    if (item !== undefined) out[key] = item;
  }
  return out;
}

/** All fields of `source` but `except`, as data. */
export function restOf(
  source: Readonly<Record<PropertyKey, unknown>>,
  except: ReadonlySet<string>,
  handles: HandleTable,
  scope?: JobScope,
): Record<string, unknown> {
  const rest: Record<string, unknown> = {};
  for (const key of Object.keys(source)) {
    if (except.has(key) || source[key] === undefined) continue;
    rest[key] = toData(source[key], handles, scope);
  }
  return rest;
}

/** The location that a factory noted. */
export function locationOf(value: object): unknown {
  const { _sourceLocation: location } = value as { readonly _sourceLocation?: unknown };
  if (!isObject(location) || typeof location.file !== 'string') return undefined;
  const { file, line, column } = location;
  return { file: cleanFile(file), line: Number(line), column: Number(column) };
}

/** A file's name without the query that loaders add. */
export function cleanFile(file: string): string {
  const path = file.replace(/[?#].*$/, '');
  if (!path.startsWith('file://')) return path;
  try {
    return decodeURIComponent(path.slice('file://'.length)).replace(/^\/([A-Za-z]:)/, '$1');
  } catch {
    return path.slice('file://'.length);
  }
}
