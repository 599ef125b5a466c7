const process = globalThis.process;
export default process;
export const {
  arch, argv, argv0, chdir, cwd, env, execPath, exit, exitCode, getegid, geteuid, getgid, getuid, hrtime, memoryUsage,
  nextTick, off, on, once, pid, platform, ppid, release, stderr, stdin, stdout, uptime, version, versions,
} = process;
