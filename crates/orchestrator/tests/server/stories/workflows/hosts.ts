/** A rollout over all hosts, one after the other, and a report about it on one of them. */
import { dynamicGroup, dynamicJob, isHostJobOutputs, job, onlyOnFirstHost, push, rule, step, workflow } from '@kici-dev/sdk';
import { note, say } from '../lib/stage';

const roll = job('roll', {
  runsOnAll: { include: [{ all: ['linux', /^kici:host:/] }], exclude: ['canary'] },
  maxParallel: 1,
  steps: [
    step('announce', {
      rules: [onlyOnFirstHost()],
      run: async ({ $ }) => {
        await note($, 'announced');
      },
    }),
    step('facts', async ({ $, host, agent, fanout }) => {
      await note($, `rolled ${String(fanout?.index)}`);
      return {
        host,
        isSame: agent?.host === host,
        isLabelled: agent?.labels.includes(`kici:host:${String(host)}`),
        platform: agent?.platform,
        index: fanout?.index,
        total: fanout?.total,
      };
    }),
  ],
});

const report = job('report', {
  // The id of an agent: the job belongs there.
  runsOn: 'agent-2',
  needs: [roll],
  rules: [rule('nothing but its needs', () => true)],
  run: async (ctx) => {
    const outputs: unknown = ctx.jobOutputs(roll);
    if (!isHostJobOutputs(outputs)) throw new Error('these are no outputs of hosts');
    say(ctx, { needs: ctx.needs?.['roll'], outputs, host: ctx.host ?? null, agent: ctx.agent ?? null });
  },
});

export const hosts = workflow('hosts', { on: push({ branches: ['hosts'] }), jobs: [roll, report] });

const each = dynamicJob('each', async () => [
  job('probe', {
    runsOnAll: 'linux',
    matrix: ['x', 'y'],
    run: async ({ host, matrix, agent }) => ({ host, of: matrix?.value, arch: agent?.arch }),
  }),
]);
const fin = job('fin', {
  runsOn: 'linux',
  needs: [dynamicGroup('each')],
  run: async (ctx) => {
    say(ctx, ctx.needs?.['each']);
  },
});

export const made = workflow('made', { on: push({ branches: ['made'] }), jobs: [each, fin] });
