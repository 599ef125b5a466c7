export default globalThis.console;
export const { assert, count, countReset, debug, dir, error, group, groupCollapsed, groupEnd, info, log, table, time, timeEnd, timeLog, trace, warn } =
  globalThis.console;
