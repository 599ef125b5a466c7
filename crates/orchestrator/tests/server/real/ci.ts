import { job, push, step, workflow } from '@kici-dev/sdk';

// The journal is beside all logs: it says what really happened.
const counting = job('counting', {
  runsOn: 'linux',
  steps: [
    step('count', async ({ $ }) => {
      await $`echo "start $$" >> @JOURNAL@
        i=0
        while [ $i -lt @TICKS@ ]; do i=$((i + 1)); echo "tick $i"; sleep 0.05; done
        echo end >> @JOURNAL@`;
    }),
  ],
});

const daemons = job('daemons', {
  runsOn: 'linux',
  // Seconds; the daemons do not listen.
  gracePeriod: 1,
  onCancel: async ({ $ }) => {
    await $`echo onCancel >> @JOURNAL@`;
  },
  cleanup: async ({ $ }) => {
    await $`echo cleanup >> @JOURNAL@`;
  },
  steps: [
    step('spawn', async ({ $ }) => {
      await $`sh .kici/daemons.sh @MARK@`;
    }),
  ],
});

export default workflow('ci', { on: push(), jobs: [counting, daemons] });
