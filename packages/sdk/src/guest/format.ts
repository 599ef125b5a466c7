/** Values as log text, much like Node's `util.format`. */

import { isObject, isRegExp } from '../tags.js';

const MAX_DEPTH = 3;
const MAX_ITEMS = 100;

/** Joins arguments with spaces; a first string may hold `%s %d %i %f %j %o %O %%`. */
export function format(args: readonly unknown[]): string {
  const [first, ...rest] = args;
  if (typeof first !== 'string') return args.map(show).join(' ');
  if (rest.length === 0) return first;
  let next = 0;
  const text = first.replace(/%([sdifjoOc%])/g, (found, kind: string) => {
    if (kind === '%') return '%';
    if (next >= rest.length) return found;
    const value = rest[next++];
    switch (kind) {
      case 's':
        return show(value);
      case 'd':
        return String(Number(value));
      case 'i':
        return String(Number.parseInt(String(value), 10));
      case 'f':
        return String(Number.parseFloat(String(value)));
      case 'j':
        return JSON.stringify(value) ?? 'undefined';
      case 'c':
        return '';
      default:
        return inspect(value);
    }
  });
  return [text, ...rest.slice(next).map(show)].join(' ');
}

/** Strings as they are, everything else inspected. */
export function show(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value);
}

/** A value as a literal that people can read. */
export function inspect(value: unknown, depth = 0, seen: readonly unknown[] = []): string {
  if (typeof value === 'string') return depth === 0 ? value : quoteText(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `[Function${value.name ? `: ${value.name}` : ' (anonymous)'}]`;
  if (!isObject(value)) return String(value);
  if (seen.includes(value)) return '[Circular]';
  if (value instanceof Error) return errorText(value);
  if (isRegExp(value)) return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  const inner = (item: unknown): string => inspect(item, depth + 1, [...seen, value]);
  if (Array.isArray(value)) return depth > MAX_DEPTH ? '[Array]' : brackets('[', value.map(inner), ']');
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => `${inner(key)} => ${inner(item)}`);
    return `Map(${value.size}) ${brackets('{', entries, '}')}`;
  }
  if (value instanceof Set) return `Set(${value.size}) ${brackets('{', [...value].map(inner), '}')}`;
  if (value instanceof Promise) return 'Promise { <pending> }';
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null)?.constructor
    ?.name;
  const prefix = name && name !== 'Object' ? `${name} ` : '';
  if (depth > MAX_DEPTH) return `[${prefix.trim() || 'Object'}]`;
  const fields = Object.keys(value).map(
    (key) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : quoteText(key)}: ${inner(value[key])}`,
  );
  return prefix + brackets('{', fields, '}');
}

function errorText(error: Error): string {
  const head = `${error.name}: ${error.message}`;
  const stack = error.stack ?? '';
  if (stack === '') return head;
  // QuickJS stacks have no head line.
  return stack.startsWith(error.name) ? stack : `${head}\n${stack.trimEnd()}`;
}

function quoteText(text: string): string {
  return text.includes("'")
    ? JSON.stringify(text)
    : `'${JSON.stringify(text).slice(1, -1).replace(/\\"/g, '"')}'`;
}

function brackets(open: string, items: readonly string[], close: string): string {
  if (items.length === 0) return open + close;
  const shown =
    items.length > MAX_ITEMS ? [...items.slice(0, MAX_ITEMS), `… ${items.length - MAX_ITEMS} more`] : items;
  const line = shown.join(', ');
  if (line.length <= 72 && !line.includes('\n')) return open === '[' ? `[ ${line} ]` : `{ ${line} }`;
  return `${open}\n  ${shown.join(',\n').replace(/\n/g, '\n  ')}\n${close}`;
}
