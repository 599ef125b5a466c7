/** Runs of several jobs that wait for each other. */
import { job, push, step, workflow, z } from '@kici-dev/sdk';
import { noted, work } from '../lib/journal';

const runsOn = 'chaos';

const root = job('root', {
  runsOn,
  steps: [
    step('number', {
      outputs: { number: z.number() },
      run: async (ctx) => {
        await work(ctx, 'number', {});
        return { number: 42 };
      },
    }),
  ],
});

const left = job('left', { runsOn, needs: [root], steps: [noted('left', { ms: 300 })] });
const right = job('right', { runsOn, needs: [root], steps: [noted('right', { ms: 700 })] });

const join = job('join', {
  runsOn,
  needs: [root, left, right],
  steps: [
    step('join', async (ctx) => {
      const { number } = ctx.jobOutputs(root).number;
      if (number !== 42) {
        throw new Error(`an output was lost on the way: ${String(number)}`);
      }
      await work(ctx, 'join', {});
    }),
  ],
});

/** Fan-out and fan-in, with an output that travels. */
export const diamond = workflow('diamond', { on: push({ branches: ['diamond'] }), jobs: [root, left, right, join] });

const breaks = job('breaks', { runsOn, steps: [noted('breaks', { fails: true })] });

/** One job fails; who needs its success is skipped, who takes anything or waits for failure runs. */
export const rescue = workflow('rescue', {
  on: push({ branches: ['rescue'] }),
  jobs: [
    breaks,
    job('needs-success', { runsOn, needs: [breaks], steps: [noted('unreachable')] }),
    job('cleanup', { runsOn, needs: [{ name: 'breaks', when: 'always' }], steps: [noted('cleanup')] }),
    job('on-failure', { runsOn, needs: [{ name: 'breaks', when: 'on-failure' }], steps: [noted('on-failure')] }),
  ],
});

const ok = job('ok', { runsOn, steps: [noted('ok')] });
const bad = job('bad', { runsOn, steps: [noted('bad', { fails: true })] });
const chained = job('chained', { runsOn, needs: [ok, bad], steps: [noted('unreachable')] });
const further = job('further', { runsOn, needs: [chained], steps: [noted('unreachable')] });

/** What each kind of need makes of a failure and of the skips that follow from it. */
export const joins = workflow('joins', {
  on: push({ branches: ['joins'] }),
  jobs: [
    ok,
    bad,
    chained,
    further,
    job('always', {
      runsOn,
      needs: [ok, { name: 'bad', when: 'always' }, { name: 'chained', when: 'always' }],
      steps: [noted('always')],
    }),
    job('onfail', { runsOn, needs: [{ name: 'bad', when: 'on-failure' }], steps: [noted('onfail')] }),
    job('onfailok', { runsOn, needs: [{ name: 'ok', when: 'on-failure' }], steps: [noted('unreachable')] }),
    job('onskip', { runsOn, needs: [{ name: 'further', when: 'on-skip' }], steps: [noted('onskip')] }),
  ],
});

const wide = Array.from({ length: 6 }, (_, index) =>
  job(`part-${String(index)}`, { runsOn, steps: [noted('part', { ms: 150 })] }),
);

export const fan = workflow('fan', {
  on: push({ branches: ['fan'] }),
  jobs: [...wide, job('all', { runsOn, needs: wide, steps: [noted('all')] })],
});

/** One push, two runs. */
export const twinA = workflow('twin-a', {
  on: push({ branches: ['twins'] }),
  jobs: [job('a', { runsOn, steps: [noted('a')] })],
});

export const twinB = workflow('twin-b', {
  on: push({ branches: ['twins'] }),
  jobs: [job('b', { runsOn, steps: [noted('b')] })],
});
