/** Jobs that are made while the run goes on. */
import { dynamicGroup, dynamicJob, job, push, step, workflow, z } from '@kici-dev/sdk';
import { expectNames, noted, work } from '../lib/journal';

const runsOn = 'chaos';

const source = job('source', {
  runsOn,
  steps: [
    step('list', {
      outputs: { names: z.array(z.string()) },
      run: async (ctx) => {
        await work(ctx, 'list', {});
        return { names: ['x', 'y'] };
      },
    }),
  ],
});

const shards = dynamicJob('shards', async () =>
  ['a', 'b', 'c'].map((name) => job(`shard-${name}`, { runsOn, steps: [noted('shard', { ms: 200 })] })),
);

const aware = dynamicJob('aware', {
  needs: [source, dynamicGroup('shards')],
  generate: async ({ ctx }) => {
    const known = ctx.needs['shards'];
    if (!Array.isArray(known) || known.length !== 3) {
      throw new Error(`the generator knows of ${JSON.stringify(known)} instead of three shards`);
    }
    const upstream = ctx.needs['source'];
    if (upstream === undefined || !('result' in upstream)) {
      throw new Error('the generator does not know the source');
    }
    const list = upstream.result['list'] as { readonly names: readonly string[] };
    return list.names.map((name) => job(`test-${name}`, { runsOn, steps: [noted('test', { ms: 100 })] }));
  },
});

/** Groups of an event-only and of a result-aware generator; who needs them starts after all their jobs. */
export const generated = workflow('generated', {
  on: push({ branches: ['generated'] }),
  jobs: [
    source,
    shards,
    aware,
    job('fin', {
      runsOn,
      needs: [dynamicGroup('shards'), dynamicGroup('aware')],
      steps: [
        step('fin', async (ctx) => {
          expectNames(ctx, 'shards', ['shard-a', 'shard-b', 'shard-c']);
          expectNames(ctx, 'aware', ['test-x', 'test-y']);
          await work(ctx, 'fin', {});
        }),
      ],
    }),
    job('tell', {
      runsOn,
      needs: [dynamicGroup('shards', { when: 'always' }), dynamicGroup('aware', { when: 'always' })],
      steps: [noted('tell')],
    }),
  ],
});

const broken = dynamicJob('some', async () => [
  job('good', { runsOn, steps: [noted('good')] }),
  job('bad', { runsOn, steps: [noted('bad', { fails: true })] }),
]);

/** One generated job fails. */
export const partly = workflow('partly', {
  on: push({ branches: ['partly'] }),
  jobs: [
    broken,
    job('needs-all', { runsOn, needs: [dynamicGroup('some')], steps: [noted('unreachable')] }),
    job('anyway', { runsOn, needs: [dynamicGroup('some', { when: 'always' })], steps: [noted('anyway')] }),
  ],
});
