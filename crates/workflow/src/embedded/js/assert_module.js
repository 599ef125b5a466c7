// `node:assert` of the embedded engine.
import { format, isDeepStrictEqual } from 'node:util';

export class AssertionError extends Error {
  constructor({ message, actual, expected, operator }) {
    super(message ?? `${format('%O', actual)} ${operator} ${format('%O', expected)}`);
    this.name = 'AssertionError';
    Object.assign(this, { code: 'ERR_ASSERTION', generatedMessage: message === undefined, actual, expected, operator });
  }
}

const check = (holds, actual, expected, operator, message) => {
  if (holds) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ message, actual, expected, operator });
};
const loose = (a, b) => {
  // The loose comparison is what this function is for.
  if (a == b || (a !== a && b !== b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && loose(a[key], b[key]));
};
const matches = (error, expected) => {
  if (expected === undefined) return true;
  if (expected instanceof RegExp) return expected.test(String(error));
  if (typeof expected === 'function') return expected.prototype !== undefined && error instanceof expected ? true : Error.isPrototypeOf(expected) ? false : expected.call({}, error) === true;
  return Object.keys(expected).every((key) => (expected[key] instanceof RegExp ? expected[key].test(error[key]) : isDeepStrictEqual(error?.[key], expected[key])));
};

export function ok(value, message) {
  check(value, value, true, '==', message ?? 'The expression evaluated to a falsy value');
}
function assert(value, message) { ok(value, message); }
export const equal = (a, b, message) => check(loose(a, b) && typeof a !== 'object' ? true : a === b, a, b, '==', message);
export const notEqual = (a, b, message) => check(!(typeof a !== 'object' ? loose(a, b) : a === b), a, b, '!=', message);
export const strictEqual = (a, b, message) => check(Object.is(a, b), a, b, 'strictEqual', message);
export const notStrictEqual = (a, b, message) => check(!Object.is(a, b), a, b, 'notStrictEqual', message);
export const deepEqual = (a, b, message) => check(isDeepStrictEqual(a, b) || loose(a, b), a, b, 'deepEqual', message);
export const notDeepEqual = (a, b, message) => check(!(isDeepStrictEqual(a, b) || loose(a, b)), a, b, 'notDeepEqual', message);
export const deepStrictEqual = (a, b, message) => check(isDeepStrictEqual(a, b), a, b, 'deepStrictEqual', message);
export const notDeepStrictEqual = (a, b, message) => check(!isDeepStrictEqual(a, b), a, b, 'notDeepStrictEqual', message);
export const match = (text, pattern, message) => check(pattern.test(text), text, pattern, 'match', message);
export const doesNotMatch = (text, pattern, message) => check(!pattern.test(text), text, pattern, 'doesNotMatch', message);
export const fail = (message = 'Failed') => check(false, undefined, undefined, 'fail', message);
export const ifError = (error) => {
  if (error !== null && error !== undefined) throw error;
};
const unexpected = (error, expected, message) => {
  if (!matches(error, expected)) {
    if (expected instanceof RegExp || (typeof expected === 'object' && expected !== null)) check(false, error, expected, 'throws', message);
    throw error;
  }
};
export function throws(run, expected, message) {
  try {
    run();
  } catch (error) {
    unexpected(error, typeof expected === 'string' ? undefined : expected, message);
    return;
  }
  check(false, undefined, expected, 'throws', (typeof expected === 'string' ? expected : message) ?? 'Missing expected exception.');
}
export async function rejects(promise, expected, message) {
  try {
    await (typeof promise === 'function' ? promise() : promise);
  } catch (error) {
    unexpected(error, typeof expected === 'string' ? undefined : expected, message);
    return;
  }
  check(false, undefined, expected, 'rejects', (typeof expected === 'string' ? expected : message) ?? 'Missing expected rejection.');
}
export const doesNotThrow = (run) => void run();
export const doesNotReject = async (promise) => void (await (typeof promise === 'function' ? promise() : promise));

const all = {
  AssertionError, deepEqual, deepStrictEqual, doesNotMatch, doesNotReject, doesNotThrow, equal, fail, ifError, match,
  notDeepEqual, notDeepStrictEqual, notEqual, notStrictEqual, ok, rejects, strictEqual, throws,
};
export const strict = Object.assign(function strict(value, message) { ok(value, message); }, all, {
  equal: strictEqual, notEqual: notStrictEqual, deepEqual: deepStrictEqual, notDeepEqual: notDeepStrictEqual,
});
strict.strict = strict;
export default Object.assign(assert, all, { strict });
