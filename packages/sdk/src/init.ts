/** `init`: what prepares the workspace before the steps of a job. */

import type { CacheSpec } from './cache.js';
import { isObject } from './tags.js';

/** A shell command. */
export interface InitCommand {
  readonly run: string;
  readonly shell?: 'bash' | 'sh' | 'pwsh' | 'powershell' | (string & {});
  readonly cache?: CacheSpec;
  /** Milliseconds; default 10 minutes. */
  readonly timeout?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Tools from `mise`. */
export interface InitMise {
  readonly mise: { readonly version?: string; readonly cache?: CacheSpec | false; readonly timeout?: number };
}

/** One thing to do. */
export type InitItem = InitCommand | InitMise | 'mise';
/** `init` of a job: `'auto'` uses mise where its files exist. */
export type Init = InitItem | readonly InitItem[] | 'auto' | false;

/** Fails with what to write when `init` is wrong. */
export function checkInit(owner: string, init: unknown): void {
  if (init === false || init === 'auto') return;
  const items: readonly unknown[] = Array.isArray(init) ? init : [init];
  items.forEach((item, index) => {
    const place = Array.isArray(init) ? `init[${index}]` : 'init';
    if (item === 'mise' || (isObject(item) && item.mise !== undefined)) return;
    if (item === 'auto') {
      throw new TypeError(
        `${owner}: \`${place}\` cannot be 'auto' inside a list; write init: 'auto' alone, or 'mise'`,
      );
    }
    if (!isObject(item) || typeof item.run !== 'string' || item.run.trim() === '') {
      throw new TypeError(
        `${owner}: \`${place}\` needs a command; write { run: 'npm ci' }, 'mise' or 'auto'`,
      );
    }
  });
}
