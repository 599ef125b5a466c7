/** Matrices: one job, many combinations. */

import { isRecord } from './tags.js';
import type { MatrixContext } from './types/context.js';

/** One combination. */
export type MatrixCombination = Readonly<Record<string, string>>;
/** Values of one dimension, or of several. */
export type StaticMatrix = readonly string[] | Readonly<Record<string, readonly string[]>>;
/** A matrix known only when the job is dispatched. */
export type MatrixFn = (ctx: MatrixContext) => StaticMatrix | Promise<StaticMatrix>;
/** `matrix` of a job. */
export type Matrix = StaticMatrix | MatrixFn;

/** Whether `matrix` is a list of values. */
export function isStaticArray(matrix: unknown): matrix is readonly string[] {
  return Array.isArray(matrix);
}

/** Whether `matrix` is an object of dimensions. */
export function isStaticObject(matrix: unknown): matrix is Readonly<Record<string, readonly string[]>> {
  return isRecord(matrix);
}

/** Whether `matrix` is computed. */
export function isDynamicFunction(matrix: unknown): matrix is MatrixFn {
  return typeof matrix === 'function';
}

/** All combinations, dimensions sorted by name, first dimension slowest. */
export function expandMatrix(matrix: StaticMatrix): MatrixCombination[] {
  if (isStaticArray(matrix)) return matrix.map((value) => ({ value }));
  const dimensions = Object.keys(matrix).sort((a, b) => a.localeCompare(b));
  let combinations: MatrixCombination[] = dimensions.length > 0 ? [{}] : [];
  for (const dimension of dimensions) {
    const values = matrix[dimension] ?? [];
    combinations = combinations.flatMap((base) => values.map((value) => ({ ...base, [dimension]: value })));
  }
  return combinations;
}

/** Drops combinations that equal an `exclude` on all its keys, then adds the `include`s that are new. */
export function applyIncludeExclude(
  combinations: readonly MatrixCombination[],
  include: readonly MatrixCombination[] = [],
  exclude: readonly MatrixCombination[] = [],
): MatrixCombination[] {
  const covers = (part: MatrixCombination, whole: MatrixCombination): boolean =>
    Object.keys(part).every((key) => part[key] === whole[key]);
  const isEmpty = (part: MatrixCombination): boolean => Object.keys(part).length === 0;
  const kept = combinations.filter((whole) => !exclude.some((part) => !isEmpty(part) && covers(part, whole)));
  for (const extra of include) {
    const known = kept.some((whole) => covers(extra, whole) && covers(whole, extra));
    if (!isEmpty(extra) && !known) kept.push({ ...extra });
  }
  return kept;
}
