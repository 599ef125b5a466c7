/** All triggers. */

import type { PrTrigger, PushTrigger, RefTrigger, TagTrigger } from './code.js';
import type {
  ActionTrigger,
  CommentAction,
  CommentTrigger,
  ForkTrigger,
  ReleaseAction,
  ReviewTrigger,
  StatusTrigger,
  WebhookTrigger,
  WorkflowRunTrigger,
} from './forge.js';
import type {
  GenericWebhookTrigger,
  JobCompleteTrigger,
  KiciEventTrigger,
  LifecycleTrigger,
  WorkflowCompleteTrigger,
} from './internal.js';
import type { DispatchTrigger, ScheduleTrigger } from './manual.js';

/** What starts a workflow. */
export type Trigger =
  | PrTrigger
  | PushTrigger
  | TagTrigger
  | RefTrigger<'CreateTrigger'>
  | RefTrigger<'DeleteTrigger'>
  | CommentTrigger
  | ReviewTrigger
  | ActionTrigger<'ReviewCommentTrigger', CommentAction>
  | ActionTrigger<'ReleaseTrigger', ReleaseAction>
  | ActionTrigger<'StarTrigger', 'created' | 'deleted'>
  | ActionTrigger<'WatchTrigger', 'started'>
  | DispatchTrigger
  | StatusTrigger
  | WorkflowRunTrigger
  | ForkTrigger
  | WebhookTrigger
  | KiciEventTrigger
  | WorkflowCompleteTrigger
  | JobCompleteTrigger
  | GenericWebhookTrigger
  | ScheduleTrigger
  | LifecycleTrigger;

export * from './code.js';
export type { ForgeTriggerOptions, OneOrMore, TriggerOptions } from './common.js';
export * from './forge.js';
export * from './internal.js';
export * from './manual.js';
