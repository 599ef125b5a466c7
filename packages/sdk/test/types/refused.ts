/** Type tests, checked by `npm run lint`: each line below `@ts-expect-error` has to be refused. Never run. */

import {
  defineDispatchInputs,
  defineEvent,
  dispatch,
  job,
  pr,
  push,
  rule,
  schedule,
  step,
  workflow,
  z,
} from '@kici-dev/sdk';

const run = (): void => {};

// @ts-expect-error it does not say where it runs
job('j', { run });
// @ts-expect-error one agent or every host
job('j', { runsOn: 'a', runsOnAll: 'b', run });
// @ts-expect-error run or steps
job('j', { runsOn: 'a', run, steps: [step('s', run)] });
// @ts-expect-error nothing to do
job('j', { runsOn: 'a' });
// @ts-expect-error one environment or several
job('j', { runsOn: 'a', environment: 'x', environments: ['y'], run });
// @ts-expect-error only for every host
job('j', { runsOn: 'a', onUnreachable: 'skip', run });
// @ts-expect-error no such option
job('j', { runsOn: 'a', run, timeuot: 5 });
// @ts-expect-error a command is no step
job('j', { runsOn: 'a', steps: ['npm ci'] });
// @ts-expect-error no such state
job('j', { runsOn: 'a', run, needs: [{ name: 'x', when: 'on-sucess' }] });
// @ts-expect-error drift exists only in steps
job('j', { runsOn: 'a', run, approval: { when: 'drift' } });
// @ts-expect-error env is text
job('j', { runsOn: 'a', run, env: { A: 1 } });

// @ts-expect-error version is a string
step('s', { outputs: { version: z.string() }, run: () => ({ version: 1 }) });
// @ts-expect-error version is missing
step('s', { outputs: { version: z.string() }, run: () => ({}) });
// @ts-expect-error nothing to run
step('s', { timeout: 5 });
// @ts-expect-error check needs summarize
step('s', { check: () => null, run });
// @ts-expect-error drift approval needs check
step('s', { run, approval: { when: 'drift' } });
// @ts-expect-error the drift has bytes
step('s', { drift: z.object({ bytes: z.number() }), check: () => ({ byte: 1 }), summarize: () => '', run });

const build = step('build', { outputs: { version: z.string() }, run: () => ({ version: '1' }) });
// @ts-expect-error no such output
export const missing = build.result.verson;
const jobs = job('j', { runsOn: 'x', steps: [build] });
// @ts-expect-error no such step
export const noStep = jobs.result.built;

// @ts-expect-error jobs are missing
workflow('w', { on: push() });
// @ts-expect-error the trigger was not called
workflow('w', { on: push, jobs: [] });
// @ts-expect-error no such event
pr({ events: ['merged'] });
// @ts-expect-error cron is missing
schedule({ timezone: 'UTC' });
// @ts-expect-error inputs are schemas
dispatch({ inputs: { region: 'eu' } });
// @ts-expect-error a rule says yes or no
rule('r', () => 'maybe');

const inputs = defineDispatchInputs({ n: z.number() });
const shipped = defineEvent('shipped', z.object({ version: z.string() }));
step('s', async (ctx) => {
  // @ts-expect-error no such input
  void inputs.from(ctx).m;
  // @ts-expect-error the payload has a version
  await ctx.emit(shipped, { versoin: '1' });
  // @ts-expect-error a string is no command
  await ctx.$('ls');
  // @ts-expect-error log is an object
  ctx.log('text');
  // @ts-expect-error values are text
  ctx.setEnv('A', 1);
});
