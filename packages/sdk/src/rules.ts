/** Rules: conditions that decide whether a job or step runs. */

import type { Fanout, RuleContext } from './types/context.js';

/** Says whether to go on. */
export type RuleCheck = (ctx: RuleContext) => boolean | Promise<boolean>;

/** A condition with the label that is shown when it does not hold. */
export interface Rule {
  readonly _tag: 'Rule';
  readonly label: string;
  readonly check: RuleCheck;
}

/** Marks the check of a rule that was written without one, across copies of the SDK. */
export const ALWAYS_TRUE = Symbol.for('kici:alwaysTrue');
const alwaysTrue: RuleCheck = Object.assign(() => true, { [ALWAYS_TRUE]: true });

function makeRule(factory: string, label: string, check: RuleCheck): Rule {
  if (typeof label !== 'string') {
    throw new TypeError(`${factory}: the label is missing; write ${factory}('<label>', (ctx) => …)`);
  }
  if (typeof check !== 'function') {
    throw new TypeError(
      `${factory} '${label}': the check must be a function; write ${factory}('${label}', (ctx) => …)`,
    );
  }
  return Object.freeze({ _tag: 'Rule' as const, label, check });
}

/** Goes on when `check` is true; without a check always. */
export function rule(label: string, check: RuleCheck = alwaysTrue): Rule {
  return makeRule('rule', label, check);
}

/** Goes on unless `check` is true. */
export function skip(label: string, check: RuleCheck): Rule {
  const inverted = makeRule('skip', label, check);
  return Object.freeze({ ...inverted, check: async (ctx: RuleContext) => !(await check(ctx)) });
}

/** A job outside a fan-out counts as the only child of one. */
const ALONE: Fanout = { index: 0, total: 1, first: true, last: true };

/** Only on the first child of a fan-out. */
export function onlyOnFirstHost(): Rule {
  return rule('fanout: first host only', (ctx) => (ctx.fanout ?? ALONE).first);
}

/** Only on the last child of a fan-out. */
export function onlyOnLastHost(): Rule {
  return rule('fanout: last host only', (ctx) => (ctx.fanout ?? ALONE).last);
}

/** Only on one child of a fan-out, counted from 0. */
export function onlyOnFanoutIndex(index: number): Rule {
  if (!Number.isInteger(index) || index < 0) {
    throw new TypeError(`onlyOnFanoutIndex: ${String(index)} is no index; write a whole number from 0`);
  }
  return rule(`fanout: index ${index} only`, (ctx) => (ctx.fanout ?? ALONE).index === index);
}

/** What one rule said. */
export interface RuleResult {
  readonly label: string;
  readonly passed: boolean;
  /** What the check threw; counts as not passed. */
  readonly error?: unknown;
}

/** What a list of rules said: `failed` is the first that did not pass. */
export interface RulesResult {
  readonly passed: boolean;
  readonly results: readonly RuleResult[];
  readonly failed?: RuleResult;
}

/** Evaluates rules in order and stops at the first that does not pass. */
export async function evaluateRules(
  rules: readonly Rule[],
  ctx: RuleContext,
  label = '',
  onResult?: (result: RuleResult, label: string) => void,
): Promise<RulesResult> {
  const results: RuleResult[] = [];
  for (const { label: ruleLabel, check } of rules) {
    let result: RuleResult;
    try {
      result = { label: ruleLabel, passed: Boolean(await check(ctx)) };
    } catch (error) {
      result = { label: ruleLabel, passed: false, error };
    }
    results.push(result);
    onResult?.(result, label);
    if (!result.passed) return { passed: false, results, failed: result };
  }
  return { passed: true, results };
}
