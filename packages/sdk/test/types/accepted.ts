/** Type tests, checked by `npm run lint`: what has to be inferred. Never run. */

import type { Job, NeedsContext, Step } from '@kici-dev/sdk';
import {
  checkStep,
  defineDispatchInputs,
  defineEvent,
  dynamicGroup,
  dynamicJob,
  job,
  parallel,
  step,
  workflow,
  z,
} from '@kici-dev/sdk';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const expectTrue = <T extends true>(value?: T): void => void value;

const build = step('build', {
  outputs: { version: z.string(), size: z.number().optional() },
  run: () => ({ version: '1' }),
});
expectTrue<Equal<typeof build.result, { readonly version: string; readonly size?: number | undefined }>>();
expectTrue<Equal<typeof build.name, 'build'>>();

const plain = step('plain', async ({ $ }) => ({ text: (await $`ls`).stdout }));
expectTrue<Equal<typeof plain, Step<{ text: string }, 'plain'>>>();
const nothing = step('nothing', async ({ $ }) => void (await $`ls`));
expectTrue<Equal<keyof typeof nothing.result, never>>();

const checked = checkStep('c', {
  check: async () => ({ bytes: 1 }),
  summarize: (drift) => `${drift.bytes}`,
  apply: (_ctx, drift) => ({ done: drift.bytes > 1 }),
});
expectTrue<Equal<typeof checked.result, { done: boolean }>>();
step('drift', {
  drift: z.object({ n: z.number() }),
  check: () => null,
  summarize: ({ n }) => n.toFixed(),
  run: (_ctx, { n }) => n,
});

const steps = job('steps', { runsOn: 'x', steps: [build, parallel([plain]), async () => {}] });
expectTrue<Equal<typeof steps.result.build.version, string>>();
expectTrue<Equal<typeof steps.result.plain.text, string>>();

const short = job({
  runsOnAll: ['web', '!old', /x/],
  onUnreachable: 'skip',
  run: async () => ({ url: 'u' }),
});
expectTrue<Equal<typeof short.result.url, string>>();
expectTrue<Equal<(typeof short.result)['step-1']['url'], string>>();

const inputs = defineDispatchInputs({ region: z.enum(['eu', 'us']).default('eu'), n: z.number().optional() });
const shipped = defineEvent('shipped', z.object({ version: z.string() }));

const user = job('user', {
  runsOn: { labels: ['a', /b/], pick: 'any' },
  environments: ['base', (event) => `pr-${event.action}`],
  env: ({ targetBranch }) => ({ BRANCH: targetBranch ?? '' }),
  needs: [steps, 'short', { name: 'x', when: ['success', 'skipped'] }, dynamicGroup('g', { when: 'always' })],
  run: async (ctx) => {
    const { region, n } = inputs.from(ctx);
    expectTrue<Equal<typeof region, 'eu' | 'us'>>();
    expectTrue<Equal<typeof n, number | undefined>>();
    expectTrue<Equal<typeof ctx.needs, NeedsContext | undefined>>();
    const version: string = ctx.jobOutputs(steps).build.version;
    const same: string = ctx.outputsOf(build).version;
    await ctx.emit(shipped, { version });
    const files: { a: number } = await ctx.$({ quiet: true })`cat ${same}`.json<{ a: number }>();
    for await (const line of ctx.$`ls`.lines()) ctx.log.info(line.toUpperCase());
    ctx.signal.throwIfAborted();
    return files;
  },
});
const asJob: Job = user;

workflow('w', {
  jobs: [
    asJob,
    dynamicJob('g', {
      needs: [steps],
      generate: async ({ ctx }) => [job(`j-${Object.keys(ctx.needs).length}`, { runsOn: 'x', run: () => 1 })],
    }),
    async ({ ctx, log }) => {
      log.info(ctx.event.type);
      return [];
    },
  ],
  concurrency: { group: ({ branch, event }) => `${branch}-${event.type}` },
});
