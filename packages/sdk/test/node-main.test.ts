/** The Node engine's main module, in a child process with the six descriptors. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Readable, Writable } from 'node:stream';
import type { Json } from './fake-host.js';

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const skip =
  major > 23 || (major === 22 && minor >= 15) ? false : 'module.registerHooks needs Node 22.15 or newer';

class Child {
  readonly frames: Json[] = [];
  readonly #process;
  #wake: () => void = () => {};
  readonly exited: Promise<number | null>;

  constructor(readonly folder: string) {
    const main = readFileSync(join(dist, 'node-main.js'), 'utf8');
    const args = [
      '--enable-source-maps',
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '--eval',
      main,
    ];
    this.#process = spawn(process.execPath, args, {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    const [, , , , framesOut, answers, questions] = this.#process.stdio as unknown as (Readable & Writable)[];
    let rest = '';
    (framesOut as Readable).setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.frames.push(JSON.parse(line) as Json);
      this.#wake();
    });
    createInterface({ input: questions as Readable }).on('line', (line) => {
      answers?.write(`${JSON.stringify(this.#answer(JSON.parse(line) as Json))}\n`);
    });
    this.exited = new Promise((resolve) => this.#process.on('exit', resolve));
  }

  #answer({ resolve, load, importer }: Json): Json {
    if (resolve === '@kici-dev/sdk') return { url: 'kici:sdk.js', format: 'module' };
    if (resolve === 'kici:guest.js') return { url: resolve, format: 'module' };
    if (typeof resolve === 'string' && resolve.startsWith('/'))
      return { url: pathToFileURL(resolve).href, format: 'module' };
    if (resolve === './missing.js')
      return { error: { name: 'Error', message: `no such file, wanted by ${String(importer)}` } };
    if (resolve !== undefined) return { next: true };
    if (load === 'kici:sdk.js') return { code: readFileSync(join(dist, 'sdk.js'), 'utf8') };
    if (load === 'kici:guest.js') return { code: readFileSync(join(dist, 'guest.js'), 'utf8') };
    return { code: readFileSync(fileURLToPath(load as string), 'utf8') };
  }

  send(frame: Json): void {
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify(frame)}\n`);
  }

  end(): Promise<number | null> {
    (this.#process.stdio[3] as Writable).end();
    return this.exited;
  }

  /** Waits for a frame; the test's own limit ends a wait that is in vain. */
  async frame(type: string): Promise<Json> {
    for (;;) {
      const found = this.frames.find((frame) => frame.type === type);
      if (found) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function withWorkflow(
  body: string,
  use: (child: Child, entry: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kici-sdk-'));
  try {
    const entry = join(folder, 'ci.mjs');
    writeFileSync(entry, body);
    const child = new Child(folder);
    await child.frame('ready');
    await use(child, entry);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const limit = { skip, timeout: 20_000 };

test('loads, calls, forwards output to its call, answers pings, ends with its input', limit, async () => {
  const body = `import { workflow, job } from '@kici-dev/sdk';
    import { setTimeout as sleep } from 'node:timers/promises';
    export default workflow('w', { jobs: [job('j', { runsOn: 'x', run: async () => {
      await sleep(1); console.log('line \\u2028 ü'); process.stderr.write('err'); Promise.reject(new Error('forgotten')); await sleep(1); return { ok: true };
    } })] });`;
  await withWorkflow(body, async (child, entry) => {
    child.send({ type: 'load', entry, root: child.folder, mode: 'run', state: { secretKeys: [] } });
    await child.frame('loaded');
    child.send({
      type: 'call',
      call: 7,
      fn: 0,
      kind: 'step',
      data: { step: { name: 'a\u2028b' } },
      args: [],
    });
    assert.deepEqual(await child.frame('returned'), { type: 'returned', call: 7, value: { ok: true } });
    child.send({ type: 'ping', id: 3 });
    assert.deepEqual(await child.frame('pong'), { type: 'pong', id: 3 });
    const logs = child.frames
      .filter((frame) => frame.type === 'notify')
      .map(({ call, params }) => ({ call, ...(params as Json) }));
    assert.deepEqual(logs.slice(0, 2), [
      { call: 7, level: 'stdout', text: 'line \u2028 ü\n' },
      { call: 7, level: 'stderr', text: 'err' },
    ]);
    assert.match(
      (logs[2] as { text?: string }).text ?? '',
      /^unhandled promise rejection: Error: forgotten\n.*ci\.mjs:4/s,
    );
    assert.equal(await child.end(), 0);
  });
});

test('what the loader refuses is the error of the load', limit, async () => {
  await withWorkflow(`import './missing.js';`, async (child, entry) => {
    child.send({ type: 'load', entry, root: child.folder, mode: 'run', state: {} });
    const { error } = await child.frame('failed');
    assert.match((error as { message: string }).message, /^no such file, wanted by file:.*ci\.mjs$/);
    await child.end();
  });
});

test('process.exit tells before it ends the process', limit, async () => {
  await withWorkflow('process.exit(5);', async (child, entry) => {
    child.send({ type: 'load', entry, root: child.folder, mode: 'run', state: {} });
    assert.deepEqual(await child.frame('exit'), { type: 'exit', code: 5 });
    assert.equal(await child.exited, 5);
  });
});
