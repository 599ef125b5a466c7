// Globals of Node that llrt_modules lacks, and small corrections.
((host) => {
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

  /** File operations: each comes back in a turn of its own, in the call that asked for it. */
  const operations = new Map();
  let lastOperation = 0;
  host.files = (operation) =>
    new Promise((resolve, reject) => {
      const id = ++lastOperation;
      operations.set(id, { resolve, reject, context: host.context });
      host.startFiles(id, operation);
    });
  host.complete = (id, value, error) => {
    const { resolve, reject, context } = operations.get(id);
    operations.delete(id);
    host.context = context;
    if (error === undefined) resolve(value);
    else reject(error);
  };

  /** Lets a promise of native code come back into the call that asked for it. */
  host.keep = (promise) => {
    const context = host.context;
    return promise.then(
      (value) => { host.context = context; return value; },
      (error) => { host.context = context; throw error; },
    );
  };

  // The native one leans on timers that are not ours.
  AbortSignal.timeout = (delay) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), delay);
    return controller.signal;
  };

  const clone = (value, seen) => {
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new DOMException(`${String(value)} could not be cloned.`, 'DataCloneError');
    }
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const keep = (copy) => { seen.set(value, copy); return copy; };
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
      const buffer = clone(value.buffer, seen);
      const Type = value instanceof Buffer ? Uint8Array : value.constructor;
      return keep(value instanceof DataView ? new DataView(buffer, value.byteOffset, value.byteLength) : new Type(buffer, value.byteOffset, value.length));
    }
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [key, item] of value) copy.set(clone(key, seen), clone(item, seen));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const item of value) copy.add(clone(item, seen));
      return copy;
    }
    if (value instanceof Error) {
      const Type = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }[value.name] ?? Error;
      const copy = keep(new Type(value.message));
      copy.stack = value.stack;
      if ('cause' in value) copy.cause = clone(value.cause, seen);
      return copy;
    }
    if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) {
      throw new DOMException(`${Object.prototype.toString.call(value)} could not be cloned.`, 'DataCloneError');
    }
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
    return copy;
  };
  define('structuredClone', function structuredClone(value) { return clone(value, new Map()); });

  // `fetch` and its classes come when they are first asked for.
  const names = ['fetch', 'FormData', 'Headers', 'Request', 'Response'];
  const load = () => {
    for (const name of names) delete globalThis[name];
    host.loadFetch();
    const native = globalThis.fetch;
    define('fetch', function fetch(...args) { return host.keep(native(...args)); });
  };
  for (const name of names) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get() { load(); return globalThis[name]; },
      set(value) { define(name, value); },
    });
  }
})
