/** Triggers on code: pushes, pull requests, tags, branches. */

import type { Pattern, Patterns } from '../types/selectors.js';
import {
  type ForgeTriggerFields,
  type ForgeTriggerOptions,
  forgeFields,
  makeTrigger,
  type OneOrMore,
  patterns,
  words,
} from './common.js';

const PR_EVENTS = [
  ...([
    'opened',
    'synchronize',
    'reopened',
    'closed',
    'edited',
    'assigned',
    'unassigned',
    'labeled',
  ] as const),
  ...([
    'unlabeled',
    'ready_for_review',
    'converted_to_draft',
    'review_requested',
    'review_request_removed',
  ] as const),
  ...(['locked', 'unlocked', 'auto_merge_enabled', 'auto_merge_disabled'] as const),
] as const;
const PR_DEFAULT_EVENTS = ['opened', 'synchronize', 'reopened', 'closed'] as const;
const REF_TYPES = ['branch', 'tag'] as const;

/** What can happen to a pull request. */
export type PrEvent = (typeof PR_EVENTS)[number];
/** A branch or a tag. */
export type RefType = (typeof REF_TYPES)[number];

/** Made by `pr`. */
export interface PrTrigger extends ForgeTriggerFields {
  readonly _tag: 'PrTrigger';
  readonly events: readonly PrEvent[];
  readonly target?: readonly Pattern[];
  readonly source?: readonly Pattern[];
  readonly paths?: readonly Pattern[];
}

/** Options of `pr`. */
export interface PrOptions extends ForgeTriggerOptions {
  /** Default opened, synchronize, reopened, closed. */
  readonly events?: OneOrMore<PrEvent>;
  /** Branches that the pull request goes to. */
  readonly target?: Patterns;
  /** Branches that it comes from. */
  readonly source?: Patterns;
  /** Changed files; a leading `!` excludes. */
  readonly paths?: Patterns;
}

/** A pull request. */
export function pr(options: PrOptions = {}): PrTrigger {
  return makeTrigger({
    _tag: 'PrTrigger',
    events: words('pr', 'events', options.events, PR_EVENTS) ?? [...PR_DEFAULT_EVENTS],
    target: patterns('pr', 'target', options.target),
    source: patterns('pr', 'source', options.source),
    paths: patterns('pr', 'paths', options.paths),
    ...forgeFields('pr', options),
  });
}

/** Made by `push`. */
export interface PushTrigger extends ForgeTriggerFields {
  readonly _tag: 'PushTrigger';
  readonly branches?: readonly Pattern[];
  readonly tags?: readonly Pattern[];
  readonly paths?: readonly Pattern[];
}

/** Options of `push`. */
export interface PushOptions extends ForgeTriggerOptions {
  readonly branches?: Patterns;
  /** Also tags; without `branches` every branch push matches too. */
  readonly tags?: Patterns;
  /** Changed files; a leading `!` excludes. */
  readonly paths?: Patterns;
}

/** A push. */
export function push(options: PushOptions = {}): PushTrigger {
  return makeTrigger({
    _tag: 'PushTrigger',
    branches: patterns('push', 'branches', options.branches),
    tags: patterns('push', 'tags', options.tags),
    paths: patterns('push', 'paths', options.paths),
    ...forgeFields('push', options),
  });
}

/** Made by `tag`. */
export interface TagTrigger extends ForgeTriggerFields {
  readonly _tag: 'TagTrigger';
  readonly patterns?: readonly Pattern[];
}

/** A pushed tag. */
export function tag(options: ForgeTriggerOptions & { readonly patterns?: Patterns } = {}): TagTrigger {
  return makeTrigger({
    _tag: 'TagTrigger',
    patterns: patterns('tag', 'patterns', options.patterns),
    ...forgeFields('tag', options),
  });
}

/** Options of `create` and `delete`. */
export interface RefOptions extends ForgeTriggerOptions {
  readonly refTypes?: OneOrMore<RefType>;
  readonly patterns?: Patterns;
}

/** Made by `create` and `delete`. */
export interface RefTrigger<T extends string> extends ForgeTriggerFields {
  readonly _tag: T;
  readonly refTypes?: readonly RefType[];
  readonly patterns?: readonly Pattern[];
}

/** A branch or tag was made. */
export function create(options: RefOptions = {}): RefTrigger<'CreateTrigger'> {
  return refTrigger('CreateTrigger', 'create', options);
}

/** A branch or tag was deleted. Exported as `delete`. */
export function deleteRef(options: RefOptions = {}): RefTrigger<'DeleteTrigger'> {
  return refTrigger('DeleteTrigger', 'delete', options);
}

function refTrigger<T extends string>(_tag: T, owner: string, options: RefOptions): RefTrigger<T> {
  return makeTrigger({
    _tag,
    refTypes: words(owner, 'refTypes', options.refTypes, REF_TYPES),
    patterns: patterns(owner, 'patterns', options.patterns),
    ...forgeFields(owner, options),
  });
}
