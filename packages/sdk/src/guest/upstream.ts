/** Outputs of steps and upstream jobs, bound to the objects that the author wrote. */

import * as sdk from '@kici-dev/sdk';
import { buildNeedsContext, type NeedsContext, type UpstreamState } from '../needs.js';
import { flattenRunOutputs } from '../outputs.js';
import { isObject } from '../tags.js';
import type { JobScope } from './handles.js';

/** What `state.upstream` says. */
interface Upstream extends UpstreamState {
  readonly needs?: readonly string[];
}

/** The maps behind `step.result`, `job.result`, `ctx.outputsOf` and `ctx.jobOutputs`. */
export class Outputs {
  readonly #steps = new Map<string, unknown>();
  readonly #jobs = new Map<string, unknown>();
  readonly #stepNames = new WeakMap<object, string>();
  readonly #upstream: Upstream;
  #bound: JobScope | undefined;

  constructor(upstream: unknown) {
    this.#upstream = isObject(upstream) ? upstream : {};
    for (const [name, outputs] of Object.entries(this.#upstream.outputs ?? {})) {
      this.#jobs.set(name, flattenRunOutputs(outputs));
    }
    sdk.setStepOutputsMap(this.#steps);
    sdk.setJobOutputsMap(this.#jobs);
    sdk.setStepRefMap(this.#stepNames);
  }

  /** Makes the step and job objects of `scope` mean the running job's. */
  bind(scope: JobScope | undefined): void {
    if (!scope || scope === this.#bound) return;
    this.#bound = scope;
    for (const [step, name] of scope.steps) this.#stepNames.set(step, name);
    for (const [memoryName, name] of scope.workflow.jobNames) {
      if (memoryName !== name && this.#jobs.has(name)) this.#jobs.set(memoryName, this.#jobs.get(name));
    }
  }

  /** Keeps what a step returned. */
  keep(step: string, outputs: unknown): void {
    this.#steps.set(step, outputs);
  }

  /** `ctx.outputsOf`. */
  ofStep(step: unknown): unknown {
    const known = typeof step === 'function' || isObject(step) ? this.#stepNames.get(step) : undefined;
    const name = known ?? (isObject(step) && typeof step.name === 'string' ? step.name : undefined);
    if (name === undefined) {
      throw new Error(
        'outputsOf: this is no step of the running job; pass the step object, or the very function that is in `steps`',
      );
    }
    return this.#steps.get(name);
  }

  /** `ctx.jobOutputs`. */
  ofJob(job: unknown): unknown {
    const name = isObject(job) ? String(job.name) : String(job);
    if (this.#jobs.has(name)) return this.#jobs.get(name);
    const shown = this.#bound?.workflow.jobNames.get(name) ?? name;
    const available = [
      ...new Set([...this.#jobs.keys()].map((key) => this.#bound?.workflow.jobNames.get(key) ?? key)),
    ];
    const known =
      available.length > 0 ? `there are outputs of: ${available.join(', ')}` : 'no upstream job has outputs';
    throw new Error(
      `Job '${shown}' has no outputs here (${known}); add it to \`needs\` of this job, and return an object from its steps`,
    );
  }

  /** `ctx.needs` for a generator: what it was declared with, whatever the job needs that runs it. */
  generatorNeeds(scope: JobScope | undefined): NeedsContext | undefined {
    return scope?.needs && buildNeedsContext(scope.needs, this.#upstream);
  }

  /** `ctx.needs` for a job, from what it declares. */
  needs(scope: JobScope | undefined): NeedsContext | undefined {
    const declared = this.#upstream.needs ?? scope?.needs;
    return declared && buildNeedsContext(declared, this.#upstream);
  }
}
