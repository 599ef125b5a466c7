/** Runs that are run again, and one that takes too long. */
import { dynamicGroup, dynamicJob, job, push, step, workflow } from '@kici-dev/sdk';
import { note, say, waitFor } from '../lib/stage';

const runsOn = 'linux';

const build = job('build', {
  runsOn,
  steps: [
    step('make', async ({ $, log }) => {
      await note($, 'build');
      log.info('made it');
      // Another one in each run.
      return {
        serial: (await $`grep -c build "$HOME/journal"`.quiet()).stdout.trim(),
      };
    }),
  ],
});

const parts = dynamicJob('parts', {
  needs: [build],
  generate: async () =>
    ['p', 'q'].map((name) =>
      job(`part-${name}`, {
        runsOn,
        run: async ({ $ }) => {
          await note($, `part-${name}`);
          return { of: build.result.make.serial };
        },
      }),
    ),
});

const test = job('test', {
  runsOn,
  needs: [build, dynamicGroup('parts')],
  run: async (ctx) => {
    await note(ctx.$, 'test');
    say(ctx, { build: ctx.jobOutputs(build), parts: ctx.needs?.['parts'] });
    await ctx.$`[ -e "$HOME/mended" ]`;
  },
});

const deploy = job('deploy', {
  runsOn,
  needs: [test],
  run: async ({ $ }) => note($, 'deploy'),
});
const report = job('report', {
  runsOn,
  needs: [{ name: 'test', when: 'always' }],
  run: async ({ $ }) => note($, 'report'),
});

export const again = workflow('again', {
  on: push({ branches: ['again'] }),
  jobs: [build, parts, test, deploy, report],
});

/** What a generator gives in a run that is repeated goes ahead of what nobody waits for. */
export const ahead = workflow('ahead', {
  on: push({ branches: ['ahead'] }),
  jobs: [
    dynamicJob('made', async ({ $ }) => {
      // The second time, nobody offers what they want.
      const times = (await $`echo ahead >> "$HOME/ahead"; grep -c ahead "$HOME/ahead"`).stdout.trim();
      const label = times === '1' ? 'linux' : 'nobody-has-this';
      return [job('made', { runsOn: label, run: async () => {} })];
    }),
    job('computed', {
      runsOn: 'linux',
      needs: [dynamicGroup('made')],
      matrix: async () => ['a', 'b'],
      run: async () => {},
    }),
  ],
});

export const endless = workflow('endless', {
  on: push({ branches: ['endless'] }),
  timeout: 3000,
  jobs: [
    job('work', {
      runsOn,
      gracePeriod: 5,
      onCancel: async ({ $ }) => note($, 'stopped'),
      run: async ({ $ }) => waitFor($, 'never'),
    }),
    job('after', {
      runsOn,
      needs: [{ name: 'work', when: 'always' }],
      run: async ({ $ }) => note($, 'after'),
    }),
  ],
});
