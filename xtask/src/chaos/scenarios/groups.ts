/** Runs and jobs that share groups, and a run with a limit. */
import { job, push, workflow } from '@kici-dev/sdk';
import { ASKED } from '../lib/asked';
import { noted } from '../lib/journal';

const runsOn = 'chaos';

const lead = job('lead', { runsOn, steps: [noted('lead', { ms: 300 })] });

/** Two runs at once; others wait in the order in which they came. */
export const lane = workflow('lane', {
  on: push({ branches: ['lane'] }),
  concurrency: { group: ({ branch }) => `on-${branch}`, cancelInProgress: false, max: 2 },
  jobs: [lead, job('follow', { runsOn, needs: [lead], steps: [noted('follow', { ms: 200 })] })],
});

/** Only the newest run goes on. */
export const swap = workflow('swap', {
  on: push({ branches: ['swap'] }),
  concurrency: { group: () => 'swap' },
  jobs: [
    job('slow', { runsOn, gracePeriod: 2, steps: [noted('slow', { lines: 20, ms: 2000 })] }),
    job('beside', { runsOn, steps: [noted('beside')] }),
  ],
});

/** A group that only an agent can name: a run that waits keeps its agent. */
export const asked = workflow('asked', {
  on: push({ branches: ['asked'] }),
  concurrency: { group: () => ASKED, cancelInProgress: false },
  jobs: [job('only', { runsOn, steps: [noted('first', { ms: 300 }), noted('second', { ms: 100 })] })],
});

/** Jobs of which one works at a time, across runs. */
export const solo = workflow('solo', {
  on: push({ branches: ['solo'] }),
  jobs: [
    job('one', { runsOn, concurrencyGroup: 'solo', steps: [noted('one', { ms: 200 })] }),
    job('two', { runsOn, concurrencyGroup: 'solo', steps: [noted('two', { ms: 200 })] }),
    job('free', { runsOn, steps: [noted('free')] }),
  ],
});

const endless = job('endless', {
  runsOn,
  gracePeriod: 1,
  steps: [noted('endless', { lines: 20, ms: 120_000 })],
});

/** Takes longer than it may. */
export const limited = workflow('limited', {
  on: push({ branches: ['limited'] }),
  timeout: 4000,
  jobs: [endless, job('never', { runsOn, needs: [endless], steps: [noted('unreachable')] })],
});
