/** People decide: before a run, a job, a step. */
import { job, push, step, workflow } from '@kici-dev/sdk';
import { note, say } from '../lib/stage';

const runsOn = 'linux';

export const gate = workflow('gate', {
  on: push({ branches: ['gate'] }),
  approval: { reason: 'to all customers' },
  jobs: [
    job('ship', { runsOn, run: async ({ $ }) => note($, 'shipped') }),
    job('after', {
      runsOn,
      needs: [{ name: 'ship', when: 'always' }],
      run: async () => {},
    }),
  ],
});

const build = job('build', {
  runsOn,
  steps: [step('make', async () => ({ version: '1.2' }))],
});
const deploy = job('deploy', {
  runsOn,
  needs: [build],
  approval: [{ user: 'ada' }],
  matrix: ['eu', 'us'],
  run: async (ctx) => {
    await note(ctx.$, `deployed ${String(ctx.matrix?.value)} ${build.result.make.version}`);
  },
});

export const gates = workflow('gates', {
  on: push({ branches: ['gates'] }),
  jobs: [
    build,
    deploy,
    job('after', {
      runsOn,
      needs: [{ name: 'deploy', when: 'always' }],
      run: async (ctx) => {
        say(ctx, ctx.needs?.['deploy']);
      },
    }),
  ],
});

export const steps = workflow('steps', {
  on: push({ branches: ['steps'] }),
  jobs: [
    job('change', {
      runsOn,
      steps: [
        step('look', async () => {}),
        step('migrate', {
          approval: { reason: 'rewrites the orders table' },
          timeout: 30_000,
          run: async ({ $ }) => note($, 'migrated'),
        }),
        step('apply', {
          approval: { when: 'drift' },
          check: async () => ({ changes: 3 }),
          summarize: (drift: { changes: number }) => `${String(drift.changes)} changes`,
          run: async ({ $ }, drift) => note($, `applied ${String(drift.changes)}`),
        }),
        step('calm', {
          approval: { when: 'drift' },
          check: async () => null,
          summarize: () => 'nothing',
          run: async ({ $ }) => note($, 'never'),
        }),
      ],
    }),
    job('refused', {
      runsOn,
      needs: ['change'],
      steps: [
        step('drop', {
          approval: true,
          retry: { maxAttempts: 3, delayMs: 10 },
          run: async ({ $ }) => note($, 'dropped'),
        }),
        step('later', async ({ $ }) => note($, 'later')),
      ],
    }),
  ],
});

export const late = workflow('late', {
  on: push({ branches: ['late'] }),
  jobs: [
    job('held', {
      runsOn,
      approval: { timeout: 1 },
      run: async ({ $ }) => note($, 'held ran'),
    }),
  ],
});

export const lateStep = workflow('late-step', {
  on: push({ branches: ['late-step'] }),
  jobs: [
    job('asks', {
      runsOn,
      steps: [
        step('ask', {
          approval: { timeout: 1 },
          run: async ({ $ }) => note($, 'asks ran'),
        }),
      ],
    }),
  ],
});
