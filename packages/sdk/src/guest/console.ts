/** `console` and `process.stdout` of the embedded engine, sent to the log of the call that runs. */

import { format, inspect } from './format.js';

/** Takes text for one of the two streams. */
export type Write = (stream: 'stdout' | 'stderr', text: string) => void;

/** Installs them. Node has its own, whose streams `node-main` captures. */
export function installConsole(write: Write): void {
  const target = globalThis as unknown as Record<string, unknown>;
  target.console = createConsole(write);
  const process = target.process;
  if (typeof process !== 'object' || process === null) return;
  for (const stream of ['stdout', 'stderr'] as const) {
    const writable = {
      isTTY: false,
      writable: true,
      write(text: unknown, ...rest: unknown[]): boolean {
        write(stream, typeof text === 'string' ? text : decode(text));
        const done = rest.find((value) => typeof value === 'function');
        if (typeof done === 'function') (done as () => void)();
        return true;
      },
      end(text?: unknown): void {
        if (text !== undefined) writable.write(text);
      },
      on: () => writable,
      once: () => writable,
    };
    Object.defineProperty(process, stream, { value: writable, configurable: true, writable: true });
  }
}

function decode(bytes: unknown): string {
  if (bytes instanceof Uint8Array && typeof TextDecoder === 'function') return new TextDecoder().decode(bytes);
  return String(bytes);
}

function createConsole(write: Write): Record<string, unknown> {
  let indent = '';
  const counts = new Map<string, number>();
  const timers = new Map<string, number>();
  const to = (stream: 'stdout' | 'stderr') => (...args: unknown[]): void => {
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
