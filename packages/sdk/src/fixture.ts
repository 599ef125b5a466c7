/** Fixtures: events for test runs, in `.kici/tests`. */

/** What a fixture stands for. */
export interface FixtureOptions {
  readonly [key: string]: unknown;
}

/** An event for test runs. */
export interface Fixture {
  readonly id: string;
  readonly options: FixtureOptions | (() => FixtureOptions | Promise<FixtureOptions>);
}

/** Names an event for test runs. */
export function fixture(id: string, options: Fixture['options']): Fixture {
  if (typeof id !== 'string' || id === '' || /\s/.test(id)) {
    throw new TypeError(
      `fixture: the id ${JSON.stringify(id)} must be non-empty and without spaces; write fixture('my-event', { … })`,
    );
  }
  return { id, options };
}
