/** `ctx.$` over host calls. */

import type { OutputPiece, RunningCommand, RunResult, ShellBackend } from '../shell/backend.js';
import { createShell } from '../shell/shell.js';
import type { Shell } from '../shell/types.js';
import type { Call } from './call.js';
import { cleanFile } from './describe/data.js';
import type { Sent } from './host-link.js';

/** The shell of one call. */
export function shellOf(call: Call, root: string): Shell {
  const backend: ShellBackend = {
    signal: call.aborter.signal,
    displayFile: (file) => relativeTo(root, cleanFile(file)),
    run(params, onOutput): RunningCommand {
      let sent: Sent | undefined;
      let killed: string | undefined;
      const start = async (): Promise<RunResult> => {
        await call.settle();
        sent = call.link.request(
          call.id,
          'process.run',
          (request: number) => ({ ...params, request }),
          (piece) => onOutput(piece as OutputPiece),
        );
        if (killed !== undefined)
          void call.ask('process.kill', { request: sent.id, signal: killed }).catch(() => {});
        return (await sent.answer) as RunResult;
      };
      return {
        result: start(),
        async kill(signal) {
          killed = signal;
          if (sent) await call.ask('process.kill', { request: sent.id, signal });
        },
      };
    },
  };
  return createShell(backend);
}

function relativeTo(root: string, file: string): string {
  const base = root.endsWith('/') ? root : `${root}/`;
  return root !== '' && file.startsWith(base) ? file.slice(base.length) : file;
}
