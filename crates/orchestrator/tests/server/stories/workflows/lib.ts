/** What the steps of the stories have in common. */
import type { StepContext } from '@kici-dev/sdk';

type Shell = StepContext['$'];

/** Leaves a line in the journal, which no server knows. */
export async function note($: Shell, line: string): Promise<void> {
  await $`echo ${line} >> "$HOME/journal"`;
}

/** Waits until the test makes a file of this name. */
export async function waitFor($: Shell, name: string): Promise<void> {
  await $`until [ -e "$HOME/"${name} ]; do sleep 0.05; done`;
}

/** The message of the commit that runs. */
export async function message($: Shell): Promise<string> {
  return (await $`git log -1 --format=%s`.quiet()).stdout.trim();
}

/** Writes a value to the log where the test finds it. */
export function say({ log }: Pick<StepContext, 'log'>, value: unknown): void {
  log.info(`said ${JSON.stringify(value)}`);
}
