/** Approvals: who may let a workflow, job or step go on. */

/** One condition; all clauses of a list must be met. */
export type ApprovalClause =
  | { readonly team: string; readonly user?: never }
  | { readonly user: string; readonly team?: never };

/** The long form. */
export interface ApprovalOptions {
  /** Who approves; nobody named means any member who may approve. */
  readonly approvers?: readonly ApprovalClause[];
  /** Shown to the approver. */
  readonly reason?: string;
  /** Seconds until the request expires. */
  readonly timeout?: number;
  /** Always, or only when a checked step found drift. */
  readonly when?: 'always' | 'drift';
}

/** `approval` of a step. */
export type StepApproval = true | readonly ApprovalClause[] | ApprovalOptions;
/** `approval` of a workflow or job: drift exists only in steps. */
export type Approval = true | readonly ApprovalClause[] | (ApprovalOptions & { readonly when?: 'always' });

/** An approval in the form of the lock file. */
export interface NormalizedApproval {
  clauses: ApprovalClause[];
  reason?: string;
  timeoutSeconds?: number;
  when: 'always' | 'drift';
}

/** Brings every form of `approval` into the one of the lock file. */
export function normalizeApproval(approval: StepApproval): NormalizedApproval {
  if (approval === true) return { clauses: [], when: 'always' };
  if (isClauseList(approval)) return { clauses: [...approval], when: 'always' };
  const normalized: NormalizedApproval = {
    clauses: [...(approval.approvers ?? [])],
    when: approval.when ?? 'always',
  };
  if (approval.reason !== undefined) normalized.reason = approval.reason;
  if (approval.timeout !== undefined) normalized.timeoutSeconds = approval.timeout;
  return normalized;
}

function isClauseList(approval: StepApproval): approval is readonly ApprovalClause[] {
  return Array.isArray(approval);
}
