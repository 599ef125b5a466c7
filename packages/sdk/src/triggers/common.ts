/** What all triggers share: options, tags, and checks of their options. */

import { defined, isRegExp, listOf } from '../tags.js';
import type { Pattern, Patterns } from '../types/selectors.js';

/** One value or several. */
export type OneOrMore<T> = T | readonly T[];

/** Options of every trigger. */
export interface TriggerOptions {
  readonly description?: string;
}

/** Options of triggers that listen to a forge. */
export interface ForgeTriggerOptions extends TriggerOptions {
  /** Repositories to listen to: makes the workflow global. */
  readonly repos?: Patterns;
}

/** What the factories of forge triggers have in common once made. */
export interface ForgeTriggerFields {
  readonly repos?: readonly Pattern[];
  readonly description?: string;
}

/** Builds a frozen trigger without undefined fields. */
export function makeTrigger<T extends { readonly _tag: string }>(fields: T): Readonly<T> {
  return Object.freeze(defined(fields));
}

/** A list of patterns; fails with what to write when one is neither string nor RegExp. */
export function patterns(
  owner: string,
  key: string,
  value: Patterns | undefined,
): readonly Pattern[] | undefined {
  const list = listOf<Pattern>(value);
  for (const pattern of list ?? []) {
    if (typeof pattern === 'string' || isRegExp(pattern)) continue;
    throw new TypeError(
      `${owner}: \`${key}\` takes strings and regular expressions; write ${key}: ['main', /^release-/]`,
    );
  }
  return list;
}

/** A list of words out of `allowed`; fails with the words there are. */
export function words<T extends string>(
  owner: string,
  key: string,
  value: OneOrMore<T> | undefined,
  allowed: readonly T[],
): readonly T[] | undefined {
  const list = listOf<T>(value);
  for (const word of list ?? []) {
    if (allowed.includes(word)) continue;
    throw new TypeError(
      `${owner}: \`${key}\` does not know ${JSON.stringify(word)}; write one of ${allowed.join(', ')}`,
    );
  }
  return list;
}

/** A list of free strings. */
export function strings(
  owner: string,
  key: string,
  value: OneOrMore<string> | undefined,
): readonly string[] | undefined {
  const list = listOf<string>(value);
  for (const text of list ?? []) {
    if (typeof text !== 'string')
      throw new TypeError(`${owner}: \`${key}\` takes strings; got ${JSON.stringify(text)}`);
  }
  return list;
}

/** A non-blank string; fails with an example. */
export function required(owner: string, key: string, value: unknown, example: string): string {
  if (typeof value !== 'string' || value.trim() === '') {
    throw new TypeError(`${owner}: \`${key}\` is missing; write ${example}`);
  }
  return value;
}

/** A non-empty list; fails with an example. */
export function requiredList<T>(
  owner: string,
  key: string,
  value: readonly T[] | undefined,
  example: string,
): readonly T[] {
  if (value === undefined || value.length === 0)
    throw new TypeError(`${owner}: \`${key}\` is missing; write ${example}`);
  return value;
}

/** `repos` and `description`, as every forge trigger has them. */
export function forgeFields(owner: string, options: ForgeTriggerOptions): ForgeTriggerFields {
  return { repos: patterns(owner, 'repos', options.repos), description: options.description };
}
