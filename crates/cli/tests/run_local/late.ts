/** Jobs and values that are known only when others have run. */
import { dynamicGroup, dynamicJob, job, push, step, workflow } from '@kici-dev/sdk';
import type { NeedChildResult } from '@kici-dev/sdk';

const runsOn = 'linux';
const run = async (): Promise<void> => {};
const computed = (): string => 'computed';
const names = (list: unknown): string[] => (list as readonly NeedChildResult[]).map(({ name }) => name);

const src = job('src', {
  runsOn,
  steps: [step('list', async () => ({ dirs: ['x', 'y'] }))],
});

const shards = dynamicJob('shards', async ({ ctx }) =>
  ['shard-1', 'shard-2'].map((name) =>
    job(name, {
      runsOn,
      env: (event) => ({
        OF: `${ctx.event.targetBranch ?? 'none'} ${event.type}`,
      }),
      run: async ({ env, log }) => {
        log.info(`said ${env['OF'] ?? ''}`);
      },
    }),
  ),
);

const aware = dynamicJob('aware', {
  needs: [src, dynamicGroup('shards')],
  generate: async ({ ctx }) => {
    const seen = ctx.needs['shards'] as readonly NeedChildResult[];
    return src.result.list.dirs.map((dir) =>
      job(`gen-${dir}`, {
        runsOn,
        run: async ({ log }) => {
          log.info(`said ${seen.map(({ name, status }) => `${name} ${status}`).join(',')}`);
          return { of: dir };
        },
      }),
    );
  },
});

const test = job('test', {
  runsOn,
  matrix: async ({ $ }) => (await $`echo c b a`.quiet()).stdout.trim().split(' '),
  exclude: [{ value: 'c' }],
  include: [{ value: 'd' }],
  maxParallel: 1,
  env: async () => ({ WHAT: computed() }),
  environment: async () => 'stage',
  run: async ({ matrix, env, fanout, environment, log }) => {
    const place = `${String(fanout?.index)}/${String(fanout?.total)}`;
    log.info(`said ${String(matrix?.value)} ${env['WHAT'] ?? ''} ${place} ${environment ?? ''}`);
    return { v: matrix?.value };
  },
});

const fin = job('fin', {
  runsOn,
  needs: [dynamicGroup('shards'), dynamicGroup('aware'), test],
  run: async (ctx) => {
    const [first] = ctx.needs?.['aware'] as readonly NeedChildResult[];
    const of = { of: first?.result['of'] };
    const labels = Object.keys((ctx.jobOutputs(test) as unknown as { byMatrix: object }).byMatrix);
    const seen = [names(ctx.needs?.['shards']), names(ctx.needs?.['aware']), labels, of];
    ctx.log.info(`said ${JSON.stringify(seen)}`);
  },
});

export const late = workflow('late', {
  on: push(),
  jobs: [src, shards, aware, test, fin],
});

/** Gives one job less when it is called again. */
const whimsical = dynamicJob('whimsical', async ({ $ }) => {
  const calls = (await $`echo call >> "$HOME/calls"; grep -c call "$HOME/calls"`.quiet()).stdout.trim();
  const first = job('first', { runsOn, run });
  const second = job('second', { runsOn, needs: [first], run });
  return calls === '1' ? [first, second] : [first];
});

export const wrong = workflow('wrong', {
  on: push(),
  jobs: [
    dynamicJob('bad', async () => {
      throw new Error('no list today');
    }),
    job('after', { runsOn, needs: [dynamicGroup('bad')], run }),
    job('throws', {
      runsOn,
      env: async () => {
        throw new Error('no values today');
      },
      run,
    }),
    job('empty', { runsOn, matrix: async () => [], run }),
    whimsical,
    job('halting', {
      runsOn,
      matrix: ['b', 'a'],
      maxParallel: 1,
      failFast: true,
      run: async () => {
        throw new Error('the first is bad');
      },
    }),
    job('anyway', { runsOn, needs: [{ name: 'throws', when: 'always' }], run }),
  ],
});
