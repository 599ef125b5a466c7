/**
 * Main module of the Node engine: connects the guest to Rust over descriptors.
 *
 * It is given to `node --eval`, so it imports only `node:` modules. Descriptors: 3 frames in, 4 frames out,
 * 5 answers and 6 questions of the module loader (`docs/design/engine.md`, "Node's main module").
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { readSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { Socket } from 'node:net';
import { inspect } from 'node:util';
import { globals } from './guest/frames.js';

const FRAMES_IN = 3;
const FRAMES_OUT = 4;
const ANSWERS = 5;
const QUESTIONS = 6;
const OWN_SCHEME = 'kici:';

/** Writes all of a text; a full pipe makes it wait. */
function writeAll(descriptor: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function send(frame: object): void {
  writeAll(FRAMES_OUT, `${JSON.stringify(frame)}\n`);
}

interface LoaderAnswer {
  readonly url?: string;
  readonly format?: string;
  readonly code?: string;
  readonly next?: boolean;
  readonly error?: { readonly name: string; readonly message: string };
}

let unread = Buffer.alloc(0);

/** Asks Rust about a module and waits for the answer: Node's loader hooks are synchronous. */
function ask(question: object): LoaderAnswer {
  writeAll(QUESTIONS, `${JSON.stringify(question)}\n`);
  const chunk = Buffer.alloc(64 * 1024);
  for (;;) {
    const end = unread.indexOf(10);
    if (end >= 0) {
      const line = unread.subarray(0, end).toString();
      unread = unread.subarray(end + 1);
      const answer = JSON.parse(line) as LoaderAnswer;
      if (answer.error) throw loaderError(answer.error);
      return answer;
    }
    const read = readSync(ANSWERS, chunk, 0, chunk.length, null);
    if (read === 0) throw new Error('the module loader of the runner is gone');
    unread = Buffer.concat([unread, chunk.subarray(0, read)]);
  }
}

function loaderError({ name, message }: { readonly name: string; readonly message: string }): Error {
  const error = name === 'SyntaxError' ? new SyntaxError(message) : new Error(message);
  error.name = name;
  return error;
}

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier.startsWith('node:')) return nextResolve(specifier, context);
    // Our own modules are not imported by a file.
    const importer = specifier.startsWith(OWN_SCHEME) ? undefined : context.parentURL;
    const answer = ask({ resolve: specifier, importer });
    if (answer.next || answer.url === undefined) return nextResolve(specifier, context);
    return { url: answer.url, format: answer.format, importAttributes: {}, shortCircuit: true };
  },
  load(url, context, nextLoad) {
    if (!url.startsWith('file:') && !url.startsWith(OWN_SCHEME)) return nextLoad(url, context);
    const answer = ask({ load: url });
    if (answer.code === undefined) return nextLoad(url, context);
    return { format: 'module', source: answer.code, shortCircuit: true };
  },
});

const calls = new AsyncLocalStorage<number>();
const currentCall = (): number => calls.getStore() ?? 0;

function log(level: string, text: string, call = currentCall()): void {
  send({ type: 'notify', call, method: 'log', params: { level, text } });
}

for (const name of ['stdout', 'stderr'] as const) {
  const stream = process[name];
  const decoder = new TextDecoder();
  stream.write = (chunk: Uint8Array | string, encoding?: unknown, callback?: unknown): boolean => {
    log(name, typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
    const done = typeof encoding === 'function' ? encoding : callback;
    if (typeof done === 'function') process.nextTick(done);
    return true;
  };
}

const exit = process.exit.bind(process);
process.exit = (code?: number | string | null): never => {
  send({ type: 'exit', code: code ?? process.exitCode ?? 0 });
  return exit(code);
};

process.on('unhandledRejection', (reason) =>
  log('error', `unhandled promise rejection: ${textOf(reason)}`, 0),
);
process.on('uncaughtException', (error) => log('error', `uncaught error: ${textOf(error)}`, 0));

function textOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.stack ? thrown.stack : inspect(thrown);
}

globals.__kiciHost = { send: (json) => writeAll(FRAMES_OUT, `${json}\n`) };
globals.__kiciAsync = { run: (call, fn) => calls.run(call, fn), current: () => calls.getStore() };

await import(`${OWN_SCHEME}guest.js`);

/** Hands over complete lines; only a line feed ends one (`readline` would also split at U+2028). */
function onLines(descriptor: number, take: (line: string) => void): void {
  let parts: Buffer[] = [];
  // Not a file stream: its blocking read in a thread would keep `process.exit` waiting.
  new Socket({ fd: descriptor, readable: true, writable: false })
    .on('data', (data: Buffer) => {
      let rest = data;
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        take(Buffer.concat([...parts, rest.subarray(0, end)]).toString());
        parts = [];
        rest = rest.subarray(end + 1);
      }
      if (rest.length > 0) parts.push(rest);
    })
    .on('close', () => exit(0))
    .on('end', () => exit(0));
}

onLines(FRAMES_IN, (line) => {
  // Cheap test first: frames with outputs can be long.
  if (line.startsWith('{"type":"ping"')) send({ ...(JSON.parse(line) as object), type: 'pong' });
  else globals.__kiciGuest?.receive(line);
});
