/** Functions of the author, by number. */

import type { OutputSchemas } from '../step.js';

/** A function of the author, whatever it takes. */
export type AuthorFn = (...args: unknown[]) => unknown;

/** What the functions of one job share at run time. */
export interface JobScope {
  readonly workflow: WorkflowScope;
  /** Names of declared upstream jobs and groups. */
  readonly needs: readonly string[] | undefined;
  /** Step objects and bare functions with the names they run under. */
  readonly steps: readonly (readonly [object, string])[];
}

/** What the jobs of one workflow share. */
export interface WorkflowScope {
  readonly name: string;
  /** In-memory job name → name in the lock file; they differ for jobs without a name. */
  readonly jobNames: ReadonlyMap<string, string>;
}

/** What a function is to its step. */
export interface StepRole {
  readonly part: 'run' | 'whenInSync' | 'check';
  readonly step: string;
  readonly outputs?: OutputSchemas;
  readonly drift?: unknown;
}

/** A function and what is known about it. */
export interface Handle {
  readonly fn: AuthorFn;
  readonly scope: JobScope | undefined;
  readonly role: StepRole | undefined;
}

/** A function in a description. */
export interface FnRef {
  readonly $fn: number;
  readonly text?: string;
}

/** All functions that were described. */
export class HandleTable {
  readonly #handles: Handle[] = [];

  /** `withText`: descriptions for a lock file carry function texts. */
  constructor(readonly withText: boolean) {}

  /** Gives a function a number. */
  add(fn: unknown, scope?: JobScope, role?: StepRole): FnRef {
    const $fn = this.#handles.push({ fn: fn as AuthorFn, scope, role }) - 1;
    return this.withText ? { $fn, text: Function.prototype.toString.call(fn) } : { $fn };
  }

  /** The function with a number. */
  get($fn: number): Handle {
    const handle = this.#handles[$fn];
    if (!handle) throw new Error(`there is no function with handle ${$fn}`);
    return handle;
  }
}
