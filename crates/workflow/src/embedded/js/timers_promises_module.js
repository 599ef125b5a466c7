const timers = globalThis;
const abortError = (signal) => new DOMException('The operation was aborted', 'AbortError');

const waiting = (start, stop, value, options) =>
  new Promise((resolve, reject) => {
    const signal = options?.signal;
    if (signal?.aborted) return reject(abortError(signal));
    const onAbort = () => {
      stop(timer);
      reject(abortError(signal));
    };
    const timer = start(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve(value);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });

export const setTimeout = (delay, value, options) =>
  waiting((done) => timers.setTimeout(done, delay), timers.clearTimeout, value, options);
export const setImmediate = (value, options) => waiting(timers.setImmediate, timers.clearImmediate, value, options);
export async function* setInterval(delay, value, options) {
  for (;;) yield await setTimeout(delay, value, options);
}
export const scheduler = { wait: (delay, options) => setTimeout(delay, undefined, options), yield: () => setImmediate() };
export default { setTimeout, setImmediate, setInterval, scheduler };
