// `node:util` of the embedded engine.
import native from 'native/util';

export const { TextDecoder, TextEncoder, format, inherits } = native;

const custom = Symbol.for('nodejs.util.promisify.custom');
export function promisify(original) {
  if (typeof original !== 'function') {
    throw Object.assign(new TypeError('The "original" argument must be of type function'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  if (original[custom]) return original[custom];
  return function (...args) {
    return new Promise((resolve, reject) => {
      original.call(this, ...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  };
}
promisify.custom = custom;

export function callbackify(original) {
  return function (...args) {
    const callback = args.pop();
    original.apply(this, args).then(
      (value) => queueMicrotask(() => callback(null, value)),
      (error) => queueMicrotask(() => callback(error ?? new Error('rejected without a reason'))),
    );
  };
}

export function isDeepStrictEqual(a, b) { return equal(a, b, new Map()); }
function equal(a, b, seen) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp) return String(a) === String(b) && a.lastIndex === b.lastIndex;
  if (a instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (a instanceof Number || a instanceof String || a instanceof Boolean) return Object.is(a.valueOf(), b.valueOf());
  if (ArrayBuffer.isView(a)) return a.byteLength === b.byteLength && Array.prototype.every.call(a, (item, index) => Object.is(item, b[index]));
  if (a instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => (b.has(key) ? equal(value, b.get(key), seen) : [...b].some(([k, v]) => equal(key, k, seen) && equal(value, v, seen))));
  }
  if (a instanceof Set) return a.size === b.size && [...a].every((item) => b.has(item) || [...b].some((other) => equal(item, other, seen)));
  if (Array.isArray(a) && a.length !== b.length) return false;
  const keys = Reflect.ownKeys(a).filter((key) => Object.prototype.propertyIsEnumerable.call(a, key));
  const others = Reflect.ownKeys(b).filter((key) => Object.prototype.propertyIsEnumerable.call(b, key));
  return keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key], seen));
}

export function deprecate(original) { return original; }
export function stripVTControlCharacters(text) {
  // Escape sequences of terminals.
  return String(text).replace(/[\u001B\u009B][[\]()#;?]*(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-nq-uy=><~]/g, '');
}
export const inspect = Object.assign((value) => format('%O', value), { custom: Symbol.for('nodejs.util.inspect.custom') });
export default {
  TextDecoder, TextEncoder, callbackify, deprecate, format, inherits, inspect, isDeepStrictEqual, promisify, stripVTControlCharacters,
};
