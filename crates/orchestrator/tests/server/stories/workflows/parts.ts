/** What only an agent can know: the orchestrator never sees this file. */
export const named = (name: string): string => `computed-${name}`;
