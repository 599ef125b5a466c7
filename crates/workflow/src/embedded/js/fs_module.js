// `node:fs` of the embedded engine, over `__kiciHost.files` and `filesSync`.
const host = globalThis.__kiciHost;

export const constants = Object.freeze({ F_OK: 0, X_OK: 1, W_OK: 2, R_OK: 4, COPYFILE_EXCL: 1, COPYFILE_FICLONE: 2 });

const KINDS = { file: 0o100000, dir: 0o040000, link: 0o120000, fifo: 0o010000, socket: 0o140000, device: 0o020000 };
const KIND_MASK = 0o170000;

class Typed {
  #kind;
  constructor(kind) { this.#kind = kind; }
  isFile() { return this.#kind === KINDS.file; }
  isDirectory() { return this.#kind === KINDS.dir; }
  isSymbolicLink() { return this.#kind === KINDS.link; }
  isFIFO() { return this.#kind === KINDS.fifo; }
  isSocket() { return this.#kind === KINDS.socket; }
  isCharacterDevice() { return this.#kind === KINDS.device; }
  isBlockDevice() { return this.#kind === 0o060000; }
}
export class Dirent extends Typed {
  constructor(name, parentPath, kind) {
    super(KINDS[kind]);
    this.name = name;
    this.parentPath = parentPath;
  }
}
export class Stats extends Typed {
  constructor(found) {
    super(found.mode & KIND_MASK);
    Object.assign(this, found);
    for (const which of ['atime', 'mtime', 'ctime', 'birthtime']) this[which] = new Date(found[`${which}Ms`]);
  }
}

const asPath = (value) => {
  if (typeof value === 'string') return value;
  if (value instanceof URL) {
    if (value.protocol !== 'file:') throw Object.assign(new TypeError('The URL must be of scheme file'), { code: 'ERR_INVALID_URL_SCHEME' });
    return decodeURIComponent(value.pathname);
  }
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  throw Object.assign(
    new TypeError(`The "path" argument must be of type string or an instance of Buffer or URL. Received ${value === null ? 'null' : typeof value}`),
    { code: 'ERR_INVALID_ARG_TYPE' },
  );
};
const asOptions = (options) => (typeof options === 'string' ? { encoding: options } : (options ?? {}));
const asMode = (mode, fallback) => (mode === undefined || mode === null ? fallback : typeof mode === 'string' ? Number.parseInt(mode, 8) : mode);
const asBytes = (data, encoding) => {
  if (typeof data === 'string') return encoding && encoding !== 'utf8' && encoding !== 'utf-8' ? Buffer.from(data, encoding) : new TextEncoder().encode(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw Object.assign(
    new TypeError(`The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received ${data === null ? 'null' : typeof data}`),
    { code: 'ERR_INVALID_ARG_TYPE' },
  );
};
const asContent = (bytes, encoding) => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return encoding && encoding !== 'buffer' ? buffer.toString(encoding) : buffer;
};
const join = (dir, name) => (dir.endsWith('/') ? dir + name : `${dir}/${name}`);
const same = (value) => value;
const writing = (path, data, options, append) => {
  const { encoding, mode, flag } = asOptions(options);
  const flags = append || flag?.startsWith('a') ? 1 : flag?.startsWith('wx') ? 2 : 0;
  return { name: 'writeFile', path: asPath(path), data: asBytes(data, encoding), a: flags, b: asMode(mode, 0o666) };
};

/** Each entry: how arguments become an operation, and how its result becomes a value. */
const OPERATIONS = {
  access: (path, mode = 0) => [{ name: 'access', path: asPath(path), a: mode }, same],
  appendFile: (path, data, options) => [writing(path, data, options, true), same],
  chmod: (path, mode) => [{ name: 'chmod', path: asPath(path), a: asMode(mode, 0o644) }, same],
  copyFile: (from, to, mode = 0) => [{ name: 'copyFile', path: asPath(from), to: asPath(to), a: mode }, same],
  link: (from, to) => [{ name: 'link', path: asPath(from), to: asPath(to) }, same],
  lstat: (path) => [{ name: 'lstat', path: asPath(path) }, (found) => new Stats(found)],
  mkdir: (path, options) => {
    const { recursive, mode } = typeof options === 'object' && options !== null ? options : { mode: options };
    return [{ name: 'mkdir', path: asPath(path), a: recursive ? 1 : 0, b: asMode(mode, 0o777) }, same];
  },
  mkdtemp: (prefix) => [{ name: 'mkdtemp', path: asPath(prefix) }, same],
  readFile: (path, options) => [{ name: 'readFile', path: asPath(path) }, (bytes) => asContent(bytes, asOptions(options).encoding)],
  readlink: (path) => [{ name: 'readlink', path: asPath(path) }, same],
  realpath: (path) => [{ name: 'realpath', path: asPath(path) }, same],
  rename: (from, to) => [{ name: 'rename', path: asPath(from), to: asPath(to) }, same],
  rm: (path, options) => [{ name: 'rm', path: asPath(path), a: (options?.recursive ? 1 : 0) | (options?.force ? 2 : 0) }, same],
  rmdir: (path, options) => [options?.recursive ? { name: 'rm', path: asPath(path), a: 1 } : { name: 'rmdir', path: asPath(path) }, same],
  stat: (path) => [{ name: 'stat', path: asPath(path) }, (found) => new Stats(found)],
  symlink: (target, path) => [{ name: 'symlink', path: asPath(target), to: asPath(path) }, same],
  truncate: (path, length = 0) => [{ name: 'truncate', path: asPath(path), a: length }, same],
  unlink: (path) => [{ name: 'unlink', path: asPath(path) }, same],
  utimes: (path, atime, mtime) => [{ name: 'utimes', path: asPath(path), a: seconds(atime), b: seconds(mtime) }, same],
  writeFile: (path, data, options) => [writing(path, data, options, false), same],
};
const seconds = (time) => (time instanceof Date ? time.getTime() / 1000 : Number(time));

const now = (name) => (...args) => {
  const [operation, finish] = OPERATIONS[name](...args);
  return finish(host.filesSync(operation));
};
const later = (name) => async (...args) => {
  const [operation, finish] = OPERATIONS[name](...args);
  return finish(await host.files(operation));
};
const withCallback = (promised) => (...args) => {
  const callback = args.pop();
  if (typeof callback !== 'function') {
    throw Object.assign(new TypeError('The "cb" argument must be of type function'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  promised(...args).then((value) => callback(null, value), (error) => callback(error));
};

/** The parts of readdir and cp that are the same whether they wait or not, as generators of operations. */
function* listing(path, options) {
  const { withFileTypes, recursive } = asOptions(options);
  const top = asPath(path);
  const result = [];
  const queue = [['', top]];
  while (queue.length > 0) {
    const [prefix, dir] = queue.shift();
    const entries = yield { name: 'readdir', path: dir };
    for (const [name, kind] of entries) {
      const relative = prefix === '' ? name : `${prefix}/${name}`;
      result.push(withFileTypes ? new Dirent(name, dir, kind) : relative);
      if (recursive && kind === 'dir') queue.push([relative, join(dir, name)]);
    }
  }
  return result;
}
function* copying(source, target, options = {}) {
  const from = asPath(source);
  const to = asPath(target);
  const found = new Stats(yield { name: options.dereference ? 'stat' : 'lstat', path: from });
  if (options.filter && !options.filter(from, to)) return;
  if (found.isDirectory()) {
    if (!options.recursive) {
      throw Object.assign(new Error(`Recursive option not enabled, cannot copy a directory: ${from}`), { code: 'ERR_FS_EISDIR' });
    }
    yield { name: 'mkdir', path: to, a: 1, b: found.mode & 0o777 };
    const entries = yield { name: 'readdir', path: from };
    for (const [name] of entries) yield* copying(join(from, name), join(to, name), options);
  } else if (found.isSymbolicLink()) {
    yield { name: 'rm', path: to, a: 2 };
    const leadsTo = yield { name: 'readlink', path: from };
    yield { name: 'symlink', path: leadsTo, to };
  } else {
    yield { name: 'copyFile', path: from, to, a: options.force === false && options.errorOnExist ? 1 : 0 };
  }
}
const runNow = (make) => (...args) => {
  const steps = make(...args);
  for (let step = steps.next(); ; ) {
    if (step.done) return step.value;
    step = steps.next(host.filesSync(step.value));
  }
};
const runLater = (make) => async (...args) => {
  const steps = make(...args);
  for (let step = steps.next(); ; ) {
    if (step.done) return step.value;
    step = steps.next(await host.files(step.value));
  }
};

export const promises = { constants, readdir: runLater(listing), cp: runLater(copying) };
const fs = { constants, promises, Stats, Dirent, readdirSync: runNow(listing), cpSync: runNow(copying) };
for (const name of Object.keys(OPERATIONS)) {
  promises[name] = later(name);
  fs[`${name}Sync`] = now(name);
}
for (const name of Object.keys(promises)) if (name !== 'constants') fs[name] = withCallback(promises[name]);
fs.existsSync = (path) => {
  try {
    fs.accessSync(path);
    return true;
  } catch {
    return false;
  }
};
const throwIfNoEntry = (stat) => (path, options) => {
  try {
    return stat(path);
  } catch (error) {
    if (options?.throwIfNoEntry === false && error.code === 'ENOENT') return undefined;
    throw error;
  }
};
fs.statSync = throwIfNoEntry(fs.statSync);
fs.lstatSync = throwIfNoEntry(fs.lstatSync);

export default fs;
export const {
  access, accessSync, appendFile, appendFileSync, chmod, chmodSync, copyFile, copyFileSync, cp, cpSync, existsSync, link,
  linkSync, lstat, lstatSync, mkdir, mkdirSync, mkdtemp, mkdtempSync, readFile, readFileSync, readdir, readdirSync,
  readlink, readlinkSync, realpath, realpathSync, rename, renameSync, rm, rmSync, rmdir, rmdirSync, stat, statSync, symlink,
  symlinkSync, truncate, truncateSync, unlink, unlinkSync, utimes, utimesSync, writeFile, writeFileSync,
} = fs;
