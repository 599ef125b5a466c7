/** Runs of one job: short, long, with much log, failing. */
import { job, push, workflow } from '@kici-dev/sdk';
import { noted } from '../lib/journal';

const runsOn = 'chaos';

export const single = workflow('single', {
  on: push({ branches: ['single'] }),
  jobs: [job('only', { runsOn, steps: [noted('first'), noted('second')] })],
});

export const long = workflow('long', {
  on: push({ branches: ['long'] }),
  jobs: [job('long', { runsOn, steps: [noted('sleep', { lines: 40, ms: 6000 }), noted('after')] })],
});

export const verbose = workflow('verbose', {
  on: push({ branches: ['verbose'] }),
  jobs: [
    job('verbose', {
      runsOn,
      steps: [noted('much', { lines: 4000, ms: 1500 }), noted('more', { lines: 500, ms: 200 })],
    }),
  ],
});

export const failing = workflow('failing', {
  on: push({ branches: ['failing'] }),
  jobs: [job('fails', { runsOn, steps: [noted('good'), noted('bad', { fails: true }), noted('never')] })],
});

/** Somebody cancels it while it runs. */
export const cancelled = workflow('cancelled', {
  on: push({ branches: ['cancelled'] }),
  jobs: [
    job('slow', { runsOn, gracePeriod: 2, steps: [noted('slow', { lines: 30, ms: 8000 })] }),
    job('other', { runsOn, steps: [noted('quick')] }),
  ],
});
