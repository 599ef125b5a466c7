// `process` of the embedded engine. What belongs to the job (env, argv) is put in by `host.begin`.
((host, facts) => {
  const started = host.now();
  const nanos = () => BigInt(Math.round(host.now() * 1e6));
  const store = Object.create(null);
  const env = new Proxy(store, {
    set(target, key, value) {
      if (typeof key === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string');
      target[key] = String(value);
      return true;
    },
    defineProperty(target, key, descriptor) {
      if ('value' in descriptor) target[key] = String(descriptor.value);
      return true;
    },
  });

  const listeners = new Map();
  const process = {
    env,
    argv: ['kici'],
    argv0: 'kici',
    execArgv: [],
    execPath: facts.execPath,
    title: 'kici',
    pid: facts.pid,
    ppid: facts.ppid,
    platform: facts.platform,
    arch: facts.arch,
    version: 'v24.0.0',
    versions: { node: '24.0.0', quickjs: facts.quickjs, kici: facts.kici },
    release: { name: 'kici' },
    features: {},
    exitCode: undefined,
    cwd: () => host.cwd(),
    chdir: (directory) => host.chdir(String(directory)),
    exit(code) {
      host.exit(String(code ?? process.exitCode ?? 0));
      throw new Error('process.exit was called');
    },
    abort() { process.exit(134); },
    nextTick(callback, ...args) { queueMicrotask(() => callback(...args)); },
    uptime: () => (host.now() - started) / 1000,
    hrtime: Object.assign(
      (since) => {
        const ns = nanos();
        let s = Number(ns / 1000000000n);
        let rest = Number(ns % 1000000000n);
        if (since) {
          s -= since[0];
          rest -= since[1];
          if (rest < 0) { s -= 1; rest += 1e9; }
        }
        return [s, rest];
      },
      { bigint: () => nanos() },
    ),
    memoryUsage: Object.assign(() => ({ rss: host.memory(), heapTotal: host.memory(), heapUsed: host.memory(), external: 0, arrayBuffers: 0 }), {
      rss: () => host.memory(),
    }),
    umask: () => 0o022,
    getuid: () => facts.uid,
    geteuid: () => facts.uid,
    getgid: () => facts.gid,
    getegid: () => facts.gid,
    kill(pid, signal = 'SIGTERM') { host.kill(Number(pid), String(signal)); return true; },
    emitWarning(warning) { process.stderr.write(`(warning) ${warning?.message ?? warning}\n`); },
    on(event, listener) {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
      return process;
    },
    once(event, listener) { return process.on(event, listener); },
    addListener(event, listener) { return process.on(event, listener); },
    off(event, listener) {
      listeners.set(event, (listeners.get(event) ?? []).filter((known) => known !== listener));
      return process;
    },
    removeListener(event, listener) { return process.off(event, listener); },
    removeAllListeners(event) { listeners.delete(event); return process; },
    listeners: (event) => [...(listeners.get(event) ?? [])],
    listenerCount: (event) => (listeners.get(event) ?? []).length,
    emit(event, ...args) {
      const known = listeners.get(event) ?? [];
      for (const listener of known) listener(...args);
      return known.length > 0;
    },
    stdin: { isTTY: false, fd: 0 },
  };

  const stream = (level, fd) => ({
    fd,
    isTTY: false,
    writable: true,
    columns: 80,
    write(chunk, encoding, callback) {
      const text = typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk);
      host.write(level, text);
      const done = typeof encoding === 'function' ? encoding : callback;
      if (typeof done === 'function') queueMicrotask(() => done());
      return true;
    },
    end(chunk) { if (chunk !== undefined) this.write(chunk); return this; },
    on() { return this; },
    once() { return this; },
    off() { return this; },
    removeListener() { return this; },
    emit() { return false; },
    cork() {},
    uncork() {},
    getColorDepth: () => 1,
    hasColors: () => false,
  });
  process.stdout = stream('stdout', 1);
  process.stderr = stream('stderr', 2);
  Object.defineProperty(process, Symbol.toStringTag, { value: 'process', configurable: true });
  Object.defineProperty(globalThis, 'process', { value: process, writable: true, configurable: true });
  globalThis.global = globalThis;

  /** Puts the job's environment in. */
  host.begin = (pairs, entry) => {
    for (const key of Object.keys(store)) delete store[key];
    for (const [key, value] of pairs) store[key] = value;
    process.argv = ['kici', entry];
  };
})
