/** `ctx.$` as the author sees it: the semantics of zx. */

import type { AbortSignalLike } from '../types/globals.js';
import type { ProcessOutput } from './process-output.js';

/** `1000`, `'500ms'`, `'10s'`, `'2m'`. */
export type ShellDuration = number | `${number}` | `${number}ms` | `${number}s` | `${number}m`;

/** What can stand in `${…}`: quoted as one argument, a list as several, a finished command as its output. */
export type ShellArg = unknown;

/** Options of `$({ … })`. */
export interface ShellOptions {
  /** Working directory, relative to the workspace. */
  readonly cwd?: string;
  /** Replaces the whole environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Program that runs the command; default bash. */
  readonly shell?: string | true;
  /** Put in front of every command; default `set -euo pipefail;`. */
  readonly prefix?: string;
  /** Put behind every command. */
  readonly postfix?: string;
  /** Text for the command's standard input. */
  readonly input?: string | Uint8Array | ProcessOutput;
  /** Do not log the output. */
  readonly quiet?: boolean;
  /** Log the command as well. */
  readonly verbose?: boolean;
  /** Do not fail on a non-zero exit code; a list names codes that are fine. */
  readonly nothrow?: boolean | readonly number[];
  readonly timeout?: ShellDuration;
  /** Signal that a timeout or abort sends; default SIGTERM. */
  readonly timeoutSignal?: string;
  readonly killSignal?: string;
  /** Kills the command when it fires. */
  readonly signal?: AbortSignalLike;
}

/** The shell: a tag for template literals, or a call with options that gives a shell with those. */
export interface Shell {
  (pieces: TemplateStringsArray, ...args: ShellArg[]): ProcessPromise;
  (options: ShellOptions): Shell;
  /** Not available: it would stop all other work of the job. */
  readonly sync: Shell;
}

/** What a command's output can be piped to. */
export type PipeTarget = ProcessPromise | { write(text: string): unknown; end?(): unknown } | string;

/** A running command. */
export interface ProcessPromise extends PromiseLike<ProcessOutput> {
  catch<T>(onRejected: (error: unknown) => T | PromiseLike<T>): Promise<ProcessOutput | T>;
  finally(onSettled: () => void): Promise<ProcessOutput>;
  /** The command after quoting. */
  readonly cmd: string;
  /** Never rejects. */
  readonly exitCode: Promise<number | null>;
  /** Output as it comes. */
  readonly stdout: AsyncIterable<string>;
  readonly stderr: AsyncIterable<string>;
  /** Lines of stdout as they come; rejects like the command. */
  lines(delimiter?: string | RegExp): AsyncIterable<string> & PromiseLike<string[]>;
  [Symbol.asyncIterator](): AsyncIterator<string>;
  /** Stdout to another command (`$` or a template), a writable, or a file. */
  pipe(target: TemplateStringsArray, ...args: ShellArg[]): ProcessPromise;
  pipe(target: PipeTarget): ProcessPromise;
  text(): Promise<string>;
  json<T = unknown>(): Promise<T>;
  buffer(): Promise<Uint8Array>;
  quiet(on?: boolean): ProcessPromise;
  verbose(on?: boolean): ProcessPromise;
  nothrow(on?: boolean | readonly number[]): ProcessPromise;
  timeout(duration: ShellDuration, signal?: string): ProcessPromise;
  kill(signal?: string): Promise<void>;
  abort(): void;
}
