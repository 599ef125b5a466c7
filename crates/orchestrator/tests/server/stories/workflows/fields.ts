/** Values that are functions: of the event alone, or of more than that. */
import { job, push, step, workflow } from '@kici-dev/sdk';
import { named } from '../lib/parts';
import { say } from '../lib/stage';

const runsOn = 'linux';

const inline = job('inline', {
  runsOn,
  environment: (event) => `env-${event.targetBranch}`,
  env: (event) => ({ BRANCH: event.targetBranch ?? 'none', KIND: event.type }),
  concurrencyGroup: (event) => `group-${event.targetBranch}`,
  run: async (ctx) => {
    say(ctx, {
      branch: ctx.env['BRANCH'],
      kind: ctx.env['KIND'],
      environment: ctx.environment,
    });
  },
});

const asked = job('asked', {
  runsOn,
  environment: async (event) => named(event.targetBranch ?? 'none'),
  env: async (event) => ({
    BRANCH: named(event.targetBranch ?? 'none'),
    N: '2',
  }),
  concurrencyGroup: (event) => named(event.type),
  steps: [
    step('show', async (ctx) => {
      say(ctx, {
        branch: ctx.env['BRANCH'],
        n: ctx.env['N'],
        environment: ctx.environment,
      });
    }),
  ],
});

/** Pure, but a matrix is never evaluated by the orchestrator. */
const pure = job('pure', {
  runsOn,
  matrix: () => ({ os: ['lin', 'mac'], node: ['18', '20'] }),
  exclude: [{ os: 'mac', node: '18' }],
  include: [{ os: 'win', node: '22' }],
  run: async ({ matrix, fanout }) => ({ of: matrix, index: fanout?.index }),
});

/** Everything of one job is computed together. */
const all = job('all', {
  runsOn,
  matrix: async ({ $, ctx }) => [...(await $`ls`.quiet()).stdout.trim().split('\n'), ctx.job.name],
  env: async () => ({ WHO: named('all') }),
  environment: async () => named('place'),
  run: async (ctx) => ({
    v: ctx.matrix?.value,
    who: ctx.env['WHO'],
    environment: ctx.environment,
  }),
});

const after = job('after', {
  runsOn,
  needs: [inline, asked, pure, all],
  run: async (ctx) => {
    say(ctx, { pure: ctx.needs?.['pure'], all: ctx.jobOutputs(all) });
  },
});

export const fields = workflow('fields', {
  on: push({ branches: ['fields'] }),
  jobs: [inline, asked, pure, all, after],
});

const run = async (): Promise<void> => {};

/** Mistakes fail their job and nothing else. */
export const wrong = workflow('wrong', {
  on: push({ branches: ['wrong'] }),
  jobs: [
    job('throws', {
      runsOn,
      env: async () => {
        throw new Error('no values today');
      },
      run,
    }),
    job('inline-throws', {
      runsOn,
      env: () => ({ X: JSON.parse('no JSON') as string }),
      run,
    }),
    job('number', {
      runsOn,
      concurrencyGroup: async () => 7 as unknown as string,
      run,
    }),
    job('empty', { runsOn, matrix: async () => [], run }),
    job('text', {
      runsOn,
      matrix: async () => 'a' as unknown as string[],
      run,
    }),
    job('fine', { runsOn, run }),
    job('after', { runsOn, needs: ['throws', 'fine'], run }),
    job('anyway', {
      runsOn,
      needs: [
        { name: 'throws', when: 'always' },
        { name: 'empty', when: 'always' },
      ],
      run: async (ctx) => {
        say(ctx, ctx.needs);
      },
    }),
  ],
});
