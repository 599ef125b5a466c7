/** How a command ended: its output, its exit code, and the error that it is when it failed. */

import { fromBase64, utf8 } from './bytes.js';

/** What a runner knows about a finished command. */
export interface ProcessResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdall: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly duration: number;
  readonly timedOut?: boolean;
  readonly stdoutBase64?: string;
  /** The command after quoting. */
  readonly command: string;
  /** Where the author wrote it. */
  readonly from: string;
  /** Frames of the author's stack. */
  readonly stack: string;
}

/** Marks outputs across copies of the SDK. */
const BRAND = Symbol.for('kici:ProcessOutput');
/** A failing command may have printed megabytes; an error message is read by people. */
const MAX_STDERR_IN_MESSAGE = 8192;
const MAX_COMMAND_IN_MESSAGE = 120;

const EXIT_CODES: Readonly<Record<number, string>> = {
  1: 'General error',
  2: 'Misuse of shell builtins',
  126: 'Invoked command cannot execute',
  127: 'Command not found',
  128: 'Invalid exit argument',
  130: 'Script terminated by Ctrl-C (SIGINT)',
  137: 'Killed (SIGKILL)',
  139: 'Segmentation fault (SIGSEGV)',
  141: 'Broken pipe (SIGPIPE)',
  143: 'Terminated (SIGTERM)',
};

function messageOf(result: ProcessResult): string {
  const { exitCode, signal, stderr, from, timedOut, duration } = result;
  if (exitCode === 0 && signal === null) return 'exit code: 0';
  const cut = stderr.length > MAX_STDERR_IN_MESSAGE;
  const tail = cut ? `… ${stderr.slice(-MAX_STDERR_IN_MESSAGE)}` : stderr;
  const meaning = exitCode === null ? undefined : EXIT_CODES[exitCode];
  const lines = [
    tail.trim() === '' ? `${shorten(result.command)} failed` : tail.replace(/\n$/, ''),
    `    at ${from}`,
    `    exit code: ${String(exitCode)}${meaning ? ` (${meaning})` : ''}`,
  ];
  if (signal !== null) lines.push(`    signal: ${signal}`);
  if (timedOut) lines.push(`    timed out after ${duration}ms`);
  return lines.join('\n');
}

/** The first line of a command, in quotes: the reason of a step's failure should not be blank. */
function shorten(command: string): string {
  const [first = '', ...more] = command.trim().split('\n');
  const cut = first.length > MAX_COMMAND_IN_MESSAGE;
  return `\`${first.slice(0, MAX_COMMAND_IN_MESSAGE)}${cut || more.length > 0 ? ' …' : ''}\``;
}

/** How a command ended. Thrown when it failed. */
export class ProcessOutput extends Error {
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams as they came. */
  readonly stdall: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Milliseconds. */
  readonly duration: number;

  constructor(result: ProcessResult) {
    super(messageOf(result));
    this.name = 'ProcessOutput';
    this.stdout = result.stdout;
    this.stderr = result.stderr;
    this.stdall = result.stdall;
    this.exitCode = result.exitCode;
    this.signal = result.signal;
    this.duration = result.duration;
    hide(this, 'stack', `${this.name}: ${this.message}${result.stack && `\n${result.stack}`}`);
    hide(this, 'bytes', result.stdoutBase64);
    hide(this, BRAND, true);
  }

  /** Works for outputs of another copy of the SDK too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  /** Exit code 0, and no signal. */
  get ok(): boolean {
    return this.exitCode === 0 && this.signal === null;
  }

  override toString(): string {
    return this.stdall;
  }

  override valueOf(): string {
    return this.stdall.trim();
  }

  text(): string {
    return this.stdall;
  }

  /** Stdout, parsed. */
  json<T = unknown>(): T {
    return JSON.parse(this.stdout) as T;
  }

  /** Lines of stdout, without their ends. */
  lines(delimiter: string | RegExp = /\r?\n/): string[] {
    const parts = this.stdout.split(delimiter);
    if (parts[parts.length - 1] === '') parts.pop();
    return parts;
  }

  /** Stdout as bytes; exact when asked for before the command started (`await $`…`.buffer()`). */
  buffer(): Uint8Array {
    const { bytes } = this as unknown as { readonly bytes: string | undefined };
    return bytes === undefined ? utf8(this.stdout) : fromBase64(bytes);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.lines()[Symbol.iterator]();
  }
}

function hide(target: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: false, configurable: true, writable: true });
}
