/**
 * A command of `ctx.$`: options that can still change, then a run, then its output.
 *
 * It starts in a microtask, so that everything chained to it in the same expression still counts.
 */

import type { RunParams, RunningCommand, RunResult } from './backend.js';
import { type CommandSpec, isTemplate, runParams } from './command-spec.js';
import { parseDuration } from './duration.js';
import { linesOf, TextStream } from './line-stream.js';
import { type Composed, canCompose, composeScripts } from './pipe.js';
import { ProcessOutput } from './process-output.js';
import type { PipeTarget, ProcessPromise, ShellArg, ShellDuration, ShellOptions } from './types.js';

/** The implementation of `ProcessPromise`. */
export class Command implements ProcessPromise {
  readonly #spec: CommandSpec;
  readonly #settled: Promise<ProcessOutput>;
  readonly #stdout = new TextStream();
  readonly #stderr = new TextStream();
  #options: ShellOptions;
  #running: RunningCommand | undefined;
  #started = false;
  #stream = false;
  #binary = false;
  #killed: string | undefined;
  /** The command, once it is known. */
  #text = '';
  /** The command whose output this one reads. */
  #upstream: Command | undefined;
  /** The command that runs this one as part of itself. */
  #partOf: Command | undefined;

  constructor(spec: CommandSpec) {
    this.#spec = spec;
    this.#options = spec.options;
    this.#settled = Promise.resolve().then(() => this.#execute());
    // The author may look at it later, or not at all; `then` hands the rejection on.
    this.#settled.catch(() => {});
  }

  get cmd(): string {
    const { command } = this.#spec;
    if (typeof command === 'string') return command;
    throw new Error('the command is not known yet: one of its arguments is a promise; await it first');
  }

  get [Symbol.toStringTag](): string {
    return 'ProcessPromise';
  }

  then<A = ProcessOutput, B = never>(
    onFulfilled?: ((output: ProcessOutput) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#settled.then(onFulfilled, onRejected);
  }

  catch<T>(onRejected: (error: unknown) => T | PromiseLike<T>): Promise<ProcessOutput | T> {
    return this.#settled.catch(onRejected);
  }

  finally(onSettled: () => void): Promise<ProcessOutput> {
    return this.#settled.finally(onSettled);
  }

  get exitCode(): Promise<number | null> {
    return this.#settled.then(
      (output) => output.exitCode,
      (error: unknown) => (error instanceof ProcessOutput ? error.exitCode : null),
    );
  }

  get stdout(): AsyncIterable<string> {
    this.#wantStream();
    return this.#stdout;
  }

  get stderr(): AsyncIterable<string> {
    this.#wantStream();
    return this.#stderr;
  }

  lines(delimiter?: string | RegExp): AsyncIterable<string> & PromiseLike<string[]> {
    this.#wantStream();
    const stdout = this.#stdout;
    return {
      [Symbol.asyncIterator]: () => linesOf(stdout, delimiter)[Symbol.asyncIterator](),
      then: (onFulfilled, onRejected) =>
        this.#settled.then((output) => output.lines(delimiter)).then(onFulfilled, onRejected),
    };
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return this.lines()[Symbol.asyncIterator]();
  }

  text(): Promise<string> {
    return this.#settled.then((output) => output.text());
  }

  json<T = unknown>(): Promise<T> {
    return this.#settled.then((output) => output.json<T>());
  }

  buffer(): Promise<Uint8Array> {
    if (!this.#started) this.#binary = true;
    return this.#settled.then((output) => output.buffer());
  }

  quiet(on = true): this {
    return this.#with({ quiet: on });
  }

  verbose(on = true): this {
    return this.#with({ verbose: on });
  }

  nothrow(on: boolean | readonly number[] = true): this {
    return this.#with({ nothrow: on });
  }

  timeout(duration: ShellDuration, signal?: string): this {
    const ms = parseDuration(duration);
    if (this.#started) {
      const timer = setTimeout(() => void this.kill(signal ?? this.#options.timeoutSignal), ms);
      this.#settled.then(
        () => clearTimeout(timer),
        () => clearTimeout(timer),
      );
    }
    return this.#with(
      signal === undefined ? { timeout: duration } : { timeout: duration, timeoutSignal: signal },
    );
  }

  async kill(signal: string = this.#options.killSignal ?? 'SIGTERM'): Promise<void> {
    if (this.#partOf) return this.#partOf.kill(signal);
    if (this.#running) await this.#running.kill(signal);
    else this.#killed = signal;
  }

  abort(): void {
    void this.kill();
  }

  pipe(target: TemplateStringsArray | PipeTarget, ...args: ShellArg[]): ProcessPromise {
    if (isTemplate(target)) return this.#pipeInto(this.#spec.sibling(target, args));
    if (typeof target === 'string') {
      const pieces = Object.assign(['cat > ', ''], { raw: ['cat > ', ''] });
      return this.#pipeInto(this.#spec.sibling(pieces, [target]));
    }
    if (target instanceof Command) return this.#pipeInto(target);
    if ('write' in target) {
      this.#wantStream();
      void this.#copyTo(target);
      return this;
    }
    throw new TypeError(
      'pipe: the target must be a command ($`…`), a template, a writable, or the name of a file',
    );
  }

  #pipeInto(target: Command): Command {
    if (target.#started || target.#upstream) {
      throw new Error('pipe: the target has already started; write $`a`.pipe($`b`) in one expression');
    }
    target.#upstream = this;
    if (!this.#started && !this.#partOf && canCompose(this.#composed(), target.#composed()))
      this.#partOf = target;
    return target;
  }

  async #copyTo(target: { write(text: string): unknown; end?(): unknown }): Promise<void> {
    try {
      for await (const piece of this.#stdout) target.write(piece);
    } catch {
      // The command's own promise says what went wrong.
    } finally {
      target.end?.();
    }
  }

  #with(options: ShellOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }

  #wantStream(): void {
    if (!this.#started) this.#stream = true;
  }

  #composed(): Composed {
    return { options: this.#options, dialect: this.#spec.dialect, command: this.#spec.command };
  }

  /** The script of this command with everything that is piped into it. */
  async #script(): Promise<string> {
    const own = await this.#spec.command;
    this.#text = own;
    const upstream = this.#upstream;
    if (!upstream || upstream.#partOf !== this) return own;
    upstream.#started = true;
    return composeScripts(await upstream.#script(), own);
  }

  async #execute(): Promise<ProcessOutput> {
    if (this.#partOf) return this.#partOf.#settled;
    this.#started = true;
    try {
      const params = await this.#params();
      if (this.#killed !== undefined) {
        return this.#finish({
          exitCode: null,
          signal: this.#killed,
          stdout: '',
          stderr: '',
          all: '',
          durationMs: 0,
        });
      }
      const running = this.#spec.backend.run(params, ({ stream, text }) => {
        (stream === 'stderr' ? this.#stderr : this.#stdout).push(text);
      });
      this.#running = running;
      const stopWatching = this.#watchSignals();
      try {
        return this.#finish(await running.result);
      } finally {
        stopWatching();
        this.#running = undefined;
      }
    } catch (cause) {
      this.#stdout.end({ cause });
      this.#stderr.end({ cause });
      throw cause;
    }
  }

  /** Kills the command when the step, or the author's own signal, is aborted. */
  #watchSignals(): () => void {
    const stop = (): void => void this.kill();
    const signals = [this.#spec.backend.signal, this.#options.signal].filter(
      (signal) => signal !== undefined,
    );
    if (this.#options.signal?.aborted) stop();
    for (const signal of signals) signal.addEventListener('abort', stop, { once: true });
    return () => {
      for (const signal of signals) signal.removeEventListener('abort', stop);
    };
  }

  async #params(): Promise<RunParams> {
    const upstream = this.#upstream;
    return runParams({
      script: await this.#script(),
      options: this.#options,
      dialect: this.#spec.dialect,
      input: upstream && upstream.#partOf !== this ? await upstream : this.#options.input,
      stream: this.#stream,
      binary: this.#binary,
    });
  }

  #finish(result: RunResult): ProcessOutput {
    const { from, stack } = this.#spec;
    const { all, durationMs, ...rest } = result;
    const output = new ProcessOutput({
      ...rest,
      stdall: all,
      duration: durationMs,
      command: this.#text,
      from,
      stack,
    });
    for (const [stream, text] of [
      [this.#stdout, output.stdout],
      [this.#stderr, output.stderr],
    ] as const) {
      if (!this.#stream && text !== '') stream.push(text);
    }
    const { nothrow } = this.#options;
    const fine =
      typeof nothrow === 'object'
        ? output.exitCode !== null && nothrow.includes(output.exitCode)
        : nothrow === true;
    if (!output.ok && !fine) throw output;
    this.#stdout.end();
    this.#stderr.end();
    return output;
  }
}
