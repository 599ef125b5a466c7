/** Triggers on what else happens at a forge: comments, reviews, releases, states, stars. */

import { isRegExp } from '../tags.js';
import type { Pattern } from '../types/selectors.js';
import {
  type ForgeTriggerFields,
  type ForgeTriggerOptions,
  forgeFields,
  makeTrigger,
  type OneOrMore,
  requiredList,
  strings,
  words,
} from './common.js';

const COMMENT_ACTIONS = ['created', 'edited', 'deleted'] as const;
const REVIEW_ACTIONS = ['submitted', 'edited', 'dismissed'] as const;
const REVIEW_STATES = ['approved', 'changes_requested', 'commented', 'dismissed'] as const;
const RELEASE_ACTIONS = [
  ...(['published', 'unpublished', 'created', 'edited', 'deleted', 'prereleased', 'released'] as const),
] as const;
const COMMIT_STATES = ['error', 'failure', 'pending', 'success'] as const;
const RUN_ACTIONS = ['requested', 'completed', 'in_progress'] as const;
const STAR_ACTIONS = ['created', 'deleted'] as const;
const WATCH_ACTIONS = ['started'] as const;

/** What can happen to a comment. */
export type CommentAction = (typeof COMMENT_ACTIONS)[number];
/** What can happen to a review. */
export type ReviewAction = (typeof REVIEW_ACTIONS)[number];
/** What a review says. */
export type ReviewState = (typeof REVIEW_STATES)[number];
/** What can happen to a release. */
export type ReleaseAction = (typeof RELEASE_ACTIONS)[number];
/** State of a commit. */
export type CommitState = (typeof COMMIT_STATES)[number];
/** What can happen to a forge's workflow run. */
export type WorkflowRunAction = (typeof RUN_ACTIONS)[number];

/** A trigger that only knows actions. */
export interface ActionTrigger<T extends string, A extends string> extends ForgeTriggerFields {
  readonly _tag: T;
  readonly actions?: readonly A[];
}

function actionTrigger<T extends string, A extends string>(
  _tag: T,
  owner: string,
  options: ForgeTriggerOptions & { readonly actions?: OneOrMore<A> },
  allowed: readonly A[],
): ActionTrigger<T, A> {
  const actions = words(owner, 'actions', options.actions, allowed);
  return makeTrigger({ _tag, actions, ...forgeFields(owner, options) });
}

/** Made by `comment`. */
export interface CommentTrigger extends ActionTrigger<'CommentTrigger', CommentAction> {
  readonly source?: 'issue' | 'pr';
  readonly bodyMatch?: Pattern;
}

/** Options of `comment`. */
export interface CommentOptions extends ForgeTriggerOptions {
  readonly actions?: OneOrMore<CommentAction>;
  readonly source?: 'issue' | 'pr';
  /** A glob or a regular expression for the comment's text. */
  readonly bodyMatch?: Pattern;
}

/** A comment on an issue or pull request. */
export function comment(options: CommentOptions = {}): CommentTrigger {
  words('comment', 'source', options.source, ['issue', 'pr']);
  if (
    options.bodyMatch !== undefined &&
    typeof options.bodyMatch !== 'string' &&
    !isRegExp(options.bodyMatch)
  ) {
    throw new TypeError(
      "comment: `bodyMatch` must be a string or a regular expression; write bodyMatch: '/deploy*' or /^\\/deploy/",
    );
  }
  return makeTrigger({
    ...actionTrigger('CommentTrigger', 'comment', options, COMMENT_ACTIONS),
    source: options.source,
    bodyMatch: options.bodyMatch,
  });
}

/** Made by `review`. */
export interface ReviewTrigger extends ActionTrigger<'ReviewTrigger', ReviewAction> {
  readonly states?: readonly ReviewState[];
}

/** A review of a pull request. */
export function review(
  options: ForgeTriggerOptions & {
    readonly actions?: OneOrMore<ReviewAction>;
    readonly states?: OneOrMore<ReviewState>;
  } = {},
): ReviewTrigger {
  return makeTrigger({
    ...actionTrigger('ReviewTrigger', 'review', options, REVIEW_ACTIONS),
    states: words('review', 'states', options.states, REVIEW_STATES),
  });
}

/** A comment in a review. */
export function reviewComment(
  options: ForgeTriggerOptions & { readonly actions?: OneOrMore<CommentAction> } = {},
): ActionTrigger<'ReviewCommentTrigger', CommentAction> {
  return actionTrigger('ReviewCommentTrigger', 'reviewComment', options, COMMENT_ACTIONS);
}

/** A release. */
export function release(
  options: ForgeTriggerOptions & { readonly actions?: OneOrMore<ReleaseAction> } = {},
): ActionTrigger<'ReleaseTrigger', ReleaseAction> {
  return actionTrigger('ReleaseTrigger', 'release', options, RELEASE_ACTIONS);
}

/** Made by `status`. */
export interface StatusTrigger extends ForgeTriggerFields {
  readonly _tag: 'StatusTrigger';
  readonly contexts?: readonly string[];
  readonly states?: readonly CommitState[];
}

/** The state of a commit changed. */
export function status(
  options: ForgeTriggerOptions & {
    readonly contexts?: OneOrMore<string>;
    readonly states?: OneOrMore<CommitState>;
  } = {},
): StatusTrigger {
  return makeTrigger({
    _tag: 'StatusTrigger',
    contexts: strings('status', 'contexts', options.contexts),
    states: words('status', 'states', options.states, COMMIT_STATES),
    ...forgeFields('status', options),
  });
}

/** Made by `workflowRun`. */
export interface WorkflowRunTrigger extends ActionTrigger<'WorkflowRunTrigger', WorkflowRunAction> {
  readonly workflows?: readonly string[];
  readonly conclusions?: readonly string[];
}

/** Options of `workflowRun`. */
export interface WorkflowRunOptions extends ForgeTriggerOptions {
  readonly actions?: OneOrMore<WorkflowRunAction>;
  readonly workflows?: OneOrMore<string>;
  readonly conclusions?: OneOrMore<string>;
}

/** A workflow run of the forge's own CI. */
export function workflowRun(options: WorkflowRunOptions = {}): WorkflowRunTrigger {
  return makeTrigger({
    ...actionTrigger('WorkflowRunTrigger', 'workflowRun', options, RUN_ACTIONS),
    workflows: strings('workflowRun', 'workflows', options.workflows),
    conclusions: strings('workflowRun', 'conclusions', options.conclusions),
  });
}

/** Made by `fork`. */
export interface ForkTrigger extends ForgeTriggerFields {
  readonly _tag: 'ForkTrigger';
}

/** The repository was forked. */
export function fork(options: ForgeTriggerOptions = {}): ForkTrigger {
  return makeTrigger({ _tag: 'ForkTrigger', ...forgeFields('fork', options) });
}

/** The repository got or lost a star. */
export function star(
  options: ForgeTriggerOptions & { readonly actions?: OneOrMore<'created' | 'deleted'> } = {},
): ActionTrigger<'StarTrigger', 'created' | 'deleted'> {
  return actionTrigger('StarTrigger', 'star', options, STAR_ACTIONS);
}

/** Somebody watches the repository. */
export function watch(
  options: ForgeTriggerOptions & { readonly actions?: OneOrMore<'started'> } = {},
): ActionTrigger<'WatchTrigger', 'started'> {
  return actionTrigger('WatchTrigger', 'watch', options, WATCH_ACTIONS);
}

/** Made by `webhook`. */
export interface WebhookTrigger extends ForgeTriggerFields {
  readonly _tag: 'WebhookTrigger';
  readonly events: readonly string[];
  readonly actions?: readonly string[];
}

/** Any webhook event of the forge, by its name there. */
export function webhook(
  options: ForgeTriggerOptions & { readonly events: OneOrMore<string>; readonly actions?: OneOrMore<string> },
): WebhookTrigger {
  const events = strings('webhook', 'events', options?.events);
  return makeTrigger({
    _tag: 'WebhookTrigger',
    events: requiredList('webhook', 'events', events, "webhook({ events: ['deployment'] })"),
    actions: strings('webhook', 'actions', options.actions),
    ...forgeFields('webhook', options),
  });
}
