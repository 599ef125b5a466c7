// `node:events` of the embedded engine.
import native from 'native/events';

export const EventEmitter = native.EventEmitter ?? native;
const abortError = (signal) => new DOMException('The operation was aborted', 'AbortError');

export function once(emitter, event, { signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal));
    if (typeof emitter.addEventListener === 'function') {
      emitter.addEventListener(event, (happened) => resolve([happened]), { once: true });
    } else {
      const onError = (error) => reject(error);
      emitter.once(event, (...args) => {
        if (event !== 'error') emitter.removeListener('error', onError);
        resolve(args);
      });
      if (event !== 'error') emitter.once('error', onError);
    }
    signal?.addEventListener('abort', () => reject(abortError(signal)), { once: true });
  });
}
EventEmitter.EventEmitter = EventEmitter;
EventEmitter.once = once;
export default EventEmitter;
