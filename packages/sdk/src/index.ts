/**
 * The KiCI SDK: what `.kici/workflows/*.ts` import as `@kici-dev/sdk`.
 *
 * Factories build plain data with tags; a runner executes it. See `docs/author/sdk.md`.
 */

export { z } from 'zod';

export {
  type Approval,
  type ApprovalClause,
  type ApprovalOptions,
  type NormalizedApproval,
  normalizeApproval,
  type StepApproval,
} from './approval.js';
export { type CacheRestoreResult, type CacheSpec, CacheSpecSchema, normalizeCacheSpecs } from './cache.js';
export { type DagJob, type DagReport, validateDag } from './dag.js';
export { defineEvent, type EventDefinition } from './define-event.js';
export {
  type DynamicJob,
  dynamicJob,
  isDynamicJobFn,
  type JobGenerator,
  type ResultAwareGeneratorContext,
  type ResultAwareOptions,
} from './dynamic-job.js';
export { type EventEnvelope, type EventType, isEventType } from './event.js';
export { type Fixture, type FixtureOptions, fixture } from './fixture.js';
export { type CheckStepOptions, checkStep } from './helpers/check-step.js';
export { type HostProbe, restartHost, waitForHostAlive } from './helpers/host.js';
export {
  type IdempotentOptions,
  type IdempotentResult,
  type IdempotentStepOptions,
  idempotent,
  idempotentStep,
} from './helpers/idempotent.js';
export {
  type WaitForOptions,
  type WaitForResult,
  type WaitForStepOptions,
  WaitForTimeoutError,
  type WaitTiming,
  waitFor,
  waitForStep,
} from './helpers/wait-for.js';
export {
  afterStep,
  beforeStep,
  cleanup,
  type Hook,
  type HookFn,
  type HookType,
  type NamedHook,
  onCancel,
  onFailure,
  onSuccess,
} from './hooks.js';
export type { Init, InitCommand, InitItem, InitMise } from './init.js';
export type { InputDescriptor, InputSchemas } from './inputs.js';
export {
  type AnyJob,
  type Environments,
  type Job,
  type JobBaseOptions,
  type JobOptionsWithoutWork,
  job,
  type OfEvent,
  type Placement,
  type ResourceAmount,
  type RunJobOptions,
  type RunJobResult,
  type StepInput,
  type StepsJobOptions,
  type StepsJobResult,
} from './job.js';
export {
  type ApiRequest,
  buildKiciApi,
  type HostInventoryEntry,
  type Infrastructure,
  type InventoryQuery,
  type KiciApi,
} from './kici-api.js';
export {
  applyIncludeExclude,
  expandMatrix,
  isDynamicFunction,
  isStaticArray,
  isStaticObject,
  type Matrix,
  type MatrixCombination,
  type MatrixFn,
  type StaticMatrix,
} from './matrix.js';
export {
  buildNeedsContext,
  type DynamicGroupRef,
  dynamicGroup,
  isDynamicGroupRef,
  type Need,
  type NeedChildResult,
  type NeedResult,
  type NeedStatus,
  type NeedsContext,
  type NeedWhen,
  type UpstreamState,
} from './needs.js';
export {
  type HostJobOutputs,
  isHostJobOutputs,
  isMatrixJobOutputs,
  type MatrixJobOutputs,
  type OutputsMap,
  setJobOutputsMap,
  setStepOutputsMap,
  setStepRefMap,
} from './outputs.js';
export {
  flattenStepInputs,
  isParallelGroup,
  type ParallelGroup,
  type ParallelOptions,
  parallel,
} from './parallel.js';
export type { Registry } from './registries.js';
export {
  evaluateRules,
  onlyOnFanoutIndex,
  onlyOnFirstHost,
  onlyOnLastHost,
  type Rule,
  type RuleCheck,
  type RuleResult,
  type RulesResult,
  rule,
  skip,
} from './rules.js';
export {
  createStepSecrets,
  type MountFileOptions,
  type SecretMeta,
  SecretNotFoundError,
  type SecretSource,
  type StepSecrets,
} from './secrets.js';
export { ProcessOutput } from './shell/process-output.js';
export type {
  PipeTarget,
  ProcessPromise,
  Shell,
  ShellArg,
  ShellDuration,
  ShellOptions,
} from './shell/types.js';
export type { SourceLocation } from './source-location.js';
export {
  type BareStep,
  type CheckedStepOptions,
  type NormalizedRetry,
  type OutputSchemas,
  type OutputsOf,
  type PlainStepOptions,
  type RetryOptions,
  type Returned,
  type Step,
  type StepBaseOptions,
  step,
} from './step.js';
export * from './triggers/index.js';
export { deleteRef as delete } from './triggers/index.js';
export type {
  AgentInfo,
  DispatchInputs,
  Env,
  Fanout,
  GeneratorContext,
  HookContext,
  HookOutcome,
  Logger,
  MatrixContext,
  OutputsRef,
  Provenance,
  ProvenanceSubject,
  RepoInfo,
  RuleContext,
  StepContext,
} from './types/context.js';
export type { AbortSignalLike } from './types/globals.js';
export type { LabelMatcher, Pattern, Patterns, RunsOn, RunsOnAll } from './types/selectors.js';
export { type Concurrency, type Workflow, type WorkflowOptions, workflow } from './workflow.js';
