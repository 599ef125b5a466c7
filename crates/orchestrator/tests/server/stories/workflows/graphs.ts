/** Needs in every form, and matrices. */
import { job, push, step, workflow } from '@kici-dev/sdk';
import { note, say } from '../lib/stage';

const runsOn = 'linux';
const run = async (): Promise<void> => {};

const ok = job('ok', { runsOn, steps: [step('s', async () => ({ v: 42 }))] });
const bad = job('bad', {
  runsOn,
  steps: [
    step('s', async () => {
      throw new Error('boom');
    }),
  ],
});
const dflt = job('dflt', { runsOn, needs: [ok, bad], run });
const dflt2 = job('dflt2', { runsOn, needs: [dflt], run });
const always = job('always', {
  runsOn,
  needs: [ok, { name: 'bad', when: 'always' }, { name: 'dflt', when: 'always' }],
  run: async (ctx) => {
    say(ctx, { needs: ctx.needs, ok: ctx.jobOutputs(ok), v: ok.result.s.v });
  },
});
const onfail = job('onfail', {
  runsOn,
  needs: [{ name: 'bad', when: 'on-failure' }],
  run,
});
const onfailok = job('onfailok', {
  runsOn,
  needs: [{ name: 'ok', when: 'on-failure' }],
  run,
});
const onskip = job('onskip', {
  runsOn,
  needs: [{ name: 'dflt2', when: 'on-skip' }],
  run,
});
const raw = job('raw', {
  runsOn,
  needs: [{ name: 'dflt2', when: ['skipped'] }],
  run,
});

export const needs = workflow('needs', {
  on: push({ branches: ['needs'] }),
  jobs: [ok, bad, dflt, dflt2, always, onfail, onfailok, onskip, raw],
});

const grid = job('m', {
  runsOn,
  matrix: { os: ['lin', 'mac'], node: ['18', '20'] },
  exclude: [{ os: 'mac', node: '18' }],
  include: [{ os: 'win', node: '22', extra: 'y' }],
  run: async ({ matrix, fanout }) => ({
    matrix,
    index: fanout?.index,
    total: fanout?.total,
  }),
});
const turns = job('arr', {
  runsOn,
  matrix: ['b', 'c', 'a'],
  maxParallel: 1,
  steps: [
    step('turn', async ({ $, matrix }) => {
      await note($, `arr start ${String(matrix?.value)}`);
      await $`sleep 0.2`;
      await note($, `arr end ${String(matrix?.value)}`);
      return { v: matrix?.value };
    }),
  ],
});
const after = job('after', {
  runsOn,
  needs: [grid, turns],
  run: async (ctx) => {
    say(ctx, {
      m: ctx.needs?.['m'],
      arr: ctx.needs?.['arr'],
      outputs: ctx.jobOutputs(turns),
    });
  },
});
const halting = job('ff', {
  runsOn,
  matrix: ['a', 'b', 'c'],
  maxParallel: 1,
  failFast: true,
  run: async ({ matrix }) => {
    if (matrix?.value === 'a') throw new Error('the first is bad');
  },
});
const afterHalt = job('after-ff', {
  runsOn,
  needs: [{ name: 'ff', when: 'always' }],
  run: async (ctx) => {
    say(ctx, ctx.needs);
  },
});

export const matrices = workflow('matrices', {
  on: push({ branches: ['matrices'] }),
  jobs: [grid, turns, after, halting, afterHalt],
});
