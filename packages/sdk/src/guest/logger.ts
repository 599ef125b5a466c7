/** `ctx.log`. */

import type { Logger } from '../types/context.js';
import type { Call } from './call.js';
import { show } from './format.js';

/** Writes lines with the step's name in front; without a step's name they have no prefix. */
export function createLogger(call: Call, step: string | undefined): Logger {
  const prefix = step === undefined ? '' : `[${step}] `;
  const write =
    (level: 'info' | 'warn' | 'error' | 'debug', mark: string) =>
    (...args: readonly unknown[]): void => {
      call.link.notify(call.id, 'log', { level, text: prefix + mark + args.map(show).join(' ') });
    };
  const debug = write('debug', '[debug] ');
  return {
    info: write('info', ''),
    warn: write('warn', '[warn] '),
    error: write('error', '[error] '),
    debug: (...args) => {
      if (call.environment.live.KICI_LOG_LEVEL === 'debug') debug(...args);
    },
  };
}
