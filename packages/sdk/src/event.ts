/** The event that a run was made for, as rules, generators and functions of the event see it. */

/** Every kind of event. */
export type EventType =
  | 'pull_request'
  | 'push'
  | 'tag'
  | 'comment'
  | 'review'
  | 'review_comment'
  | 'release'
  | 'dispatch'
  | 'create'
  | 'delete'
  | 'status'
  | 'workflow_run'
  | 'fork'
  | 'star'
  | 'watch'
  | 'webhook'
  | 'kici_event'
  | 'workflow_complete'
  | 'job_complete'
  | 'generic_webhook'
  | 'schedule'
  | 'lifecycle'
  | 'rerun'
  | 'manual_schedule';

/** The event envelope. */
export interface EventEnvelope {
  readonly type: EventType;
  readonly action?: string;
  readonly targetBranch?: string;
  readonly sourceBranch?: string;
  readonly provider?: string;
  readonly isForkPR?: boolean;
  readonly baseBranch?: string;
  readonly senderUsername?: string;
  readonly senderUserId?: string | number;
  readonly sourceRepo?: string;
  readonly changedFiles?: readonly string[];
  /** The forge's own body. */
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Whether an event is of one type. */
export function isEventType<T extends EventType>(
  event: EventEnvelope,
  type: T,
): event is EventEnvelope & { readonly type: T } {
  return event.type === type;
}
