/**
 * Pipes between commands.
 *
 * Two commands that have not started yet and run in the same way become one script, so that the system
 * moves the bytes. Otherwise the second gets the first one's output as input once that has ended.
 */

import type { Dialect } from './quote.js';
import type { ShellOptions } from './types.js';

/** What decides whether two commands can be one script. */
export interface Composed {
  readonly options: ShellOptions;
  readonly dialect: Dialect;
  readonly command: string | Promise<string>;
}

/** Options that belong to one process as a whole. */
const SHARED = ['cwd', 'env', 'shell', 'prefix', 'postfix'] as const;
/** Options of the first command that one script could not honour. */
const OWN = ['nothrow', 'timeout', 'signal', 'input'] as const;

/** Whether `first | second` can be one script. */
export function canCompose(first: Composed, second: Composed): boolean {
  if (!first.dialect.pipefail || second.options.input !== undefined) return false;
  if (OWN.some((key) => first.options[key] !== undefined && first.options[key] !== false)) return false;
  return SHARED.every((key) => first.options[key] === second.options[key]);
}

/** Newlines keep comments and here-documents of the author inside their side. */
export function composeScripts(first: string, second: string): string {
  return `(\n${first}\n) | (\n${second}\n)`;
}
