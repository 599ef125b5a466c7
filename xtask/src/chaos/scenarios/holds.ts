/** Runs that ask people first. */
import { job, push, step, workflow } from '@kici-dev/sdk';
import { noted, work } from '../lib/journal';

const runsOn = 'chaos';

const build = job('build', { runsOn, steps: [noted('build')] });
const ship = job('ship', { runsOn, needs: [build], approval: true, steps: [noted('ship')] });

/** Before one of its jobs. */
export const heldJob = workflow('held-job', {
  on: push({ branches: ['held-job'] }),
  jobs: [
    build,
    ship,
    job('after', { runsOn, needs: [ship], steps: [noted('after')] }),
    job('anyway', { runsOn, needs: [{ name: 'ship', when: 'always' }], steps: [noted('anyway')] }),
  ],
});

/** Before all of them. */
export const heldRun = workflow('held-run', {
  on: push({ branches: ['held-run'] }),
  approval: true,
  jobs: [build, job('next', { runsOn, needs: [build], steps: [noted('next')] })],
});

/** In the middle of a job, which keeps its agent. */
export const heldStep = workflow('held-step', {
  on: push({ branches: ['held-step'] }),
  jobs: [
    job('gated', {
      runsOn,
      steps: [
        noted('before'),
        step('gate', { approval: { reason: 'chaos asks' }, run: (ctx) => work(ctx, 'gate', {}) }),
      ],
    }),
  ],
});
