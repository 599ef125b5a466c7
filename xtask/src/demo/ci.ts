import { readFile, writeFile } from 'node:fs/promises';
import { job, push, step, workflow, z } from '@kici-dev/sdk';

const build = job('build', {
  runsOn: 'demo',
  steps: [
    step('version', {
      outputs: { version: z.string() },
      run: async ({ $, log }) => {
        const version = (await $`git rev-parse --short HEAD`.quiet()).stdout.trim();
        log.info(`building version ${version}`);
        return { version };
      },
    }),
    step('shell', async ({ $ }) => {
      await $`echo "this line comes from a shell, on $(uname -s)"`;
    }),
  ],
});

const count = job('count', {
  runsOn: 'demo',
  steps: [
    step('words', {
      outputs: { words: z.number() },
      run: async ({ log }) => {
        const words = (await readFile('words.txt', 'utf8')).trim().split(/\s+/).length;
        await writeFile('count.txt', `${words}\n`);
        log.info(`words.txt has ${words} words`);
        return { words };
      },
    }),
  ],
});

const report = job('report', {
  runsOn: 'demo',
  needs: [build, count],
  steps: [
    step('report', async ({ $, log, jobOutputs }) => {
      const { version } = jobOutputs(build).version;
      const { words } = jobOutputs(count).words;
      const head = (await $`git rev-parse --short HEAD`.quiet()).stdout.trim();
      if (version !== head || words !== 7) {
        throw new Error(`outputs were lost on the way: version ${version}, ${words} words`);
      }
      log.info(`version ${version} has ${words} words`);
    }),
  ],
});

export default workflow('ci', { on: push({ branches: ['main'] }), jobs: [build, count, report] });
