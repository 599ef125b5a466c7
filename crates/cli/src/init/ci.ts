import { job, push, step, workflow, z } from '@kici-dev/sdk';

const build = job('build', {
  runsOn: 'kici:os:linux',
  steps: [
    step('version', {
      outputs: { version: z.string() },
      run: async ({ $, log }) => {
        const version = (await $`git describe --tags --always`.quiet().nothrow()).stdout.trim() || '0.0.0';
        log.info(`building ${version}`);
        return { version };
      },
    }),
    step('build', async ({ $ }) => {
      await $`echo "put your build here"`;
    }),
  ],
});

const test = job('test', {
  runsOn: 'kici:os:linux',
  needs: [build],
  run: async ({ $, log, jobOutputs }) => {
    log.info(`testing ${JSON.stringify(jobOutputs(build))}`);
    await $`echo "put your tests here"`;
  },
});

export default workflow('ci', { on: push(), jobs: [build, test] });
