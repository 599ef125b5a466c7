/** Builds `ctx.$` over a runner. */

import { stackFrames } from '../source-location.js';
import type { ShellBackend } from './backend.js';
import { isTemplate } from './command-spec.js';
import { Command } from './process-promise.js';
import { buildCommand, dialectOf } from './quote.js';
import type { ProcessPromise, Shell, ShellArg, ShellOptions } from './types.js';

const DEFAULT_SHELL = 'bash';

/** Options that may also be set on the shell itself: `$.quiet = true`. */
const SETTABLE = [
  'cwd',
  'env',
  'shell',
  'prefix',
  'postfix',
  'quiet',
  'verbose',
  'nothrow',
  'timeout',
  'timeoutSignal',
  'killSignal',
] as const;

/** A shell with options that hold for all its commands. */
export function createShell(backend: ShellBackend, preset: ShellOptions = {}): Shell {
  const options: Record<string, unknown> = { ...backend.defaults, ...preset };
  const shell = (first: TemplateStringsArray | ShellOptions, ...args: ShellArg[]): Shell | ProcessPromise => {
    if (!isTemplate(first)) {
      if (typeof first !== 'object' || first === null) {
        throw new TypeError(
          '$ is a tag for template literals; write $`command ${argument}`, or $({ quiet: true })`command`',
        );
      }
      checkOptions(first);
      return createShell(backend, { ...options, ...first });
    }
    return start(backend, { ...options }, first, args, new Error('here').stack);
  };
  for (const key of SETTABLE) {
    Object.defineProperty(shell, key, {
      get: () => options[key],
      set: (value: unknown) => {
        options[key] = value;
      },
    });
  }
  Object.defineProperty(shell, 'sync', {
    get: () => {
      throw new Error('$.sync is not available: it would stop all other work of the job; write await $`…`');
    },
  });
  return shell as Shell;
}

function start(
  backend: ShellBackend,
  options: ShellOptions,
  pieces: TemplateStringsArray,
  args: readonly ShellArg[],
  callStack: string | undefined,
): Command {
  const frames = authorFrames(callStack);
  const here = stackFrames(frames[0])[0];
  const from = here ? `${backend.displayFile(here.file)}:${here.line}:${here.column}` : 'the workflow';
  if (pieces.some((piece) => piece === undefined)) {
    throw new Error(
      `malformed command at ${from}: a backslash starts an invalid escape; write \\\\ for one backslash`,
    );
  }
  const dialect = dialectOf(typeof options.shell === 'string' ? options.shell : DEFAULT_SHELL);
  const build = (values: readonly unknown[]): string => buildCommand(dialect.quote, pieces, values);
  const command = args.some(isThenable) ? Promise.all(args).then(build) : build(args);
  return new Command({
    command,
    options,
    dialect,
    backend,
    from,
    stack: frames.join('\n'),
    sibling: (morePieces, moreArgs) => start(backend, options, morePieces, moreArgs, callStack),
  });
}

const OWN_FILE = stackFrames(new Error('probe').stack)[0]?.file;

/** Lines of the stack from the author's call on. */
function authorFrames(stack: string | undefined): string[] {
  return (stack ?? '').split('\n').filter((line) => {
    const frame = stackFrames(line)[0];
    return frame !== undefined && frame.file !== OWN_FILE && !frame.file.startsWith('node:');
  });
}

function checkOptions(options: ShellOptions): void {
  if ('sync' in options && options.sync) {
    throw new Error(
      '$({ sync: true }) is not available: it would stop all other work of the job; write await $`…`',
    );
  }
  if (options.env !== undefined && (typeof options.env !== 'object' || options.env === null)) {
    throw new TypeError('$({ env }): `env` must be an object; write env: { ...process.env, KEY: "value" }');
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
