/** Groups of runs and of jobs. Each job works until the test lets it go on. */
import { job, push, workflow } from '@kici-dev/sdk';
import type { StepContext } from '@kici-dev/sdk';
import { named } from '../lib/parts';
import { message, note, waitFor } from '../lib/stage';

const runsOn = 'linux';

const work = (prefix: string) => async (ctx: StepContext) => {
  const name = `${prefix} ${await message(ctx.$)}`;
  await note(ctx.$, `start ${name}`);
  await waitFor(ctx.$, `go ${name}`);
  await note(ctx.$, `end ${name}`);
};

/** The lock file has the function, so waiting runs need no agent. */
export const queue = workflow('queue', {
  on: push({ branches: ['queue'] }),
  concurrency: {
    group: ({ branch }) => `queue-${branch}`,
    cancelInProgress: false,
  },
  jobs: [job('work', { runsOn, run: work('queue') })],
});

/** Only an agent can name the group, so a waiting run keeps its agent. */
export const asked = workflow('asked', {
  on: push({ branches: ['asked'] }),
  concurrency: {
    group: ({ branch }) => named(branch),
    cancelInProgress: false,
  },
  jobs: [job('work', { runsOn, run: work('asked') })],
});

/** The newest run wins; the others clean up first. */
export const newest = workflow('newest', {
  on: push({ branches: ['newest'] }),
  concurrency: { group: ({ branch }) => `newest-${branch}` },
  jobs: [
    job('work', {
      runsOn,
      gracePeriod: 5,
      onCancel: async ({ $ }) => {
        await note($, `cancelled newest ${await message($)}`);
      },
      run: work('newest'),
    }),
    job('after', {
      runsOn,
      needs: [{ name: 'work', when: 'always' }],
      run: async ({ $ }) => note($, 'after newest'),
    }),
  ],
});

const alone = async (ctx: StepContext) => {
  await note(ctx.$, `alone start ${ctx.job.name}`);
  await ctx.$`sleep 0.2`;
  await note(ctx.$, `alone end ${ctx.job.name}`);
};

/** Jobs of one group, one at a time, wherever they come from. */
export const migrations = workflow('migrations', {
  on: push({ branches: ['jobs'] }),
  jobs: [
    job('a', { runsOn, concurrencyGroup: 'database', run: alone }),
    job('b', {
      runsOn,
      concurrencyGroup: (event) => (event.type === 'push' ? 'database' : 'other'),
      run: alone,
    }),
    job('c', {
      runsOn,
      concurrencyGroup: () => named('database').replace('computed-', ''),
      run: alone,
    }),
  ],
});

export const reports = workflow('reports', {
  on: push({ branches: ['jobs'] }),
  jobs: [
    job('d', {
      runsOn,
      matrix: ['1', '2'],
      concurrencyGroup: 'database',
      run: alone,
    }),
  ],
});
