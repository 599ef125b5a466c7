/** Caches: what they are keyed by and which paths they hold. */

import { z } from 'zod';
import { listOf } from './tags.js';

/** A cache. Paths are relative to the repository or start with `~`. */
export interface CacheSpec {
  /** Immutable: the first save of a key wins. */
  readonly key: string;
  readonly paths: readonly string[];
  /** Prefixes tried in order when `key` has no entry; the newest entry wins. */
  readonly restoreKeys?: readonly string[];
}

/** What a restore found. */
export interface CacheRestoreResult {
  readonly hit: boolean;
  readonly matchedKey?: string;
}

/** Checks a cache spec that comes from outside. */
export const CacheSpecSchema = z.strictObject({
  key: z.string().min(1),
  paths: z.array(z.string().min(1)).min(1),
  restoreKeys: z.array(z.string().min(1)).optional(),
});

/** `cache` as a list, whatever form the author chose. */
export function normalizeCacheSpecs(cache: CacheSpec | readonly CacheSpec[] | undefined): CacheSpec[] {
  return listOf(cache) ?? [];
}
