/** Jobs with a matrix: limited, halted by a failure, computed while the run starts. */
import { job, push, step, workflow } from '@kici-dev/sdk';
import { expectNames, noted, work } from '../lib/journal';

const runsOn = 'chaos';

const cells = job('cell', {
  runsOn,
  matrix: { os: ['lin', 'mac'], n: ['1', '2'] },
  exclude: [{ os: 'mac', n: '2' }],
  include: [{ n: '3', os: 'win' }],
  maxParallel: 2,
  steps: [noted('cell', { ms: 300 })],
});

/** Two at once, all of them known to who needs them. */
export const matrix = workflow('matrix', {
  on: push({ branches: ['matrix'] }),
  jobs: [
    cells,
    job('collect', {
      runsOn,
      needs: [cells],
      steps: [
        step('collect', async (ctx) => {
          expectNames(ctx, 'cell', ['cell (1, lin)', 'cell (1, mac)', 'cell (2, lin)', 'cell (3, win)']);
          await work(ctx, 'collect', {});
        }),
      ],
    }),
  ],
});

const rollout = job('host', {
  runsOn,
  matrix: ['a', 'b', 'c', 'd'],
  maxParallel: 1,
  failFast: true,
  steps: [
    step('roll', (ctx) => work(ctx, 'roll', { ms: 100, fails: ctx.matrix?.['value'] === 'b' })),
  ],
});

/** One after the other; the second fails, so the others never have their turn. */
export const halted = workflow('halted', {
  on: push({ branches: ['halted'] }),
  jobs: [
    rollout,
    job('after', { runsOn, needs: [rollout], steps: [noted('unreachable')] }),
    job('report', { runsOn, needs: [{ name: 'host', when: 'always' }], steps: [noted('report')] }),
  ],
});

const racers = job('racer', {
  runsOn,
  matrix: ['a', 'b', 'c', 'd', 'e'],
  maxParallel: 2,
  failFast: true,
  steps: [
    step('race', (ctx) => {
      const fails = ctx.matrix?.['value'] === 'a';
      return work(ctx, 'race', { ms: fails ? 700 : 250, fails });
    }),
  ],
});

/** The first fails while others come and go beside it: how many had their turn is chance. */
export const racing = workflow('racing', {
  on: push({ branches: ['racing'] }),
  jobs: [racers],
});

const computedCells = job('cell', {
  runsOn,
  matrix: async ({ $ }) => (await $`printf 'x\ny\nz\n'`).stdout.trim().split('\n'),
  maxParallel: 2,
  steps: [noted('cell', { ms: 200 })],
});

/** An agent computes the matrix. */
export const computed = workflow('computed', {
  on: push({ branches: ['computed'] }),
  jobs: [
    computedCells,
    job('collect', {
      runsOn,
      needs: [computedCells],
      steps: [
        step('collect', async (ctx) => {
          expectNames(ctx, 'cell', ['cell (x)', 'cell (y)', 'cell (z)']);
          await work(ctx, 'collect', {});
        }),
      ],
    }),
  ],
});
