/** Durations as zx writes them. */

/** Milliseconds of `1000`, `'1000'`, `'500ms'`, `'10s'` or `'2m'`. */
export function parseDuration(duration: unknown): number {
  if (typeof duration === 'number' && Number.isFinite(duration) && duration >= 0) return duration;
  const [, count, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(String(duration)) ?? [];
  if (count === undefined) {
    throw new TypeError(`${JSON.stringify(duration)} is no duration; write 1000, '500ms', '10s' or '2m'`);
  }
  return Number(count) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
}
