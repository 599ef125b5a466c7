import { promises } from 'node:fs';
export default promises;
export const {
  access, appendFile, chmod, constants, copyFile, cp, link, lstat, mkdir, mkdtemp, readFile, readdir, readlink, realpath,
  rename, rm, rmdir, stat, symlink, truncate, unlink, utimes, writeFile,
} = promises;
