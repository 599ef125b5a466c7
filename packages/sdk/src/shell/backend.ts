/** What the shell needs of the runner. */

import type { AbortSignalLike } from '../types/globals.js';
import type { ShellOptions } from './types.js';

/** Parameters of the host call `process.run`. */
export interface RunParams {
  readonly command: string;
  readonly shell: string;
  readonly prefix: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly quiet: boolean;
  readonly verbose?: boolean;
  readonly timeoutMs?: number;
  readonly timeoutSignal?: string;
  readonly input?: string;
  readonly inputBase64?: string;
  readonly stream?: boolean;
  readonly encoding?: 'base64';
}

/** Its answer. */
export interface RunResult {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly all: string;
  readonly durationMs: number;
  readonly timedOut?: boolean;
  readonly stdoutBase64?: string;
}

/** A piece of output. */
export interface OutputPiece {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** A command that the runner has started. */
export interface RunningCommand {
  readonly result: Promise<RunResult>;
  kill(signal: string): Promise<void>;
}

/** The runner's side of `ctx.$`. */
export interface ShellBackend {
  /** Starts a command; environment changes made so far are visible to it. */
  run(params: RunParams, onOutput: (piece: OutputPiece) => void): RunningCommand;
  /** Fires when the step has to stop. */
  readonly signal?: AbortSignalLike;
  /** A file's name as the author knows it. */
  displayFile(file: string): string;
  /** Options of every command, e.g. the working directory. */
  readonly defaults?: ShellOptions;
}
