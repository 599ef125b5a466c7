/** What a command of `ctx.$` is made of, and the host call that it becomes. */

import type { RunParams, ShellBackend } from './backend.js';
import { toBase64 } from './bytes.js';
import { parseDuration } from './duration.js';
import type { Command } from './process-promise.js';
import { ProcessOutput } from './process-output.js';
import type { Dialect } from './quote.js';
import type { ShellArg, ShellOptions } from './types.js';

/** What a command is made of. */
export interface CommandSpec {
  /** The command; a promise when an argument is one. */
  readonly command: string | Promise<string>;
  readonly options: ShellOptions;
  readonly dialect: Dialect;
  readonly backend: ShellBackend;
  /** Where the author wrote it. */
  readonly from: string;
  readonly stack: string;
  /** Makes another command with the same options, for `pipe` with a template. */
  readonly sibling: (pieces: TemplateStringsArray, args: readonly ShellArg[]) => Command;
}

/** What is known about a command when it starts. */
export interface Start {
  readonly script: string;
  readonly options: ShellOptions;
  readonly dialect: Dialect;
  readonly input: ShellOptions['input'];
  /** Output is wanted as it comes. */
  readonly stream: boolean;
  /** Output is wanted as bytes. */
  readonly binary: boolean;
}

/** Parameters of `process.run` for a command. */
export function runParams({ script, options, dialect, input, stream, binary }: Start): RunParams {
  const { cwd, env, shell, prefix, postfix = '', quiet = false, verbose, timeout, timeoutSignal } = options;
  return {
    command: `${script}${postfix}`,
    shell: typeof shell === 'string' ? shell : 'bash',
    prefix: prefix ?? dialect.prefix,
    quiet,
    ...(verbose ? { verbose } : {}),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: definedEnv(env) }),
    ...(timeout === undefined ? {} : { timeoutMs: parseDuration(timeout) }),
    ...(timeoutSignal === undefined ? {} : { timeoutSignal }),
    ...inputParams(input),
    ...(stream ? { stream } : {}),
    ...(binary ? { encoding: 'base64' as const } : {}),
  };
}

function inputParams(input: ShellOptions['input']): Pick<RunParams, 'input' | 'inputBase64'> {
  if (input === undefined) return {};
  if (typeof input === 'string') return { input };
  return input instanceof ProcessOutput ? { input: input.stdout } : { inputBase64: toBase64(input) };
}

function definedEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [key, value] of Object.entries(env)) if (value !== undefined) out[key] = String(value);
  return out;
}

/** Whether a value is what a template literal gives to its tag. */
export function isTemplate(value: unknown): value is TemplateStringsArray {
  return Array.isArray(value) && 'raw' in value;
}
