/** Jobs that are known only when the run is on its way. */
import { dynamicGroup, dynamicJob, job, push, step, workflow } from '@kici-dev/sdk';
import type { NeedChildResult } from '@kici-dev/sdk';
import { message, note, say } from '../lib/stage';

const runsOn = 'linux';

const src = job('src', {
  runsOn,
  steps: [step('list', async () => ({ dirs: ['x', 'y'] }))],
});

const shards = dynamicJob('shards', async ({ $, ctx }) => {
  const branch = ctx.event.targetBranch ?? 'none';
  // Commands work in generators as well.
  const names = (await $`printf 'shard-1\nshard-2\n'`).stdout.trim().split('\n');
  return names.map((name) =>
    job(name, {
      runsOn,
      needs: name === 'shard-2' ? [src] : [],
      env: (event) => ({ BRANCH: `${branch} ${event.type}` }),
      run: async ({ $, env }) => {
        await note($, `${name} end`);
        return { name, branch: env['BRANCH'] };
      },
    }),
  );
});

const aware = dynamicJob('aware', {
  needs: [src, dynamicGroup('shards')],
  generate: async ({ ctx }) => {
    const seen = ctx.needs['shards'] as readonly NeedChildResult[];
    return src.result.list.dirs.map((dir) =>
      job(`gen-${dir}`, {
        runsOn,
        steps: [
          step('work', async ({ $ }) => {
            await note($, `gen-${dir} end`);
            return {
              dir,
              seen: seen.map((shard) => `${shard.name} ${shard.status}`),
            };
          }),
        ],
      }),
    );
  },
});

const fin = job('fin', {
  runsOn,
  needs: [dynamicGroup('shards'), dynamicGroup('aware')],
  run: async (ctx) => {
    await note(ctx.$, 'fin start');
    say(ctx, ctx.needs);
  },
});

export const generators = workflow('generators', {
  on: push({ branches: ['generators'] }),
  jobs: [src, shards, aware, fin],
});

/** Gives one job less each time it is called after the first. */
const whimsical = dynamicJob('whimsical', async ({ $ }) => {
  const calls = (await $`echo call >> "$HOME/whimsical"; grep -c call "$HOME/whimsical"`).stdout.trim();
  const first = job('first', { runsOn, run: async () => {} });
  const second = job('second', { runsOn, needs: [first], run: async () => {} });
  return calls === '1' ? [first, second] : [first];
});

export const drift = workflow('drift', {
  on: push({ branches: ['drift'] }),
  jobs: [
    whimsical,
    job('fin', {
      runsOn,
      needs: [dynamicGroup('whimsical', { when: 'always' })],
      run: async (ctx) => {
        say(ctx, ctx.needs);
      },
    }),
    job('strict', {
      runsOn,
      needs: [dynamicGroup('whimsical')],
      run: async () => {},
    }),
  ],
});

const turn = (name: string, fails?: string) =>
  job(name, {
    runsOn,
    matrix: ['c', 'a', 'b'],
    maxParallel: 1,
    failFast: fails !== undefined,
    steps: [
      step('turn', async ({ $, matrix }) => {
        await note($, `${name} start ${String(matrix?.value)}`);
        await $`sleep 0.2`;
        await note($, `${name} end ${String(matrix?.value)}`);
        if (matrix?.value === fails) throw new Error('not this one');
        return { v: matrix?.value };
      }),
    ],
  });

/** Limits of fan-outs that come to be while the run is on its way. */
export const waves = workflow('waves', {
  on: push({ branches: ['waves'] }),
  jobs: [
    dynamicJob('made', async () => [
      turn('wide'),
      turn('halting', 'b'),
      job('after-wide', {
        runsOn,
        needs: ['wide'],
        run: async (ctx) => {
          say(ctx, {
            outputs: ctx.jobOutputs({ name: 'wide' }),
            needs: ctx.needs,
          });
        },
      }),
    ]),
    job('computed', {
      runsOn,
      matrix: async ({ $ }) => (await $`echo c a b`).stdout.trim().split(' '),
      include: [{ value: 'd' }],
      exclude: [{ value: 'c' }],
      maxParallel: 1,
      failFast: true,
      run: async ({ $, matrix }) => {
        await note($, `computed start ${String(matrix?.value)}`);
        await $`sleep 0.2`;
        await note($, `computed end ${String(matrix?.value)}`);
        if (matrix?.value === 'b') throw new Error('not this one');
      },
    }),
    job('fin', {
      runsOn,
      needs: [dynamicGroup('made', { when: 'always' }), { name: 'computed', when: 'always' }],
      run: async (ctx) => {
        say(ctx, {
          group: ctx.needs?.['made'],
          computed: ctx.needs?.['computed'],
          at: await message(ctx.$),
        });
      },
    }),
  ],
});

/** Mistakes in generators fail them, and nothing else. */
export const mistakes = workflow('mistakes', {
  on: push({ branches: ['mistakes'] }),
  jobs: [
    dynamicJob('throws', async () => {
      throw new Error('no list today');
    }),
    dynamicJob('twice', async () => [
      job('same', { runsOn, run: async () => {} }),
      job('same', { runsOn, run: async () => {} }),
    ]),
    dynamicJob('many', async () =>
      Array.from({ length: 101 }, (_, at) => job(`n${String(at)}`, { runsOn, run: async () => {} })),
    ),
    dynamicJob('none', async () => []),
    job('after-none', {
      runsOn,
      needs: [dynamicGroup('none')],
      run: async () => {},
    }),
    job('after-throws', {
      runsOn,
      needs: [dynamicGroup('throws')],
      run: async () => {},
    }),
  ],
});
