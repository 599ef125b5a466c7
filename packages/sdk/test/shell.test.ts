/** `ctx.$`: the semantics of zx, with the real bash. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProcessOutput as Output, Shell } from '@kici-dev/sdk';
import { ProcessOutput } from '@kici-dev/sdk';
import { FakeHost, stepsOf } from './fake-host.js';

/** Runs `body` as a step and gives what it returns. */
async function step<T>(body: ($: Shell) => T | Promise<T>): Promise<{ host: FakeHost; value: T }> {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `export default workflow('w', { jobs: [job('j', { runsOn: 'x', run: (ctx) => globalThis.__body(ctx.$) })] });`,
  );
  let value: T | undefined;
  (globalThis as { __body?: unknown }).__body = async ($: Shell) => {
    value = await body($);
  };
  const outcome = await host.call(stepsOf(loaded)['step-1']?.run, 'step');
  if (outcome.error) throw Object.assign(new Error(outcome.error.message), outcome.error);
  return { host, value: value as T };
}

const failure = async (promise: PromiseLike<unknown>): Promise<Output> => {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ProcessOutput, String(error));
    return error;
  }
  throw new Error('the command should have failed');
};

test('arguments arrive exactly as they are', async () => {
  const nasty = [
    'a b',
    "c'd",
    '',
    '$HOME',
    '`id`',
    '"',
    '\\',
    'a\nb',
    '\t',
    '*',
    '~',
    '--flag=x',
    'ü€😀',
    "'\\''",
    '!x',
    '#no',
    '\r',
    ';rm',
    '$(id)',
  ];
  const { value } = await step(async ($) => (await $`printf '%s\\0' ${nasty}`).stdout);
  assert.deepEqual(value.split('\0').slice(0, -1), nasty);
});

test('one argument stays one word, an empty list is no word', async () => {
  const { host, value } = await step(async ($) => [
    (await $`printf '<%s>' ${'x y'} ${'z'}`).stdout,
    (await $`printf '<%s>' a ${[]} b`).stdout,
    (await $`echo ${1} ${true} ${null}`).stdout,
  ]);
  assert.deepEqual(value, ['<x y><z>', '<a><b>', '1 true null\n']);
  assert.equal(host.commands[0]?.command, "printf '<%s>' $'x y' z");
});

test('a finished command, or a running one, is its output without the last line end', async () => {
  const { value } = await step(async ($) => {
    const name = await $`echo main`;
    return [(await $`echo branch=${name}!`).stdout, (await $`echo ${$`echo inner`}`).stdout];
  });
  assert.deepEqual(value, ['branch=main!\n', 'inner\n']);
});

test('errexit, nounset and pipefail hold', async () => {
  await step(async ($) => {
    assert.equal((await failure($`false; echo not here`)).stdout, '');
    assert.match((await failure($`echo $undefined_variable_x`)).stderr, /unbound variable/);
    assert.equal((await failure($`exit 3 | cat`)).exitCode, 3);
  });
});

test('a failure tells the exit code, what the command said and where the author wrote it', async () => {
  await step(async ($) => {
    const output = await failure($`echo out; echo oops >&2; exit 4`);
    assert.equal(output.exitCode, 4);
    assert.equal(output.stdout, 'out\n');
    assert.equal(output.stderr, 'oops\n');
    assert.match(output.message, /^oops\n {4}at .*shell\.test\.\w+:\d+:\d+\n {4}exit code: 4$/);
    assert.match(output.stack ?? '', /shell\.test/);
    assert.doesNotMatch(output.stack ?? '', /guest\.js/);
    assert.equal(output.ok, false);
    assert.match((await failure($`no-such-program-x`)).message, /exit code: 127 \(Command not found\)/);
  });
});

test('a failed step carries the exit code of its command', async () => {
  await assert.rejects(
    step(($) => $`exit 9`),
    (error: Error & { exitCode?: number }) => error.exitCode === 9,
  );
});

test('nothrow gives the failure as a value; a list names the codes that are fine', async () => {
  await step(async ($) => {
    const output = await $`exit 5`.nothrow();
    assert.deepEqual([output.exitCode, output.ok], [5, false]);
    assert.equal((await $({ nothrow: true })`exit 6`).exitCode, 6);
    assert.equal((await $`exit 5`.nothrow([5])).exitCode, 5);
    assert.equal((await failure($`exit 6`.nothrow([5]))).exitCode, 6);
    assert.equal(await $`exit 7`.exitCode, 7);
  });
});

test('output as text, lines, JSON and bytes', async () => {
  await step(async ($) => {
    const output = await $`printf 'a\nb\n'; printf 'err' >&2`;
    assert.deepEqual(output.lines(), ['a', 'b']);
    assert.deepEqual([...output], ['a', 'b']);
    assert.equal(output.stdall.length, 'a\nb\nerr'.length);
    assert.equal(String(await $`echo '  x '`), '  x \n');
    assert.equal((await $`echo '  x '`).valueOf(), 'x');
    assert.equal(await $`echo hi`.text(), 'hi\n');
    assert.deepEqual(await $`echo '{"a":[1]}'`.json(), { a: [1] });
    assert.deepEqual(await $`printf '1\n2'`.lines(), ['1', '2']);
    assert.deepEqual([...(await $`printf '\\377\\000\\n'`.buffer())], [255, 0, 10]);
    assert.deepEqual([...(await $`printf 'é'`).buffer()], [0xc3, 0xa9]);
  });
});

test('lines come while the command runs', async () => {
  const { value } = await step(async ($) => {
    const seen: string[] = [];
    const command = $`echo one; sleep 0.2; echo two; printf three`;
    const start = Date.now();
    for await (const line of command) {
      if (seen.length === 0) assert.ok(Date.now() - start < 190, 'the first line came before the end');
      seen.push(line);
    }
    assert.equal((await command).exitCode, 0);
    return seen;
  });
  assert.deepEqual(value, ['one', 'two', 'three']);
});

test('a loop over the lines of a failing command throws its failure', async () => {
  await step(async ($) => {
    const seen: string[] = [];
    const output = await failure(
      (async () => {
        for await (const line of $`echo one; exit 2`.lines()) seen.push(line);
      })(),
    );
    assert.deepEqual([seen, output.exitCode], [['one'], 2]);
  });
});

test('pipes are made by the system when both commands are new', async () => {
  const { host, value } = await step(async ($) => [
    (await $`printf 'b\na\n'`.pipe($`sort`).pipe`head -n 1`).stdout,
    (await $`printf '\\377\\000'`.pipe`od -An -tx1`).stdout.trim(),
    (await $`echo x # a comment`.pipe`cat`).stdout,
  ]);
  assert.deepEqual(value, ['a\n', 'ff 00', 'x\n']);
  assert.equal(host.commands.length, 3);
});

test('a pipe fails when its first command fails', async () => {
  await step(async ($) => {
    const first = $`exit 3`;
    assert.equal((await failure(first.pipe($`cat`))).exitCode, 3);
    assert.equal((await failure(first)).exitCode, 3);
    assert.equal((await $`echo kept; exit 3`.nothrow().pipe`cat`).stdout, 'kept\n');
  });
});

test('a command that has already run can be piped, and output can go to a file or a writable', async () => {
  await step(async ($) => {
    const done = $`echo done`;
    await done;
    assert.equal((await done.pipe($`cat`)).stdout, 'done\n');
    const file = `/tmp/kici sdk test ${process.pid}`;
    await $`echo text`.pipe(file);
    assert.equal((await $`cat ${file}; rm ${file}`).stdout, 'text\n');
    const pieces: string[] = [];
    let ended = false;
    await $`printf abc`.pipe({ write: (text) => pieces.push(text), end: () => (ended = true) });
    assert.deepEqual([pieces.join(''), ended], ['abc', true]);
  });
});

test('options: directory, environment, input, prefix, shell, quiet', async () => {
  const { host } = await step(async ($) => {
    assert.equal((await $({ cwd: '/' })`pwd`).stdout, '/\n');
    assert.equal(
      (await $({ env: { PATH: process.env.PATH, ONLY: 'me', GONE: undefined } })`echo $ONLY`).stdout,
      'me\n',
    );
    assert.equal((await $({ input: 'line\n' })`cat`).stdout, 'line\n');
    assert.equal((await $({ input: await $`echo again` })`cat`).stdout, 'again\n');
    assert.equal((await $({ prefix: 'X=1;', postfix: ' | cat' })`echo $X`).stdout, '1\n');
    assert.equal((await $({ shell: '/bin/sh' })`printf '<%s>' ${"it's"}`).stdout, "<it's>");
    await $`echo secret`.quiet();
    const inherited = $({ quiet: true })({ verbose: true });
    await inherited`echo both`;
  });
  const [last, before] = [host.commands.at(-1), host.commands.at(-2)];
  assert.deepEqual([before?.quiet, last?.quiet, last?.verbose], [true, true, true]);
  assert.equal(host.commands.find((command) => command.shell === '/bin/sh')?.prefix, 'set -eu;');
});

test('options can be set on the shell itself', async () => {
  await step(async ($) => {
    const settable = $ as Shell & { nothrow: boolean };
    settable.nothrow = true;
    assert.equal((await $`exit 1`).exitCode, 1);
  });
});

test('a timeout kills the command and says so', async () => {
  await step(async ($) => {
    const start = Date.now();
    const output = await failure($`sleep 20`.timeout('100ms'));
    assert.ok(Date.now() - start < 5000);
    assert.equal(output.signal, 'SIGTERM');
    assert.match(output.message, /^`sleep 20` failed\n {4}at .*signal: SIGTERM\n {4}timed out after \d+ms/s);
    assert.equal((await failure($`sleep 20`.timeout(50, 'SIGKILL'))).signal, 'SIGKILL');
    assert.throws(() => $`true`.timeout('soon' as never), /is no duration; write 1000, '500ms'/);
  });
});

test('kill stops a command, also before it has started', async () => {
  await step(async ($) => {
    const running = $`echo up; sleep 20`;
    for await (const line of running.stdout) {
      assert.equal(line, 'up\n');
      await running.kill('SIGINT');
      break;
    }
    assert.equal((await failure(running)).signal, 'SIGINT');
    const early = $`sleep 20`;
    void early.kill();
    assert.equal((await failure(early)).signal, 'SIGTERM');
  });
});

test('the abort of the step, and of the author, kills running commands', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `export default workflow('w', { jobs: [job('j', { runsOn: 'x', run: async ({ $, signal }) => {
      const output = await $\`sleep 20\`.nothrow();
      const cleanup = await $\`echo still allowed\`;
      const own = new AbortController();
      const command = $({ signal: own.signal, nothrow: true })\`sleep 20\`;
      setTimeout(() => own.abort(), 50);
      return { signal: output.signal, aborted: signal.aborted, reason: String(signal.reason), text: cleanup.stdout, own: (await command).signal };
    } })] });`,
  );
  const { call, outcome } = host.begin(stepsOf(loaded)['step-1']?.run, 'step');
  while (host.commands.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  host.send({ type: 'abort', call, reason: 'job cancelled' });
  assert.deepEqual((await outcome).value, {
    signal: 'SIGTERM',
    aborted: true,
    reason: 'AbortError: job cancelled',
    text: 'still allowed\n',
    own: 'SIGTERM',
  });
});

test('commands run at the same time', async () => {
  await step(async ($) => {
    const start = Date.now();
    const outputs = await Promise.all([$`sleep 0.3; echo a`, $`sleep 0.3; echo b`, $`sleep 0.3; echo c`]);
    assert.deepEqual(
      outputs.map((output) => output.stdout.trim()),
      ['a', 'b', 'c'],
    );
    assert.ok(Date.now() - start < 800);
  });
});

test('what is not there is explained', async () => {
  await step(($) => {
    assert.throws(() => $.sync, /\$\.sync is not available/);
    assert.throws(() => $({ sync: true } as never), /write await \$`…`/);
    assert.throws(() => ($ as unknown as (text: string) => void)('ls'), /is a tag for template literals/);
    assert.throws(() => $({ env: 'A=1' as never }), /`env` must be an object/);
  });
});
