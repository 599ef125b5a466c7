/**
 * Finds where the author called a factory, from the stack.
 *
 * Positions are those of the JavaScript that runs; the engine maps them to the author's TypeScript.
 * Frames inside the SDK itself are skipped, so that helper factories (`checkStep`, `waitForStep`, …)
 * point to the author's line as well.
 */

/** A position in a file, 1-based. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

const FRAME = /^\s*at (?:async )?(?:.*? \()?(.+?):(\d+):(\d+)\)?\s*$/;

/** The frames of a stack text that name a file. */
export function stackFrames(stack: string | undefined): SourceLocation[] {
  const frames: SourceLocation[] = [];
  for (const text of (stack ?? '').split('\n')) {
    const found = FRAME.exec(text);
    const [, file, line, column] = found ?? [];
    if (file !== undefined) frames.push({ file, line: Number(line), column: Number(column) });
  }
  return frames;
}

const OWN_FILE = stackFrames(new Error('probe').stack)[0]?.file;

/** The position of the innermost call that is not in the SDK. */
export function callerLocation(): SourceLocation | undefined {
  return stackFrames(new Error('probe').stack).find(
    (frame) => frame.file !== OWN_FILE && !frame.file.startsWith('node:') && frame.file !== 'native',
  );
}

/** Puts the caller's position on a factory's product, hidden from spreads and `Object.keys`. */
export function withLocation<T extends object>(value: T): T {
  const location = callerLocation();
  if (location) Object.defineProperty(value, '_sourceLocation', { value: location, configurable: true });
  return value;
}
