// `node:child_process` of the embedded engine: the native `spawn`, and what Node builds on it.
import { spawn as nativeSpawn } from 'native/child_process';
import { promisify } from 'node:util';

const host = globalThis.__kiciHost;
const split = (args, options) => (Array.isArray(args) ? [args, options ?? {}] : [[], args ?? {}]);
const shellOf = (shell) => (typeof shell === 'string' ? shell : '/bin/sh');
const environment = (env) =>
  Object.fromEntries(Object.entries(env ?? process.env).filter(([, value]) => value !== undefined).map(([key, value]) => [key, String(value)]));

export function spawn(file, args, options) {
  const [list, given] = split(args, options);
  const stdio = given.stdio ?? 'pipe';
  const streams = Array.isArray(stdio) ? [stdio[0], stdio[1], stdio[2]] : [stdio, stdio, stdio];
  // This process's own streams are not the step's: what a child inherits goes to the log.
  const inherits = streams.map((stream, fd) => stream === 'inherit' || stream === fd || stream === process.stdout || stream === process.stderr);
  const plain = streams.map((stream, fd) => (inherits[fd] ? (fd === 0 ? 'ignore' : 'pipe') : (stream ?? 'pipe')));
  const { signal, timeout, killSignal, ...rest } = given;
  const command = { ...rest, env: environment(given.env), stdio: plain };
  if (command.cwd instanceof URL) command.cwd = decodeURIComponent(command.cwd.pathname);
  const child = given.shell
    ? nativeSpawn(shellOf(given.shell), ['-c', [file, ...list].join(' ')], { ...command, shell: undefined })
    : nativeSpawn(file, list.map(String), command);
  if (inherits[1]) child.stdout?.on('data', (chunk) => process.stdout.write(chunk));
  if (inherits[2]) child.stderr?.on('data', (chunk) => process.stderr.write(chunk));
  const kill = () => child.kill(killSignal ?? 'SIGTERM');
  if (signal) {
    if (signal.aborted) kill();
    else signal.addEventListener('abort', kill, { once: true });
  }
  if (timeout > 0) {
    const timer = setTimeout(kill, timeout);
    child.on('exit', () => clearTimeout(timer));
  }
  return child;
}

const failure = (shown, code, signal, stdout, stderr) =>
  Object.assign(new Error(`Command failed: ${shown}\n${stderr}`), { code, killed: signal !== null && signal !== undefined, signal: signal ?? null, cmd: shown, stdout, stderr });

const collecting = (shown, child, options, callback) => {
  const chunks = { stdout: [], stderr: [] };
  for (const name of ['stdout', 'stderr']) child[name]?.on('data', (chunk) => chunks[name].push(Buffer.from(chunk)));
  const text = (name) => {
    const whole = Buffer.concat(chunks[name]);
    return options.encoding === 'buffer' || options.encoding === null ? whole : whole.toString(options.encoding ?? 'utf8');
  };
  let ended = false;
  const end = (error) => {
    if (ended) return;
    ended = true;
    callback?.(error, text('stdout'), text('stderr'));
  };
  child.on('error', (error) => end(Object.assign(error, { cmd: shown })));
  child.on('close', (code, signal) => end(code === 0 ? null : failure(shown, code, signal, text('stdout'), text('stderr'))));
  return child;
};

export function execFile(file, ...rest) {
  const callback = typeof rest.at(-1) === 'function' ? rest.pop() : undefined;
  const [list, options] = split(...rest);
  return collecting([file, ...list].join(' '), spawn(file, list, options), options, callback);
}

export function exec(command, ...rest) {
  const callback = typeof rest.at(-1) === 'function' ? rest.pop() : undefined;
  const options = rest[0] ?? {};
  return collecting(command, spawn(shellOf(options.shell), ['-c', command], { ...options, shell: undefined }), options, callback);
}

const promised = (run) => (...args) => {
  let child;
  const promise = new Promise((resolve, reject) => {
    child = run(...args, (error, stdout, stderr) => (error ? reject(error) : resolve({ stdout, stderr })));
  });
  return Object.assign(host.keep(promise), { child });
};
Object.defineProperty(exec, promisify.custom, { value: promised(exec) });
Object.defineProperty(execFile, promisify.custom, { value: promised(execFile) });

export function spawnSync(file, args, options) {
  const [list, given] = split(args, options);
  const [program, parameters] = given.shell ? [shellOf(given.shell), ['-c', [file, ...list].join(' ')]] : [file, list.map(String)];
  const stdio = given.stdio ?? 'pipe';
  const stream = (fd) => (Array.isArray(stdio) ? (stdio[fd] ?? 'pipe') : stdio);
  const input = typeof given.input === 'string' ? Buffer.from(given.input, given.encoding === 'buffer' ? 'utf8' : (given.encoding ?? 'utf8')) : given.input;
  let done;
  try {
    done = host.spawnSync({
      file: program,
      args: parameters,
      cwd: given.cwd instanceof URL ? decodeURIComponent(given.cwd.pathname) : given.cwd,
      env: Object.entries(environment(given.env)),
      input: input === undefined ? undefined : new Uint8Array(input.buffer, input.byteOffset, input.byteLength),
      timeout: given.timeout,
    });
  } catch (error) {
    error.spawnargs = parameters;
    return { pid: 0, status: null, signal: null, output: null, stdout: null, stderr: null, error };
  }
  const content = (fd, bytes) => {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const where = stream(fd);
    if (where === 'inherit' || where === fd) (fd === 1 ? process.stdout : process.stderr).write(buffer);
    if (where !== 'pipe') return null;
    return given.encoding && given.encoding !== 'buffer' ? buffer.toString(given.encoding) : buffer;
  };
  const stdout = content(1, done.stdout);
  const stderr = content(2, done.stderr);
  const result = { pid: done.pid, status: done.status, signal: done.signal, output: [null, stdout, stderr], stdout, stderr };
  if (done.timedOut) result.error = Object.assign(new Error(`spawnSync ${program} ETIMEDOUT`), { code: 'ETIMEDOUT', syscall: `spawnSync ${program}` });
  return result;
}

const orThrow = (shown, result, options) => {
  if (result.error) throw Object.assign(result.error, result);
  // As in Node, an error output that nobody took is shown.
  if (options.stdio === undefined && result.stderr?.length > 0) process.stderr.write(result.stderr);
  if (result.status !== 0) throw Object.assign(new Error(`Command failed: ${shown}\n${result.stderr ?? ''}`), result);
  return result.stdout;
};
export function execFileSync(file, args, options) {
  const [list, given] = split(args, options);
  return orThrow([file, ...list].join(' '), spawnSync(file, list, given), given);
}
export function execSync(command, options = {}) {
  return orThrow(command, spawnSync(shellOf(options.shell), ['-c', command], { ...options, shell: undefined }), options);
}

export default { exec, execFile, execFileSync, execSync, spawn, spawnSync };
