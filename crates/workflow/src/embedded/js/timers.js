// Timers of the embedded engine. Rust is told the next deadline and calls `fire` when it has come, so that
// timers of equal delay run in the order they were set. `context` is saved with each timer: see the design note.
((host) => {
  const timers = new Map();
  let lastId = 0;

  const schedule = () => {
    let next = Infinity;
    for (const timer of timers.values()) if (timer.at < next) next = timer.at;
    host.wakeAt(next === Infinity ? -1 : next);
  };

  class Timeout {
    constructor(callback, delay, args, repeat) {
      if (typeof callback !== 'function') {
        throw new TypeError('The "callback" argument must be of type function. Received ' + typeof callback);
      }
      const ms = Number(delay);
      this.delay = ms >= 1 && ms <= 2147483647 ? ms : 1;
      this.callback = callback;
      this.args = args;
      this.repeat = repeat;
      this.context = host.context;
      this.id = ++lastId;
      this.refresh();
    }
    refresh() {
      this.at = host.now() + this.delay;
      timers.delete(this.id);
      timers.set(this.id, this);
      schedule();
      return this;
    }
    close() {
      timers.delete(this.id);
      return this;
    }
    ref() { return this; }
    unref() { return this; }
    hasRef() { return true; }
    [Symbol.toPrimitive]() { return this.id; }
    [Symbol.dispose]() { this.close(); }
  }

  class Immediate extends Timeout {
    constructor(callback, args) {
      super(callback, 1, args, false);
      this.at = 0;
      schedule();
    }
  }

  const clear = (timer) => {
    if (timer === undefined || timer === null) return;
    timers.delete(typeof timer === 'object' ? timer.id : Number(timer));
  };

  /** Runs one timer that is due; Rust calls again while there are more. */
  host.fire = () => {
    const now = host.now();
    let due;
    for (const timer of timers.values()) {
      if (timer.at <= now && (due === undefined || timer.at < due.at)) due = timer;
    }
    if (due !== undefined) {
      if (due.repeat) {
        timers.delete(due.id);
        due.at = now + due.delay;
        timers.set(due.id, due);
      } else {
        timers.delete(due.id);
      }
    }
    schedule();
    if (due === undefined) return;
    host.context = due.context;
    due.callback(...due.args);
  };

  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
  define('setTimeout', function setTimeout(callback, delay, ...args) { return new Timeout(callback, delay, args, false); });
  define('setInterval', function setInterval(callback, delay, ...args) { return new Timeout(callback, delay, args, true); });
  define('setImmediate', function setImmediate(callback, ...args) { return new Immediate(callback, args); });
  define('clearTimeout', function clearTimeout(timer) { clear(timer); });
  define('clearInterval', function clearInterval(timer) { clear(timer); });
  define('clearImmediate', function clearImmediate(timer) { clear(timer); });
  define('queueMicrotask', function queueMicrotask(callback) {
    if (typeof callback !== 'function') throw new TypeError('The "callback" argument must be of type function');
    Promise.resolve().then(callback);
  });
})
