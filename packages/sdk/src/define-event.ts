/** Internal events with a declared payload. */

import type { z } from 'zod';

/** An event that workflows emit and are triggered by. */
export interface EventDefinition<T = unknown> {
  readonly _tag: 'EventDefinition';
  readonly name: string;
  readonly schema: z.ZodType<T>;
}

/** Names an event and the shape of its payload. */
export function defineEvent<T>(name: string, schema: z.ZodType<T>): EventDefinition<T> {
  if (typeof name !== 'string' || name.trim() === '') {
    throw new TypeError(
      "defineEvent: the event's name is missing; write defineEvent('<name>', z.object({ … }))",
    );
  }
  return Object.freeze({ _tag: 'EventDefinition' as const, name, schema });
}
