// `node:path` of the embedded engine: POSIX paths by Node's rules.
const check = (value, name) => {
  if (typeof value !== 'string') {
    throw Object.assign(
      new TypeError(`The "${name}" argument must be of type string. Received ${value === null ? 'null' : typeof value}`),
      { code: 'ERR_INVALID_ARG_TYPE' },
    );
  }
};

export const sep = '/';
export const delimiter = ':';
export const isAbsolute = (path) => (check(path, 'path'), path.startsWith('/'));

/** Takes `.` and `..` out; `..` above a relative start stays. */
const segments = (path, absolute) => {
  const kept = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!absolute) kept.push('..');
  }
  return kept;
};

export function normalize(path) {
  check(path, 'path');
  if (path === '') return '.';
  const absolute = path.startsWith('/');
  const body = segments(path, absolute).join('/');
  if (body === '') return absolute ? '/' : path.endsWith('/') ? './' : '.';
  return (absolute ? '/' : '') + body + (path.endsWith('/') ? '/' : '');
}

export function join(...parts) {
  for (const part of parts) check(part, 'path');
  const joined = parts.filter((part) => part !== '').join('/');
  return joined === '' ? '.' : normalize(joined);
}

export function resolve(...parts) {
  let path = '';
  for (let index = parts.length - 1; index >= -1 && !path.startsWith('/'); index--) {
    const part = index >= 0 ? parts[index] : process.cwd();
    check(part, `paths[${index}]`);
    if (part !== '') path = path === '' ? part : `${part}/${path}`;
  }
  return `/${segments(path, true).join('/')}`;
}

export function relative(from, to) {
  check(from, 'from');
  check(to, 'to');
  const start = segments(resolve(from), true);
  const end = segments(resolve(to), true);
  let common = 0;
  while (common < start.length && start[common] === end[common]) common++;
  return [...start.slice(common).fill('..'), ...end.slice(common)].join('/');
}

const withoutTrailing = (path) => (path.length > 1 ? path.replace(/(?<=.)\/+$/, '') : path);

export function dirname(path) {
  check(path, 'path');
  if (path === '') return '.';
  const trimmed = withoutTrailing(path);
  const slash = trimmed.lastIndexOf('/');
  if (slash === -1) return '.';
  return slash === 0 ? '/' : withoutTrailing(trimmed.slice(0, slash));
}

export function basename(path, suffix) {
  check(path, 'path');
  const trimmed = path.replace(/\/+$/, '');
  const base = trimmed.slice(trimmed.lastIndexOf('/') + 1);
  if (suffix === undefined) return base;
  check(suffix, 'suffix');
  return base !== suffix && base.endsWith(suffix) ? base.slice(0, base.length - suffix.length) : base;
}

export function extname(path) {
  const base = basename(path);
  const dot = base.lastIndexOf('.');
  return dot <= 0 || /^\.+$/.test(base.slice(0, dot + 1)) ? '' : base.slice(dot);
}

export function parse(path) {
  check(path, 'path');
  const base = basename(path);
  const ext = extname(path);
  const root = path.startsWith('/') ? '/' : '';
  const dir = path.replace(/\/+$/, '').includes('/') || root ? dirname(path) : '';
  return { root, dir: dir === '.' && !path.startsWith('./') ? '' : dir, base, ext, name: ext === '' ? base : base.slice(0, -ext.length) };
}

export function format({ root = '', dir, base, name = '', ext = '' }) {
  const file = base ?? name + (ext === '' || ext.startsWith('.') ? ext : `.${ext}`);
  if (!dir) return root + file;
  return dir === root ? dir + file : `${dir}/${file}`;
}

export const toNamespacedPath = (path) => path;
const path = { basename, delimiter, dirname, extname, format, isAbsolute, join, normalize, parse, relative, resolve, sep, toNamespacedPath };
path.posix = path;
export const posix = path;
export default path;
