/**
 * The side journal: every execution of a step leaves two lines in a file that no server knows, and counted lines in its
 * log. What is in both can be compared with what the tables say.
 */
import { randomUUID } from 'node:crypto';
import { step } from '@kici-dev/sdk';
import type { Step, StepContext } from '@kici-dev/sdk';

const JOURNAL = '@JOURNAL@';

/** One for each time that the module is loaded, which is once for each process that runs a job. */
const execution = randomUUID();

/** What a step of a scenario does. */
export interface Work {
  /** Counted lines of log. */
  readonly lines?: number;
  /** Milliseconds that it takes, spread over its lines. */
  readonly ms?: number;
  /** It fails at the end. */
  readonly fails?: boolean;
}

/** The agent's id: each has a folder of this name for temporary files. */
function agent(ctx: StepContext): string {
  return ctx.env['TMPDIR']?.split('/').pop() ?? '-';
}

async function note(ctx: StepContext, what: string, name: string): Promise<void> {
  // The job comes last: names of children have blanks.
  const job = ctx.env['KICI_JOB_NAME'] ?? ctx.job.name;
  const line = [execution, ctx.env['KICI_RUN_ID'], agent(ctx), String(Date.now()), name, what, job].join(' ');
  await ctx.$`printf '%s\n' ${line} >> ${JOURNAL}`.quiet();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Does the work between its two lines of the journal. */
export async function work(ctx: StepContext, name: string, options: Work): Promise<void> {
  const lines = options.lines ?? 3;
  await note(ctx, 'start', name);
  // A pause for each line would be more timers than lines for long logs.
  const pauses = Math.min(lines, 20);
  const each = Math.ceil(lines / pauses);
  for (let line = 1; line <= lines; line += 1) {
    ctx.log.info(`chaos ${execution} ${name} ${String(line)}/${String(lines)}`);
    if (options.ms !== undefined && line % each === 0) {
      await pause(options.ms / pauses);
    }
  }
  await note(ctx, 'end', name);
  if (options.fails === true) {
    throw new Error('this step fails on purpose');
  }
}

/** A step that does nothing but its work. */
export function noted(name: string, options: Work = {}): Step {
  return step(name, (ctx) => work(ctx, name, options));
}

/** Fails the step when a job did not learn of its upstreams what it must. */
export function expectNames(ctx: StepContext, upstream: string, names: readonly string[]): void {
  const seen = ctx.needs?.[upstream];
  const got = Array.isArray(seen) ? seen.map((child: { readonly name: string }) => child.name) : [];
  if (got.join('|') !== names.join('|')) {
    throw new Error(`of ${upstream} it knows [${got.join('|')}] instead of [${names.join('|')}]`);
  }
}
