/** Triggers that come from KiCI itself or from outside the forge. */

import { isObject } from '../tags.js';
import {
  makeTrigger,
  type OneOrMore,
  required,
  requiredList,
  strings,
  type TriggerOptions,
  words,
} from './common.js';

/** JSONPath → expected value, list of values, or `/regex/flags`. */
export type PayloadMatch = Readonly<Record<string, unknown>>;

const RUN_STATES = ['success', 'failed', 'cancelled'] as const;
const JOB_STATES = ['success', 'failed', 'cancelled', 'skipped'] as const;
const LIFECYCLE_EVENTS = ['workflow_complete', 'job_complete', 'job_failed', 'registration_updated'] as const;

/** Final state of a workflow. */
export type WorkflowState = (typeof RUN_STATES)[number];
/** Final state of a job. */
export type JobState = (typeof JOB_STATES)[number];
/** What can happen inside KiCI. */
export type LifecycleEvent = (typeof LIFECYCLE_EVENTS)[number];

function payloadMatch(owner: string, key: string, value: PayloadMatch | undefined): PayloadMatch | undefined {
  if (value !== undefined && (!isObject(value) || Array.isArray(value))) {
    throw new TypeError(
      `${owner}: \`${key}\` maps JSONPaths to values; write ${key}: { '$.version': '1.0' }`,
    );
  }
  return value;
}

/** Made by `kiciEvent`. */
export interface KiciEventTrigger extends TriggerOptions {
  readonly _tag: 'KiciEventTrigger';
  readonly name: string;
  readonly match?: PayloadMatch;
  readonly not?: PayloadMatch;
  readonly source?: string;
}

/** Options of `kiciEvent`. */
export interface KiciEventOptions extends TriggerOptions {
  readonly name: string;
  /** All must hold. */
  readonly match?: PayloadMatch;
  /** None may hold. */
  readonly not?: PayloadMatch;
  /** Repository that emits it. */
  readonly source?: string;
}

/** An event that a workflow emits with `ctx.emit`. */
export function kiciEvent(options: KiciEventOptions): KiciEventTrigger {
  return makeTrigger({
    _tag: 'KiciEventTrigger',
    name: required('kiciEvent', 'name', options?.name, "kiciEvent({ name: 'shipped' })"),
    match: payloadMatch('kiciEvent', 'match', options.match),
    not: payloadMatch('kiciEvent', 'not', options.not),
    source: options.source,
    description: options.description,
  });
}

/** Made by `workflowComplete`. */
export interface WorkflowCompleteTrigger extends TriggerOptions {
  readonly _tag: 'WorkflowCompleteTrigger';
  readonly name?: string;
  readonly status?: readonly WorkflowState[];
  readonly source?: string;
}

/** A workflow ended. */
export function workflowComplete(
  options: TriggerOptions & {
    readonly name?: string;
    readonly status?: OneOrMore<WorkflowState>;
    readonly source?: string;
  } = {},
): WorkflowCompleteTrigger {
  const { name, source, description } = options;
  const status = words('workflowComplete', 'status', options.status, RUN_STATES);
  return makeTrigger({ _tag: 'WorkflowCompleteTrigger', name, status, source, description });
}

/** Made by `jobComplete`. */
export interface JobCompleteTrigger extends TriggerOptions {
  readonly _tag: 'JobCompleteTrigger';
  readonly workflow?: string;
  readonly job?: string;
  readonly status?: readonly JobState[];
  readonly source?: string;
}

/** Options of `jobComplete`. */
export interface JobCompleteOptions extends TriggerOptions {
  readonly workflow?: string;
  readonly job?: string;
  readonly status?: OneOrMore<JobState>;
  readonly source?: string;
}

/** A job ended. */
export function jobComplete(options: JobCompleteOptions = {}): JobCompleteTrigger {
  const { workflow, job, source, description } = options;
  const status = words('jobComplete', 'status', options.status, JOB_STATES);
  return makeTrigger({ _tag: 'JobCompleteTrigger', workflow, job, status, source, description });
}

/** How a generic webhook proves where it comes from; `secret` is a secret's name. */
export type WebhookAuth =
  | { readonly method: 'hmac-sha256'; readonly secret: string; readonly signatureHeader: string }
  | { readonly method: 'api-key'; readonly secret: string; readonly header?: string };

/** Made by `genericWebhook`. */
export interface GenericWebhookTrigger extends TriggerOptions {
  readonly _tag: 'GenericWebhookTrigger';
  readonly source: string;
  readonly events?: readonly string[];
  readonly match?: PayloadMatch;
  readonly not?: PayloadMatch;
  readonly path?: string;
  readonly auth?: WebhookAuth;
}

/** Options of `genericWebhook`. */
export interface GenericWebhookOptions extends TriggerOptions {
  readonly source: string;
  readonly events?: OneOrMore<string>;
  readonly match?: PayloadMatch;
  readonly not?: PayloadMatch;
  readonly path?: string;
  readonly auth?: WebhookAuth;
}

/** A webhook of any other system. */
export function genericWebhook(options: GenericWebhookOptions): GenericWebhookTrigger {
  const { path, auth, description } = options ?? {};
  if (auth !== undefined) checkAuth(auth);
  return makeTrigger({
    _tag: 'GenericWebhookTrigger',
    source: required('genericWebhook', 'source', options?.source, "genericWebhook({ source: 'argocd' })"),
    events: strings('genericWebhook', 'events', options.events),
    match: payloadMatch('genericWebhook', 'match', options.match),
    not: payloadMatch('genericWebhook', 'not', options.not),
    path,
    auth,
    description,
  });
}

function checkAuth(auth: WebhookAuth): void {
  const example = "{ method: 'hmac-sha256', secret: 'HOOK_KEY', signatureHeader: 'x-signature' }";
  if (auth.method !== 'hmac-sha256' && auth.method !== 'api-key') {
    throw new TypeError(
      `genericWebhook: \`auth.method\` must be 'hmac-sha256' or 'api-key'; write auth: ${example}`,
    );
  }
  required(
    'genericWebhook',
    'auth.secret',
    auth.secret,
    `auth: ${example} (the name of a secret, not its value)`,
  );
  if (auth.method === 'hmac-sha256')
    required('genericWebhook', 'auth.signatureHeader', auth.signatureHeader, `auth: ${example}`);
}

/** Made by `lifecycle`. */
export interface LifecycleTrigger extends TriggerOptions {
  readonly _tag: 'LifecycleTrigger';
  readonly events: readonly LifecycleEvent[];
  readonly sources?: readonly string[];
}

/** Something happened inside KiCI. */
export function lifecycle(
  options: TriggerOptions & {
    readonly events: OneOrMore<LifecycleEvent>;
    readonly sources?: OneOrMore<string>;
  },
): LifecycleTrigger {
  const events = words('lifecycle', 'events', options?.events, LIFECYCLE_EVENTS);
  return makeTrigger({
    _tag: 'LifecycleTrigger',
    events: requiredList('lifecycle', 'events', events, "lifecycle({ events: ['job_failed'] })"),
    sources: strings('lifecycle', 'sources', options.sources),
    description: options.description,
  });
}
