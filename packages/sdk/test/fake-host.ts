/** A host in this process: loads a guest, answers its requests, runs its commands with the real bash. */

import { spawn } from 'node:child_process';
import { AsyncLocalStorage } from 'node:async_hooks';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export type Json = Record<string, unknown>;
type Handler = (params: Json, info: { call: number; request: number; push: (data: Json) => void }) => unknown;

interface Globals {
  __kiciHost?: { send(json: string): void; context?: number };
  __kiciGuest?: { receive(json: string): void };
  __kiciAsync?: { run<T>(call: number, fn: () => T): T; current(): number | undefined };
}

const globals = globalThis as Globals;
const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
let instances = 0;

export interface Outcome {
  readonly value?: unknown;
  readonly error?: {
    name: string;
    message: string;
    stack?: string;
    exitCode?: number;
    signal?: string;
    handle: number;
  };
}

/** Path of a bundled fixture. */
export const fixture = (name: string): string => join(packageRoot, '.test/fixtures', name);

export class FakeHost {
  readonly requests: { method: string; params: Json; call: number }[] = [];
  readonly logs: { level: string; text: string; call: number }[] = [];
  readonly commands: Json[] = [];
  readonly #waiting = new Map<string, (frame: Json) => void>();
  readonly #running = new Map<number, ReturnType<typeof spawn>>();
  #nextCall = 1;
  root = process.cwd();

  constructor(readonly handlers: Record<string, Handler> = {}) {
    this.handlers = {
      'process.run': (params, info) => this.#run(params, info),
      'process.kill': ({ request, signal }) => {
        const child = this.#running.get(request as number);
        if (child?.pid !== undefined) process.kill(-child.pid, signal as NodeJS.Signals);
        return null;
      },
      'secrets.list': () => ({ keys: [] }),
      'env.set': () => null,
      'path.add': () => null,
      ...handlers,
    };
  }

  /** Starts a fresh guest. `embedded`: without `AsyncLocalStorage`, as in QuickJS. */
  async start({ embedded = false } = {}): Promise<this> {
    const storage = new AsyncLocalStorage<number>();
    if (embedded) delete globals.__kiciAsync;
    else
      globals.__kiciAsync = { run: (call, fn) => storage.run(call, fn), current: () => storage.getStore() };
    const ready = this.#frame('ready');
    globals.__kiciHost = { send: (json) => this.#take(JSON.parse(json) as Json), context: 0 };
    await import(`${pathToFileURL(join(packageRoot, 'dist/guest.js')).href}?n=${++instances}`);
    await ready;
    return this;
  }

  async load(entry: string, { mode = 'run', state = {} } = {}): Promise<Outcome & { description: Json }> {
    const loaded = this.#frame('loaded');
    const failed = this.#frame('failed');
    this.send({
      type: 'load',
      entry: entry.startsWith('data:') ? entry : pathToFileURL(entry).href,
      root: this.root,
      mode,
      state,
    });
    return (await Promise.race([loaded, failed])) as unknown as Outcome & { description: Json };
  }

  /** Loads a module given as text; `sdk` is in scope. */
  loadText(body: string, options: { mode?: string; state?: Json } = {}): ReturnType<FakeHost['load']> {
    const sdk = pathToFileURL(join(packageRoot, 'dist/sdk.js')).href;
    const names =
      'workflow, job, step, parallel, push, dynamicJob, dynamicGroup, checkStep, rule, skip, z, waitFor, SecretNotFoundError';
    const text = `import { ${names} } from ${JSON.stringify(sdk)};\n${body}\n// ${++instances}`;
    return this.load(`data:text/javascript,${encodeURIComponent(text)}`, options);
  }

  begin(
    fn: unknown,
    kind: string,
    data: unknown = {},
    args: unknown[] = [],
  ): { call: number; outcome: Promise<Outcome> } {
    const call = this.#nextCall++;
    const outcome = Promise.race([this.#frame(`returned:${call}`), this.#frame(`threw:${call}`)]);
    this.send({ type: 'call', call, fn: (fn as { $fn: number }).$fn, kind, data, args });
    return { call, outcome };
  }

  call(fn: unknown, kind: string, data: unknown = {}, args: unknown[] = []): Promise<Outcome> {
    return this.begin(fn, kind, data, args).outcome;
  }

  send(frame: Json): void {
    globals.__kiciGuest?.receive(JSON.stringify(frame));
  }

  texts(level?: string): string[] {
    return this.logs.filter((log) => level === undefined || log.level === level).map((log) => log.text);
  }

  #frame(key: string): Promise<Json> {
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  #take(frame: Json): void {
    if (frame.type === 'notify') {
      this.logs.push({ ...(frame.params as { level: string; text: string }), call: frame.call as number });
      return;
    }
    if (frame.type === 'request') {
      void this.#answer(frame as never);
      return;
    }
    const key = frame.call === undefined ? String(frame.type) : `${String(frame.type)}:${String(frame.call)}`;
    this.#waiting.get(key)?.(frame);
  }

  async #answer({
    call,
    request,
    method,
    params,
  }: {
    call: number;
    request: number;
    method: string;
    params: Json;
  }): Promise<void> {
    this.requests.push({ method, params, call });
    await Promise.resolve();
    try {
      const handler = this.handlers[method];
      if (!handler) throw new Error(`this host does not know '${method}'`);
      const push = (data: Json): void => this.send({ type: 'push', request, data });
      const ok = (await handler(params, { call, request, push })) ?? null;
      this.send({ type: 'reply', request, ok });
    } catch (error) {
      const { name, message, ...data } = error as Error & Json;
      this.send({ type: 'reply', request, error: { name, message, data } });
    }
  }

  #run(params: Json, { request, push }: { request: number; push: (data: Json) => void }): Promise<Json> {
    this.commands.push(params);
    const start = Date.now();
    return new Promise((resolve, reject) => {
      const child = spawn(
        params.shell as string,
        ['-c', `${String(params.prefix)}${String(params.command)}`],
        {
          cwd: (params.cwd as string | undefined) ?? this.root,
          env: (params.env as NodeJS.ProcessEnv | undefined) ?? process.env,
          detached: true,
        },
      );
      this.#running.set(request, child);
      const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[], all: [] as Buffer[] };
      for (const stream of ['stdout', 'stderr'] as const) {
        child[stream].on('data', (data: Buffer) => {
          chunks[stream].push(data);
          chunks.all.push(data);
          if (params.stream) push({ stream, text: data.toString() });
        });
      }
      let timedOut = false;
      const timer =
        params.timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              timedOut = true;
              process.kill(
                -(child.pid as number),
                (params.timeoutSignal as NodeJS.Signals | undefined) ?? 'SIGTERM',
              );
            }, params.timeoutMs as number);
      if (params.inputBase64 !== undefined)
        child.stdin.write(Buffer.from(params.inputBase64 as string, 'base64'));
      child.stdin.end(params.input as string | undefined);
      child.stdin.on('error', () => {});
      child.on('error', reject);
      child.on('close', (exitCode, signal) => {
        clearTimeout(timer);
        this.#running.delete(request);
        const text = (name: keyof typeof chunks): string => Buffer.concat(chunks[name]).toString();
        resolve({
          exitCode,
          signal,
          stdout: text('stdout'),
          stderr: text('stderr'),
          all: text('all'),
          durationMs: Date.now() - start,
          timedOut,
          ...(params.encoding === 'base64'
            ? { stdoutBase64: Buffer.concat(chunks.stdout).toString('base64') }
            : {}),
        });
      });
    });
  }
}

/** The description of the first job's steps, by step name. */
export function stepsOf(loaded: { description: Json }, job = 0): Record<string, Json> {
  const workflow = (loaded.description.workflows as Json[])[0] as { jobs: { steps: Json[] }[] };
  const steps: Record<string, Json> = {};
  for (const entry of workflow.jobs[job]?.steps ?? []) {
    const children = entry.kind === 'parallel' ? (entry.steps as Json[]) : [entry];
    for (const step of children) steps[step.name as string] = step;
  }
  return steps;
}
