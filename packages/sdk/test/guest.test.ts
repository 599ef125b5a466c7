/** The guest behind its frames: contexts, outputs, errors, aborts, environment. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeHost, type Json, type Outcome, stepsOf } from './fake-host.js';

const job = (body: string, more = ''): string =>
  `export default workflow('w', { jobs: [job('j', { runsOn: 'linux', ${more} ${body} })] });`;

async function run(
  body: string,
  { state = {}, data = {}, handlers = {} } = {},
): Promise<Outcome & { host: FakeHost }> {
  const host = await new FakeHost(handlers).start();
  const loaded = await host.loadText(job(`run: async (ctx) => { ${body} }`), { state });
  if (loaded.error) throw new Error(loaded.error.message);
  return { ...(await host.call(stepsOf(loaded)['step-1']?.run, 'step', data)), host };
}

test('the step context has what the reference says', async () => {
  const { value } = await run(
    `return { keys: Object.keys(ctx).sort(), inputs: ctx.inputs, dispatchInputs: ctx.dispatchInputs, workflow: ctx.workflow,
      job: ctx.job, provider: ctx.provider, raw: ctx.rawPayload, test: ctx.isTestRun, environment: ctx.environment, home: ctx.env.HOME }`,
    {
      state: { context: { workflow: { name: 'w' }, provider: 'github', environment: 'prod' } },
      data: {
        job: { name: 'j', runsOn: 'linux' },
        event: { type: 'push', payload: { ref: 'x' } },
        isTestRun: true,
        env: { HOME: '/h' },
      },
    },
  );
  assert.deepEqual(value, {
    keys: [
      ...[
        '$',
        'addPath',
        'attestProvenance',
        'cache',
        'dispatchInputs',
        'emit',
        'env',
        'environment',
        'inputs',
        'isTestRun',
        'job',
      ],
      ...[
        'jobOutputs',
        'kici',
        'log',
        'outputsOf',
        'provider',
        'rawPayload',
        'secrets',
        'setEnv',
        'setSecretOutput',
        'signal',
        'workflow',
      ],
    ],
    inputs: {},
    dispatchInputs: {},
    workflow: { name: 'w' },
    job: { name: 'j', runsOn: 'linux' },
    provider: 'github',
    raw: { ref: 'x' },
    test: true,
    environment: 'prod',
    home: '/h',
  });
});

test('optional members are there when they apply', async () => {
  const data = {
    matrix: { os: 'l' },
    fanout: { index: 0, total: 2, first: true, last: false },
    host: 'h1',
    agent: { host: 'h1', labels: ['a'] },
    needs: { a: { result: {}, status: 'success' } },
  };
  const { value } = await run(
    'return { matrix: ctx.matrix, fanout: ctx.fanout, host: ctx.host, agent: ctx.agent, needs: ctx.needs }',
    { data },
  );
  assert.deepEqual(value, data);
});

test('log lines carry the step, the level and readable values', async () => {
  const { host } = await run(
    `ctx.log.info('text', 1, { a: [1, 'b'] }); ctx.log.warn('careful'); ctx.log.error(new Error('boom')); ctx.log.debug('hidden');
     ctx.setEnv('KICI_LOG_LEVEL', 'debug'); ctx.log.debug('shown');`,
    { data: { step: { name: 'build' } } },
  );
  delete process.env.KICI_LOG_LEVEL;
  assert.deepEqual(host.logs[0], { level: 'info', text: "[build] text 1 { a: [ 1, 'b' ] }", call: 1 });
  assert.deepEqual(host.texts('warn'), ['[build] [warn] careful']);
  assert.match(host.texts('error')[0] ?? '', /^\[build\] \[error\] Error: boom\n/);
  assert.deepEqual(host.texts('debug'), ['[build] [debug] shown']);
});

test('return values become JSON; nothing is no value', async () => {
  assert.deepEqual((await run('return [1, "a", null]')).value, [1, 'a', null]);
  assert.equal((await run('return "text"')).value, 'text');
  assert.deepEqual((await run('return { at: new Date(0), fn() {} }')).value, {
    at: '1970-01-01T00:00:00.000Z',
  });
  for (const nothing of ['return null', 'return undefined', '']) {
    assert.equal('value' in (await run(nothing)), false);
  }
  assert.match(
    (await run('const a = {}; a.a = a; return a')).error?.message ?? '',
    /cannot be written as JSON.*return plain objects/s,
  );
});

test('thrown values keep their name, message, causes and stack', async () => {
  const thrown = (await run('throw new RangeError("too far", { cause: new Error("the map ends") })')).error;
  assert.equal(thrown?.name, 'RangeError');
  assert.equal(thrown?.message, 'too far: the map ends');
  assert.match(thrown?.stack ?? '', /data:text/);
  assert.deepEqual((await run('throw { code: 7 }')).error, {
    name: 'NonError',
    message: '{"code":7}',
    handle: 1,
  });
  assert.equal((await run('throw "plain"')).error?.message, 'plain');
  assert.equal((await run('throw undefined')).error?.message, 'undefined');
});

test('a predicate gets the original error back', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `class Flaky extends Error { retry = true }
     export default workflow('w', { jobs: [job('j', { runsOn: 'x', steps: [
       step('s', { run: () => { throw new Flaky('again') }, retry: { maxAttempts: 3, retryIf: (error) => error instanceof Flaky && error.retry } }),
     ] })] });`,
  );
  const { s } = stepsOf(loaded);
  const { error } = await host.call(s?.run, 'step');
  const retry = s?.retry as Json;
  assert.deepEqual(
    { ...retry, retryIf: undefined },
    { maxAttempts: 3, delayMs: 1000, backoff: 'exponential', maxDelayMs: 30000, retryIf: undefined },
  );
  assert.equal((await host.call(retry.retryIf, 'plain', { $error: error?.handle })).value, true);
  assert.equal((await host.call(retry.retryIf, 'plain', {}, [])).value, false);
});

test('outputs reach later steps by result, by object and by function', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `const bare = () => ({ n: 1 });
     const build = step('build', () => ({ version: '1.2' }));
     const anonymous = step(() => ({ x: 'y' }));
     export default workflow('w', { jobs: [job('j', { runsOn: 'x', steps: [bare, build, anonymous, step('use', (ctx) => ({
       version: build.result.version, spread: { ...build.result }, keys: Object.keys(anonymous.result), of: ctx.outputsOf(bare), x: ctx.outputsOf(anonymous).x,
     })), step('early', () => build.result.version)] })] });`,
  );
  const steps = stepsOf(loaded);
  assert.deepEqual(Object.keys(steps), ['step-1', 'build', 'step-2', 'use', 'early']);
  assert.match(
    (await host.call(steps.early?.run, 'step')).error?.message ?? '',
    /^Step 'build' has not produced outputs yet/,
  );
  for (const name of ['step-1', 'build', 'step-2']) await host.call(steps[name]?.run, 'step');
  assert.deepEqual((await host.call(steps.use?.run, 'step')).value, {
    version: '1.2',
    spread: { version: '1.2' },
    keys: ['x'],
    of: { n: 1 },
    x: 'y',
  });
});

test('outputs are checked against their schemas', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    job(`steps: [
      step('good', { outputs: { at: z.date(), n: z.number() }, run: () => ({ at: new Date(0), n: 1, extra: true }) }),
      step('bad', { outputs: { n: z.number(), list: z.array(z.string()) }, run: () => ({ n: 'x', list: [1] }) }),
      step('none', { outputs: { n: z.number() }, run: () => {} }),
      step('drifting', { drift: z.object({ bytes: z.number() }), check: () => ({ bytes: 'many' }), summarize: () => '', run: () => {} }),
      checkStep('sync', { check: () => null, summarize: () => '', apply: () => ({ done: true }), whenInSync: () => ({ done: false }) }),
      step('after', (ctx) => ({ ...ctx.outputsOf({ name: 'sync' }) })),
    ]`),
  );
  const steps = stepsOf(loaded);
  assert.deepEqual((await host.call(steps.good?.run, 'step')).value, {
    at: '1970-01-01T00:00:00.000Z',
    n: 1,
    extra: true,
  });
  const { error } = await host.call(steps.bad?.run, 'step');
  assert.match(
    error?.message ?? '',
    /^Step 'bad' returned outputs that do not fit its `outputs` schema: n: .*number.*; list\.0: .*string/,
  );
  assert.match((await host.call(steps.none?.run, 'step')).error?.message ?? '', /n: /);
  assert.match((await host.call(steps.drifting?.check, 'step')).error?.message ?? '', /drift.*bytes: /);
  assert.equal(
    (await host.call(steps.bad?.run, 'step', { env: { KICI_OUTPUT_VALIDATION: 'off' } })).error,
    undefined,
  );
  delete process.env.KICI_OUTPUT_VALIDATION;
  assert.equal('value' in (await host.call(steps.sync?.check, 'step')), false);
  await host.call(steps.sync?.whenInSync, 'step');
  assert.deepEqual((await host.call(steps.after?.run, 'step')).value, { done: false });
});

test('upstream outputs: run shorthand, jobs without a name, needs', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `const anonymous = job({ runsOn: 'x', run: () => ({ url: 'u' }) });
     const many = job('many', { runsOn: 'x', steps: [step('a', () => ({ v: 1 }))] });
     const user = job('user', { runsOn: 'x', needs: [anonymous, many, 'mx', dynamicGroup('shards')], run: (ctx) => ({
       url: anonymous.result.url, same: anonymous.result['step-1'].url, byRef: ctx.jobOutputs(anonymous).url, byName: ctx.jobOutputs({ name: 'many' }).a.v,
       result: many.result.a.v, needs: ctx.needs,
     }) });
     const stranger = job('stranger', { runsOn: 'x', run: (ctx) => ctx.jobOutputs({ name: 'nobody' }) });
     export default workflow('w', { jobs: [anonymous, many, user, stranger] });`,
    {
      state: {
        upstream: {
          outputs: {
            'job-1': { 'step-1': { url: 'u' } },
            many: { a: { v: 1 } },
            mx: { byMatrix: { '1, l': { 'step-1': { n: 1 } }, '1, m': {} }, merged: {} },
            's-1': { 'step-1': { s: 1 } },
          },
          statuses: {
            'job-1': 'success',
            'mx (1, m)': 'failed',
            'mx (1, l)': 'success',
            's-1': 'success',
            's-0': 'skipped',
          },
          groups: { shards: ['s-1', 's-0'] },
        },
      },
    },
  );
  const jobs = ((loaded.description.workflows as Json[])[0] as { jobs: Json[] }).jobs;
  assert.deepEqual(
    jobs.map((described) => described.name),
    ['job-1', 'many', 'user', 'stranger'],
  );
  assert.deepEqual(jobs[2]?.needs, [
    { job: 'job-1', plain: true },
    { job: 'many', plain: true },
    { job: 'mx', plain: true },
    { group: 'shards', plain: false },
  ]);
  assert.deepEqual((await host.call(stepsOf(loaded, 2)['step-1']?.run, 'step')).value, {
    url: 'u',
    same: 'u',
    byRef: 'u',
    byName: 1,
    result: 1,
    needs: {
      'job-1': { result: { url: 'u', 'step-1': { url: 'u' } }, status: 'success' },
      many: { result: { a: { v: 1 } }, status: 'success' },
      mx: [
        { name: 'mx (1, l)', result: { n: 1, 'step-1': { n: 1 } }, status: 'success' },
        { name: 'mx (1, m)', result: {}, status: 'failed' },
      ],
      shards: [
        { name: 's-0', result: {}, status: 'skipped' },
        { name: 's-1', result: { s: 1, 'step-1': { s: 1 } }, status: 'success' },
      ],
    },
  });
  assert.match(
    (await host.call(stepsOf(loaded, 3)['step-1']?.run, 'step')).error?.message ?? '',
    /^Job 'nobody' has no outputs here \(there are outputs of: .*job-1/,
  );
});

test('hooks, rules, matrices and plain calls get their own arguments', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `export default workflow('w', {
       concurrency: { group: ({ branch, event }) => branch + ':' + event.type },
       jobs: [job('j', { runsOn: 'x', run: () => {}, matrix: ({ ctx, env, log }) => { log.info('m'); return [ctx.job.runsOn, ctx.workflow.name, typeof env] },
         env: (event) => ({ B: event.targetBranch }), cleanup: (ctx) => ctx.outcome.status + ctx.workflow.name,
         rules: [rule('docs', (c) => c.changedFiles.length === 1 && c.event.type === 'push'), skip('never', (c) => c.fanout.index === 0), rule('always')] })] });`,
  );
  const [described] = loaded.description.workflows as { jobs: Json[]; concurrency: Json }[];
  const [only] = described?.jobs as {
    hooks: { cleanup: Json };
    rules: Json[];
    matrix: unknown;
    env: unknown;
  }[];
  const event = { type: 'push', changedFiles: ['a.md'], targetBranch: 'main' };
  assert.equal(
    (
      await host.call(only?.hooks.cleanup.run, 'hook', {
        workflow: { name: 'w' },
        outcome: { status: 'failed' },
      })
    ).value,
    'failedw',
  );
  assert.equal((await host.call(only?.rules[0]?.check, 'rule', { event })).value, true);
  assert.equal(
    (await host.call(only?.rules[1]?.check, 'rule', { event, fanout: { index: 0 } })).value,
    false,
  );
  assert.deepEqual(only?.rules[2], { label: 'always' });
  assert.deepEqual(
    (await host.call(only?.matrix, 'matrix', { workflow: { name: 'w' }, job: { name: 'j', runsOn: 'x' } }))
      .value,
    ['x', 'w', 'object'],
  );
  assert.deepEqual((await host.call(only?.env, 'plain', event)).value, { B: 'main' });
  assert.equal(
    (await host.call(described?.concurrency.group, 'plain', { branch: 'main', event })).value,
    'main:push',
  );
});

test('generators return described jobs with functions to call', async () => {
  const host = await new FakeHost().start();
  const loaded = await host.loadText(
    `const up = job('up', { runsOn: 'x', run: () => {} });
     export default workflow('w', { jobs: [up, dynamicJob('g', { needs: [up], generate: ({ ctx, kici }) =>
       [1, 2].map((i) => job('s-' + i, { runsOn: 'x', needs: [up], run: (c) => ({ i, ref: ctx.event.targetBranch, up: ctx.needs.up.result.n, kici: typeof kici.inventory.query }) })) }),
       () => 'no list'] });`,
    { state: { upstream: { outputs: { up: { 'step-1': { n: 5 } } } } } },
  );
  const jobs = ((loaded.description.workflows as Json[])[0] as { jobs: Json[] }).jobs;
  assert.deepEqual(
    { ...jobs[1], generate: undefined },
    { kind: 'dynamic', generate: undefined, group: 'g', needs: [{ job: 'up', plain: true }] },
  );
  const generated = (
    await host.call(jobs[1]?.generate, 'generator', { event: { type: 'push', targetBranch: 'main' } })
  ).value as { jobs: { name: string; needs: Json[]; steps: Json[] }[] };
  assert.deepEqual(
    generated.jobs.map(({ name, needs }) => [name, needs]),
    [
      ['s-1', [{ job: 'up', plain: true }]],
      ['s-2', [{ job: 'up', plain: true }]],
    ],
  );
  assert.deepEqual((await host.call(generated.jobs[1]?.steps[0]?.run, 'step')).value, {
    i: 2,
    ref: 'main',
    up: 5,
    kici: 'function',
  });
  assert.match((await host.call(jobs[2]?.generate, 'generator')).error?.message ?? '', /must return a list/);
});

test('environment changes of every kind reach the next command first', async () => {
  const { host, value } = await run(
    `ctx.setEnv('A', '1'); process.env.B = '2'; delete process.env.GONE; ctx.addPath('/opt/x'); ctx.setEnv('TOKEN', 'no');
     await ctx.$\`true\`; process.env.C = '3'; return { a: ctx.env.A, path: process.env.PATH.startsWith('/opt/x:') }`,
    { data: { env: { GONE: 'x', ZED: 'z' } }, state: { secretKeys: ['TOKEN'] } },
  );
  process.env.PATH = process.env.PATH?.replace('/opt/x:', '');
  assert.deepEqual(value, { a: '1', path: true });
  assert.deepEqual(
    host.requests.map(({ method, params }) => (method === 'env.set' ? [params.key, params.value] : method)),
    [['A', '1'], 'path.add', ['B', '2'], ['GONE', null], 'process.run', ['C', '3']],
  );
  assert.deepEqual(host.texts('warn'), [
    "[warn] setEnv: 'TOKEN' is the name of a secret and cannot be set; choose another name",
  ]);
});

test('secrets: values, missing names, exposure, files', async () => {
  const handlers = {
    'secrets.get': ({ key }: Json) => ({ value: `v-${String(key)}` }),
    'secrets.mountFile': (params: Json) => ({
      path: `/s/${(params.sources as string[]).join('+')}:${String(params.mode)}`,
    }),
  };
  const { value, host } = await run(
    `const missing = await ctx.secrets.get('C').catch((e) => [e instanceof SecretNotFoundError, e.key, e.availableKeys, e.message]);
     await ctx.secrets.expose('A');
     return { a: await ctx.secrets.get('A'), has: [ctx.secrets.has('A'), ctx.secrets.has('C')], list: ctx.secrets.list(), missing,
       exposed: process.env.A, file: await ctx.secrets.mountFile({ sources: ['B', 'A'] }), meta: typeof ctx.secrets.getMeta('A') }`,
    { state: { secretKeys: ['B', 'A'] }, handlers },
  );
  assert.deepEqual(value, {
    a: 'v-A',
    has: [true, false],
    list: ['A', 'B'],
    missing: [
      true,
      'C',
      ['A', 'B'],
      "Secret 'C' not found; available: A, B. Bind an environment that has it to the job with `environment`",
    ],
    exposed: 'v-A',
    file: '/s/B+A:384',
    meta: 'undefined',
  });
  assert.deepEqual(host.requests.find(({ method }) => method === 'env.set')?.params, {
    key: 'A',
    value: 'v-A',
    secret: true,
  });
});

test('a refused secret output fails the step, although nobody awaits it', async () => {
  const { error } = await run(`ctx.setSecretOutput('K', 'v'); return { ok: true }`, {
    handlers: {
      'secretOutput.set': () => {
        throw new Error('at most 20 secret outputs');
      },
    },
  });
  assert.equal(error?.message, 'at most 20 secret outputs');
});

test('emit, cache, kici and provenance are host calls', async () => {
  const handlers = {
    emit: (params: Json) => {
      if (params.name === 'bad') throw new Error('no such repository');
      return { deliveryId: 'd1' };
    },
    'cache.restore': () => ({ hit: true, matchedKey: 'k' }),
    'cache.save': () => null,
    api: (params: Json) => params,
  };
  const { value, host } = await run(
    `return { emitted: await ctx.emit('shipped', { v: 1 }, { target: { repos: ['a/b'] } }), failed: await ctx.emit('bad').catch((e) => e.message),
      cache: await ctx.cache.restore({ key: 'k', paths: ['p'] }), saved: await ctx.cache.save({ key: 'k', paths: ['p'] }) ?? 'nothing',
      api: await ctx.kici.inventory.get('agent-1'), oidc: await ctx.kici.oidc.token({ audience: '' }).catch((e) => e.message),
      proof: await ctx.attestProvenance({ subject: { name: 'n', path: 'p' } }) }`,
    { handlers },
  );
  assert.deepEqual(value, {
    emitted: { deliveryId: 'd1' },
    failed: 'Event emission failed: no such repository',
    cache: { hit: true, matchedKey: 'k' },
    saved: 'nothing',
    api: { method: 'inventory.get', params: { agentId: 'agent-1' } },
    oidc: 'kici.oidc.token: `audience` must be a string of 1 to 255 characters',
    proof: { method: 'provenance.attest', params: { subject: { name: 'n', path: 'p' } } },
  });
  assert.deepEqual(host.requests.find(({ method }) => method === 'emit')?.params, {
    name: 'shipped',
    payload: { v: 1 },
    target: { repos: ['a/b'] },
  });
});

test('console output of the embedded engine goes to the call that runs', async () => {
  const before = globalThis.console;
  const host = await new FakeHost({ later: () => null }).start({ embedded: true });
  try {
    const loaded = await host.loadText(
      `console.log('top');
       export default workflow('w', { jobs: [job('j', { runsOn: 'x', steps: ['a', 'b'].map((name) => step(name, async (ctx) => {
         console.log('%s starts', name, { n: 1 }); await ctx.$\`sleep 0.05\`; console.error(name, 'ends');
       })) })] });`,
    );
    const steps = stepsOf(loaded);
    const a = host.begin(steps.a?.run, 'step');
    // As the engine does: nothing is left to do before the next frame.
    await new Promise(setImmediate);
    const b = host.begin(steps.b?.run, 'step');
    await Promise.all([a.outcome, b.outcome]);
    const lines = (call: number): string[] =>
      host.logs.filter((log) => log.call === call).map((log) => `${log.level} ${log.text}`);
    assert.deepEqual(lines(0), ['stdout top\n']);
    assert.deepEqual(lines(a.call), ['stdout a starts { n: 1 }\n', 'stderr a ends\n']);
    assert.deepEqual(lines(b.call), ['stdout b starts { n: 1 }\n', 'stderr b ends\n']);
  } finally {
    globalThis.console = before;
  }
});

test('a module that does not load says why', async () => {
  const host = await new FakeHost().start();
  assert.match((await host.loadText(`throw new Error('at the top')`)).error?.message ?? '', /at the top/);
  const failed = await host.loadText(job(`steps: [step('x', { check: () => null, run() {} })]`));
  assert.match(failed.error?.message ?? '', /^step 'x': `check` needs `summarize`/);
});
