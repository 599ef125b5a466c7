/** Turns values into shell words that mean exactly those values. */

/** Quotes one word. */
export type Quote = (word: string) => string;

const SAFE = /^[\w/.\-+@:=,%]+$/;

/** bash, zsh, ksh: `$'…'` with escapes, as zx does. */
export const quote: Quote = (word) => {
  if (word === '') return "$''";
  if (SAFE.test(word)) return word;
  const escaped = word
    .replace(/\\/g, '\\\\')
    .replace(/'/g, "\\'")
    .replace(/\f/g, '\\f')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t')
    .replace(/\v/g, '\\v')
    .replace(/\0/g, '\\0');
  return `$'${escaped}'`;
};

/** Any POSIX shell: `'…'`. */
export const quotePosix: Quote = (word) => {
  if (word !== '' && SAFE.test(word)) return word;
  return `'${word.replace(/'/g, "'\\''")}'`;
};

/** PowerShell: `'…'` with doubled quotes. */
export const quotePowerShell: Quote = (word) => {
  if (word !== '' && SAFE.test(word)) return word;
  return `'${word.replace(/'/g, "''")}'`;
};

/** How commands are written for a shell. */
export interface Dialect {
  readonly quote: Quote;
  /** Put in front of commands unless the author chose something else. */
  readonly prefix: string;
  /** Whether `( … ) | ( … )` works and fails when either side does. */
  readonly pipefail: boolean;
}

const BASH: Dialect = { quote, prefix: 'set -euo pipefail;', pipefail: true };
const POSIX: Dialect = { quote: quotePosix, prefix: 'set -eu;', pipefail: false };
const POWERSHELL: Dialect = { quote: quotePowerShell, prefix: '', pipefail: false };

/** The dialect of a shell, told by its program's name. */
export function dialectOf(shell: string): Dialect {
  const name = (shell.split(/[\\/]/).pop() ?? '').replace(/\.exe$/i, '');
  if (['bash', 'zsh', 'ksh'].includes(name)) return BASH;
  return ['pwsh', 'powershell'].includes(name) ? POWERSHELL : POSIX;
}

/** The text of one `${…}`: finished commands give their output without the last line end. */
export function argText(arg: unknown): string {
  if (typeof arg === 'object' && arg !== null && 'stdout' in arg && typeof arg.stdout === 'string') {
    return arg.stdout.replace(/\r?\n$/, '');
  }
  return String(arg);
}

/** Joins the pieces of a template with its quoted arguments. */
export function buildCommand(quoteWord: Quote, pieces: readonly string[], args: readonly unknown[]): string {
  let command = pieces[0] ?? '';
  args.forEach((arg, index) => {
    const words: readonly unknown[] = Array.isArray(arg) ? arg : [arg];
    command += words.map((word) => quoteWord(argText(word))).join(' ') + (pieces[index + 1] ?? '');
  });
  return command;
}
