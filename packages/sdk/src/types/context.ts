/** What the author's functions get: the step context and its smaller siblings. */

import type { CacheRestoreResult, CacheSpec } from '../cache.js';
import type { EventDefinition } from '../define-event.js';
import type { EventEnvelope } from '../event.js';
import type { KiciApi } from '../kici-api.js';
import type { NeedsContext } from '../needs.js';
import type { StepSecrets } from '../secrets.js';
import type { Shell } from '../shell/types.js';
import type { AbortSignalLike } from './globals.js';

/** Writes to the step's log. */
export interface Logger {
  info(message: unknown, ...args: readonly unknown[]): void;
  warn(message: unknown, ...args: readonly unknown[]): void;
  error(message: unknown, ...args: readonly unknown[]): void;
  /** Shown only with `KICI_LOG_LEVEL=debug` in the job's environment. */
  debug(message: unknown, ...args: readonly unknown[]): void;
}

/** Environment variables. */
export type Env = Record<string, string | undefined>;

/** Values given to a dispatch. */
export type DispatchInputs = Readonly<Record<string, unknown>>;

/** Place of a child in its fan-out. */
export interface Fanout {
  readonly index: number;
  readonly total: number;
  readonly first: boolean;
  readonly last: boolean;
}

/** The host of a host fan-out child. */
export interface AgentInfo {
  readonly host: string;
  readonly labels: readonly string[];
  readonly platform?: string;
  readonly arch?: string;
}

/** A repository of a global workflow. */
export interface RepoInfo {
  readonly identifier: string;
  readonly path: string;
  readonly ref?: string;
  readonly sha?: string;
}

/** What a provenance attestation is about. */
export type ProvenanceSubject =
  | { readonly name: string; readonly path: string }
  | { readonly name: string; readonly digest: { readonly sha256?: string; readonly sha512?: string } };

/** A stored attestation. */
export interface Provenance {
  readonly storageKey: string;
  readonly subjectDigest: string;
  readonly bundleMediaType: string;
}

/** Something whose outputs can be asked for: a step, or the function of a bare step. */
export type OutputsRef<T> =
  | { readonly _tag: 'Step'; readonly result: T }
  | ((...args: never[]) => T | Promise<T>);

/** What every step's function gets. */
export interface StepContext {
  /** Runs a command: bash with `set -euo pipefail`, arguments quoted. */
  readonly $: Shell;
  readonly log: Logger;
  /** The live environment. */
  readonly env: Env;
  /** Sets a variable for this and later steps. */
  setEnv(key: string, value: string): void;
  /** Puts a directory in front of `PATH`. */
  addPath(dir: string): void;
  /** Fires when the job is cancelled or a parallel sibling failed. */
  readonly signal: AbortSignalLike;
  readonly inputs: Readonly<Record<string, never>>;
  readonly dispatchInputs: DispatchInputs;
  readonly workflow: { readonly name: string };
  readonly job: { readonly name: string; readonly runsOn: string };
  /** The combination of a matrix child; a list's element is `value`. */
  readonly matrix?: Readonly<Record<string, string>>;
  readonly fanout?: Fanout;
  readonly host?: string;
  readonly agent?: AgentInfo;
  /** The forge's own body of the event. */
  readonly rawPayload: Readonly<Record<string, unknown>>;
  readonly provider?: string;
  readonly isTestRun: boolean;
  readonly workflowRepo?: RepoInfo;
  readonly sourceRepo?: RepoInfo;
  /** The first resolved environment. */
  readonly environment?: string;
  readonly secrets: StepSecrets;
  /** Emits an internal event that other workflows may be triggered by. */
  emit(
    name: string,
    payload?: Readonly<Record<string, unknown>>,
    options?: { readonly target?: { readonly repos?: readonly string[] } },
  ): Promise<{ deliveryId: string }>;
  emit<T>(
    event: EventDefinition<T>,
    payload: T,
    options?: { readonly target?: { readonly repos?: readonly string[] } },
  ): Promise<{ deliveryId: string }>;
  /** Outputs of an earlier step of this job. */
  outputsOf<T>(step: OutputsRef<T>): T;
  /** Outputs of an upstream job; throws when there are none. */
  jobOutputs<T>(job: { readonly _tag: 'Job'; readonly name: string; readonly result: T }): T;
  jobOutputs(job: { readonly name: string }): Readonly<Record<string, unknown>>;
  /** Results and states of upstream jobs; absent for a job without `needs`. */
  readonly needs?: NeedsContext;
  /** Gives a secret to downstream jobs. */
  setSecretOutput(key: string, value: string): void;
  readonly cache: {
    restore(spec: CacheSpec): Promise<CacheRestoreResult>;
    save(spec: CacheSpec): Promise<void>;
  };
  readonly kici: KiciApi;
  attestProvenance(options: {
    readonly subject: ProvenanceSubject;
    readonly audience?: string;
  }): Promise<Provenance>;
}

/** How things stand when a hook runs. */
export interface HookOutcome {
  readonly status: 'success' | 'failed' | 'cancelled';
  readonly reason?: string;
  readonly failedStep?: string;
  readonly stepOutputs: Readonly<Record<string, unknown>>;
  /** Milliseconds. */
  readonly duration: number;
}

/** What a hook's function gets. */
export interface HookContext extends StepContext {
  readonly outcome: HookOutcome;
}

/** What a rule's check gets. */
export interface RuleContext {
  readonly event: EventEnvelope;
  readonly changedFiles: readonly string[];
  readonly env: Env;
  readonly dispatchInputs: DispatchInputs;
  readonly fanout?: Fanout;
  readonly $: Shell;
}

/** What a generator of jobs gets. */
export interface GeneratorContext {
  readonly $: Shell;
  readonly ctx: {
    readonly workflow: { readonly name: string };
    readonly event: EventEnvelope;
    readonly needs?: NeedsContext;
  };
  readonly log: Logger;
  readonly env: Env;
  readonly kici: KiciApi;
}

/** What a matrix function gets. */
export interface MatrixContext {
  readonly $: Shell;
  readonly ctx: {
    readonly workflow: { readonly name: string };
    readonly job: { readonly name: string; readonly runsOn: string };
  };
  readonly log: Logger;
  readonly env: Env;
}
