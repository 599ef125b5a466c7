/** `console` of the embedded engine, sent to the log of the call that runs. */

import { format, inspect } from './format.js';

/** Takes text for one of the two streams. */
export type Write = (stream: 'stdout' | 'stderr', text: string) => void;

/** Installs it. Node has its own, whose streams `node-main` captures. */
export function installConsole(write: Write): void {
  (globalThis as unknown as Record<string, unknown>).console = createConsole(write);
}

function createConsole(write: Write): Record<string, unknown> {
  let indent = '';
  const counts = new Map<string, number>();
  const timers = new Map<string, number>();
  const to =
    (stream: 'stdout' | 'stderr') =>
    (...args: unknown[]): void => {
      write(stream, `${(indent + format(args)).replace(/\n/g, `\n${indent}`)}\n`);
    };
  const out = to('stdout');
  const err = to('stderr');
  const label = (value: unknown): string => (value === undefined ? 'default' : String(value));
  const elapsed = (name: string): string => `${name}: ${Date.now() - (timers.get(name) ?? Date.now())}ms`;
  return {
    log: out,
    info: out,
    debug: out,
    error: err,
    warn: err,
    trace: (...args: unknown[]) => err(`Trace: ${format(args)}\n${new Error('trace').stack ?? ''}`),
    assert: (ok: unknown, ...args: unknown[]) => {
      if (!ok) err(args.length > 0 ? `Assertion failed: ${format(args)}` : 'Assertion failed');
    },
    dir: (value: unknown) => out(inspect(value)),
    table: (value: unknown) => out(inspect(value)),
    group: (...args: unknown[]) => {
      if (args.length > 0) out(...args);
      indent += '  ';
    },
    groupCollapsed: (...args: unknown[]) => {
      if (args.length > 0) out(...args);
      indent += '  ';
    },
    groupEnd: () => {
      indent = indent.slice(2);
    },
    count: (name?: unknown) => {
      const count = (counts.get(label(name)) ?? 0) + 1;
      counts.set(label(name), count);
      out(`${label(name)}: ${count}`);
    },
    countReset: (name?: unknown) => void counts.delete(label(name)),
    time: (name?: unknown) => void timers.set(label(name), Date.now()),
    timeLog: (name?: unknown, ...args: unknown[]) => out(elapsed(label(name)), ...args),
    timeEnd: (name?: unknown) => {
      out(elapsed(label(name)));
      timers.delete(label(name));
    },
  };
}
