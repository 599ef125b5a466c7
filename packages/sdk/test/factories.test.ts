/** Factories: what they make, and what they say when something is wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as sdk from '@kici-dev/sdk';

const {
  cleanup,
  dispatch,
  dynamicGroup,
  dynamicJob,
  job,
  parallel,
  pr,
  push,
  rule,
  schedule,
  skip,
  step,
  workflow,
  z,
} = sdk;
const run = (): void => {};
/** Author mistakes that the types already refuse. */
const wrong = (value: unknown): never => value as never;

test('objects carry their tags and keys', () => {
  const build = step('build', { run, retry: 2, timeout: 5, outputs: wrong({}) });
  const only = job('j', { runsOn: 'x', steps: [build], timeout: undefined });
  const flow = workflow('w', { on: push(), jobs: [only] });
  assert.deepEqual(Object.keys(build), ['_tag', 'name', 'run', 'timeout', 'outputs', 'retry', 'result']);
  assert.deepEqual(build.retry, { maxAttempts: 2, delayMs: 1000, backoff: 'exponential', maxDelayMs: 30000 });
  assert.deepEqual(Object.keys(only), ['_tag', 'name', 'runsOn', 'steps', 'result']);
  assert.deepEqual([flow._tag, only._tag, build._tag, step(run).name], ['Workflow', 'Job', 'Step', '']);
  assert.ok(Array.isArray(flow.on) && Object.isFrozen(flow.on[0]));
  assert.deepEqual(parallel([run], { maxParallel: 1 }), {
    _tag: 'ParallelGroup',
    failFast: true,
    maxParallel: 1,
    steps: [run],
  });
  assert.match(
    job({ runsOn: 'x', run }).name,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  assert.deepEqual(job('r', { runsOn: 'x', run }).steps, [run]);
});

test('generators and group references carry the well-known symbols', () => {
  const generator = dynamicJob('g', { needs: ['a'], generate: () => [] }) as unknown as Record<
    symbol,
    unknown
  >;
  assert.equal(typeof generator, 'function');
  assert.equal(generator[Symbol.for('kici:dynamicJobGroup')], 'g');
  assert.deepEqual(generator[Symbol.for('kici:dynamicJobNeeds')], ['a']);
  assert.equal(Symbol.for('kici:dynamicJobNeeds') in dynamicJob('g', () => []), false);
  assert.ok(Symbol.for('kici:dynamicGroup') in dynamicGroup('g', { when: 'always' }));
  assert.equal(dynamicGroup('g', { when: 'always' }).when, 'always');
});

const mistakes: Record<string, [() => unknown, RegExp]> = {
  'no runsOn': [
    () => job('j', wrong({ run })),
    /^job 'j': it does not say where it runs; write runsOn: 'linux'/,
  ],
  'both places': [
    () => job('j', wrong({ runsOn: 'a', runsOnAll: 'b', run })),
    /`runsOn` and `runsOnAll` exclude each other/,
  ],
  'both environments': [
    () => job('j', wrong({ runsOn: 'a', environment: 'e', environments: ['f'], run })),
    /write environments: \['a', 'b'\]/,
  ],
  'run and steps': [
    () => job('j', wrong({ runsOn: 'a', run, steps: [run] })),
    /`run` and `steps` exclude each other/,
  ],
  'a step that is none': [
    () => job('j', { runsOn: 'a', steps: [wrong('echo')] }),
    /^job 'j': steps\[0\] is no step/,
  ],
  'blank init': [() => job('j', { runsOn: 'a', run, init: { run: ' ' } }), /`init` needs a command/],
  'auto in a list': [
    () => job('j', { runsOn: 'a', run, init: wrong(['auto']) }),
    /cannot be 'auto' inside a list/,
  ],
  'drift approval of a job': [
    () => job('j', { runsOn: 'a', run, approval: wrong({ when: 'drift' }) }),
    /is for steps with `check`/,
  ],
  'no window': [
    () => job('j', { runsOn: 'a', run, maxParallel: 0 }),
    /`maxParallel` must be at least 1; got 0/,
  ],
  'hook that is none': [
    () => job('j', { runsOn: 'a', run, cleanup: wrong('rm') }),
    /^job 'j': `cleanup` must be a function or \{ run, timeout\? \}/,
  ],
  'step without run': [() => step('s', wrong({})), /^step 's': `run` must be a function/],
  'check alone': [() => step('s', wrong({ check: () => null, run })), /`check` needs `summarize`/],
  'drift approval without check': [
    () => step('s', wrong({ run, approval: { when: 'drift' } })),
    /needs `check`, which finds the drift/,
  ],
  'retry of nothing': [() => step('s', { run, retry: 0 }), /write retry: 3 or retry: \{ maxAttempts: 3 \}/],
  'empty group': [() => parallel([]), /the group is empty/],
  'nested group': [() => parallel([wrong(parallel([run]))]), /groups cannot be nested/],
  'same name in a group': [() => parallel([step('a', run), step('a', run)]), /two steps are named 'a'/],
  'jobs missing': [() => workflow('w', wrong({})), /^workflow 'w': `jobs` must be a list/],
  'trigger not called': [
    () => workflow('w', { jobs: [], on: wrong(push) }),
    /on\[0\] is no trigger; call it: push\(\)/,
  ],
  'job that is none': [() => workflow('w', { jobs: [wrong('build')] }), /jobs\[0\] is no job/],
  'registry url': [
    () => workflow('w', { jobs: [], registries: [{ url: 'npm', tokenSecret: 'a:b' }] }),
    /registries\[0\]\.url "npm" is no URL/,
  ],
  'registry secret': [
    () => workflow('w', { jobs: [], registries: [{ url: 'https://x/', tokenSecret: 'a:b:c' }] }),
    /must be '<environment>:<secret>'/,
  ],
  'registry scope': [
    () => workflow('w', { jobs: [], registries: [{ url: 'https://x/', tokenSecret: 'a:b', scope: 'acme' }] }),
    /write '@acme'/,
  ],
  'two default registries': [
    () =>
      workflow('w', {
        jobs: [],
        registries: [
          { url: 'https://x/', tokenSecret: 'a:b' },
          { url: 'https://y/', tokenSecret: 'a:b' },
        ],
      }),
    /registries\[1\]: only one registry may go without `scope`/,
  ],
  'same scope twice': [
    () =>
      workflow('w', {
        jobs: [],
        registries: [
          { url: 'https://x/', tokenSecret: 'a:b', scope: '@a' },
          { url: 'https://y/', tokenSecret: 'a:b', scope: '@a' },
        ],
      }),
    /@a is used twice/,
  ],
  installEnv: [() => workflow('w', { jobs: [], installEnv: ['TOKEN'] }), /installEnv\[0\] "TOKEN" must be/],
  'unknown pr event': [
    () => pr({ events: wrong(['merged']) }),
    /^pr: `events` does not know "merged"; write one of opened/,
  ],
  'pattern that is none': [
    () => push({ branches: wrong([5]) }),
    /^push: `branches` takes strings and regular expressions/,
  ],
  'no webhook events': [
    () => sdk.webhook({ events: [] }),
    /^webhook: `events` is missing; write webhook\(\{ events:/,
  ],
  'blank event name': [() => sdk.kiciEvent({ name: ' ' }), /^kiciEvent: `name` is missing/],
  'no source': [() => sdk.genericWebhook(wrong({})), /^genericWebhook: `source` is missing/],
  'unknown auth': [
    () => sdk.genericWebhook({ source: 's', auth: wrong({ method: 'basic' }) }),
    /`auth\.method` must be/,
  ],
  'no lifecycle events': [() => sdk.lifecycle(wrong({})), /^lifecycle: `events` is missing/],
  'no cron': [() => schedule(wrong({})), /^schedule: `cron` is missing/],
  'schedule input without a value': [
    () => schedule({ cron: '* * * * *', inputs: { a: z.string() } }),
    /input 'a' needs a value when nobody is there/,
  ],
  'input of objects': [
    () => dispatch({ inputs: { a: z.object({}) } }),
    /^dispatch: input 'a' is a z\.object, which cannot be asked for/,
  ],
  'input with a check': [() => dispatch({ inputs: { a: z.string().email() } }), /uses the check 'email'/],
  'input that is no schema': [() => dispatch({ inputs: { a: wrong('text') } }), /input 'a' is no zod schema/],
  'fixture id': [() => sdk.fixture('a b', {}), /must be non-empty and without spaces/],
  'generator missing': [() => dynamicJob('g', wrong(undefined)), /^dynamicJob 'g': the generator is missing/],
  'group name': [() => dynamicGroup(''), /the group's name is missing/],
  'index that is none': [() => sdk.onlyOnFanoutIndex(-1), /-1 is no index/],
};
for (const [name, [make, expected]] of Object.entries(mistakes)) {
  test(`mistake: ${name}`, () => assert.throws(make, { message: expected }));
}

test('what the compiler accepts is accepted', () => {
  workflow('', { jobs: [] });
  job('j', { runsOn: [], steps: [], needs: ['x', 'x'] });
  step('s', { run, cache: { key: '', paths: [] }, continueOnError: false, timeout: 0 });
  push({ branches: [] });
  schedule({ cron: 'nonsense' });
});

test('input descriptors follow the declaration', () => {
  const trigger = dispatch({
    inputs: {
      n: z.int().min(1).default(2).nullable(),
      s: z.string().length(3),
      v: z.literal(['a', 'b']).optional(),
      p: z.number().positive(),
    },
  });
  assert.ok(trigger.inputs);
  assert.deepEqual(sdk.defineDispatchInputs({ a: z.string() }).from({ dispatchInputs: { a: 'x' } }), {
    a: 'x',
  });
  assert.deepEqual(
    sdk.defineDispatchInputs({ a: z.string().optional() }).fromRule({ dispatchInputs: {} }),
    {},
  );
});

test('results read like objects and refuse to be written', () => {
  const outputs = new Map<string, unknown>();
  sdk.setStepOutputsMap(outputs);
  sdk.setStepRefMap(new WeakMap());
  const build = step('build', () => ({ version: '1', length: 3 }));
  const result = build.result as Record<string, unknown>;
  assert.throws(
    () => result.version,
    /^Error: Step 'build' has not produced outputs yet \(reading result\.version\)/,
  );
  assert.deepEqual(
    [Object.keys(result), { ...result }, 'version' in result, String(result), JSON.stringify(result)],
    [[], {}, false, '[object Object]', '{}'],
  );
  outputs.set('build', { version: '1', length: 3 });
  assert.deepEqual(
    [result.version, Object.keys(result), { ...result }, 'version' in result],
    ['1', ['version', 'length'], { version: '1', length: undefined }, true],
  );
  assert.equal(result.length, undefined);
  assert.equal(result.then, undefined);
  assert.equal(result.other, undefined);
  assert.throws(() => (result.version = '2'), /outputs are read-only/);
});

test('rules stop at the first that does not pass; a throw counts as that', async () => {
  const ctx = {
    event: { type: 'push', payload: {} },
    changedFiles: [],
    env: {},
    dispatchInputs: {},
    $: wrong(undefined),
  } as const;
  const seen: string[] = [];
  const boom = new Error('boom');
  const result = await sdk.evaluateRules(
    [
      rule('a'),
      skip('b', () => false),
      sdk.onlyOnFirstHost(),
      sdk.onlyOnLastHost(),
      sdk.onlyOnFanoutIndex(0),
      rule('c', () => {
        throw boom;
      }),
      rule('d'),
    ],
    ctx,
    'job',
    ({ label }, owner) => seen.push(`${owner}:${label}`),
  );
  assert.equal(result.passed, false);
  assert.deepEqual(result.failed, { label: 'c', passed: false, error: boom });
  assert.equal(seen.length, 6);
  assert.equal((await sdk.evaluateRules([skip('x', async () => true)], ctx)).passed, false);
  assert.equal(
    await sdk
      .onlyOnFanoutIndex(1)
      .check({ ...ctx, fanout: { index: 1, total: 2, first: false, last: true } }),
    true,
  );
  assert.equal(sdk.isEventType(ctx.event, 'push'), true);
});

test('matrices expand by dimension name; excludes drop, includes add', () => {
  const all = sdk.expandMatrix({ os: ['l', 'm'], node: ['1', '2'] });
  assert.deepEqual(
    sdk.applyIncludeExclude(
      all,
      [{ os: 'w', node: '9' }, { os: 'l', node: '1' }, {}],
      [{ os: 'm', node: '1' }, {}],
    ),
    [
      { node: '1', os: 'l' },
      { node: '2', os: 'l' },
      { node: '2', os: 'm' },
      { os: 'w', node: '9' },
    ],
  );
  assert.deepEqual(sdk.expandMatrix(['a']), [{ value: 'a' }]);
  assert.deepEqual(sdk.expandMatrix({}), []);
});

test('graphs: unknown names, selves, duplicates, circles, long chains', () => {
  const jobs = [
    { name: 'a', needs: ['b'] },
    { name: 'b', needs: [{ name: 'c' }] },
    { name: 'c', needs: ['a', 'x', 'c', dynamicGroup('g')] },
    { name: 'c' },
  ];
  assert.deepEqual(sdk.validateDag(jobs.slice(0, 3)).errors, [
    "job 'c' needs 'x', which does not exist",
    "job 'c' needs itself",
    'jobs need each other in a circle: a → b → c → a',
  ]);
  assert.deepEqual(sdk.validateDag([{ name: 'c' }, { name: 'c' }]).errors, ["two jobs are named 'c'"]);
  const chain = Array.from({ length: 20_000 }, (_, index) => ({
    name: `j${index}`,
    needs: index > 0 ? [`j${index - 1}`] : [],
  }));
  assert.deepEqual(sdk.validateDag(chain), { valid: true, errors: [] });
});

test('waitFor: values, timeouts, swallowed errors', async () => {
  let calls = 0;
  const found = await sdk.waitFor({
    check: () => {
      calls++;
      if (calls === 1) throw new Error('not up');
      return calls === 3 ? 'up' : null;
    },
    intervalMs: 1,
    onSuccess: (value) => `${value}!`,
  });
  assert.deepEqual([found.outcome, found.attempts, found.result], ['succeeded', 3, 'up!']);
  const late = sdk.waitFor({ name: 'db', check: () => null, intervalMs: 5, timeoutMs: 20 });
  await assert.rejects(
    late,
    (error) =>
      error instanceof sdk.WaitForTimeoutError &&
      error.stepName === 'db' &&
      error.attempts > 1 &&
      error.elapsedMs >= 19,
  );
  assert.equal(
    (
      await sdk.waitFor({
        check: () => null,
        intervalMs: 5,
        timeoutMs: 10,
        onTimeout: ({ attempts }) => attempts > 0,
      })
    ).result,
    true,
  );
  await assert.rejects(
    sdk.waitFor({
      check: () => {
        throw new Error('fatal');
      },
      swallowErrors: false,
    }),
    /fatal/,
  );
});

test('idempotent applies only drift', async () => {
  const log: string[] = [];
  const applied = await sdk.idempotent({
    name: 'n',
    check: () => ({ bytes: 1 }),
    apply: ({ bytes }) => bytes + 1,
    summarize: () => 'sum',
    log: (line) => log.push(line),
  });
  assert.deepEqual(applied, { outcome: 'applied', drift: { bytes: 1 }, result: 2 });
  assert.deepEqual(
    await sdk.idempotent({ check: () => null, apply: () => 'new', whenInSync: () => 'same' }),
    {
      outcome: 'skipped',
      drift: null,
      result: 'same',
    },
  );
  assert.deepEqual(log, ['n: sum']);
});

test('approvals, caches, hooks and step lists have one form', () => {
  assert.deepEqual(sdk.normalizeApproval(true), { clauses: [], when: 'always' });
  assert.deepEqual(sdk.normalizeApproval([{ team: 'a' }]), { clauses: [{ team: 'a' }], when: 'always' });
  assert.deepEqual(sdk.normalizeApproval({ when: 'drift', timeout: 5, reason: 'r' }), {
    clauses: [],
    when: 'drift',
    reason: 'r',
    timeoutSeconds: 5,
  });
  assert.deepEqual(sdk.normalizeCacheSpecs({ key: 'k', paths: ['p'] }), [{ key: 'k', paths: ['p'] }]);
  assert.equal(sdk.CacheSpecSchema.safeParse({ key: 'k', paths: [] }).success, false);
  assert.deepEqual(cleanup({ run, timeout: 5 }), { name: 'run', type: 'cleanup', run, timeout: 5 });
  const [a, b] = [step('a', run), step('b', run)];
  assert.deepEqual(sdk.flattenStepInputs([a, parallel([b, run])]), [a, b, run]);
});

test('names of deleted things: the trigger for deletions is exported as `delete`', () => {
  assert.equal(sdk.delete({ refTypes: 'tag' })._tag, 'DeleteTrigger');
});
