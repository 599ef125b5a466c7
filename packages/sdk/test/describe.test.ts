/** Descriptions of the fixture projects. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { FakeHost, fixture, type Json } from './fake-host.js';
import { matchSnapshot } from './snapshot.js';

const bundled = fixture('');
const entries = readdirSync(bundled, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.js'),
);

/** Locations and function texts come from the bundler; they have tests of their own. */
function withoutPlaces(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPlaces);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'location' && key !== 'text')
      .map(([key, item]) => [key, withoutPlaces(item)]),
  );
}

test('there are fixtures', () => assert.equal(entries.length, 14));

for (const entry of entries) {
  test(`description of ${entry}`, async () => {
    const host = await new FakeHost().start();
    const { description, error } = await host.load(join(bundled, entry), { mode: 'describe' });
    assert.equal(error, undefined);
    matchSnapshot(entry.replace(/[\\/]workflows[\\/]/, '.').replace(/\.js$/, ''), withoutPlaces(description));
  });
}

test('locations are those of the calls, also for helper factories', async () => {
  const host = await new FakeHost().start();
  const file = join(bundled, 'fleet-rollout/workflows/fleet.js');
  const { description } = await host.load(file, { mode: 'describe' });
  const lines = readFileSync(file, 'utf8').split('\n');
  const called: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { location } = value as { location?: { file: string; line: number; column: number } };
    if (location) {
      assert.equal(basename(location.file), 'fleet.js');
      called.push(/^\w+/.exec(lines[location.line - 1]?.slice(location.column - 1) ?? '')?.[0] ?? '?');
    }
    Object.values(value).forEach(visit);
  };
  visit(description);
  assert.deepEqual(called, ['workflow', 'job', 'step', 'step', 'checkStep', 'step', 'job', 'step', 'job']);
});

test('functions come with their text only to be compiled', async () => {
  const text = `export default workflow('w', { jobs: [job('j', { runsOn: 'x', env: (event) => ({ A: event.type }), run: () => {} })] });`;
  const env = async (mode: string): Promise<unknown> => {
    const host = await new FakeHost().start();
    const loaded = await host.loadText(text, { mode });
    return ((loaded.description.workflows as Json[])[0] as { jobs: Json[] }).jobs[0]?.env;
  };
  assert.deepEqual(await env('describe'), { $fn: 1, text: '(event) => ({ A: event.type })' });
  assert.deepEqual(await env('run'), { $fn: 1 });
});

test('default exports come first, then names in code-unit order; lists keep their index', async () => {
  const host = await new FakeHost().start();
  const { description } = await host.loadText(
    `const mk = (n) => workflow(n, { jobs: [] });
     export default [mk('first'), 'not one', mk('third')]; export const b = mk('b'); export const B = mk('B'); export const other = 5;`,
  );
  assert.deepEqual(
    (description.workflows as Json[]).map(({ name, export: exported }) => [name, exported]),
    [
      ['first', '#default[0]'],
      ['third', '#default[2]'],
      ['B', '#B'],
      ['b', '#b'],
    ],
  );
});

test('a need for a job without a name that is elsewhere is explained', async () => {
  const host = await new FakeHost().start();
  const { error } = await host.loadText(
    `const lost = job({ runsOn: 'x', run: () => {} });
     export default workflow('w', { jobs: [job('j', { runsOn: 'x', needs: [lost], run: () => {} })] });`,
  );
  assert.equal(
    error?.message,
    "job 'j': it needs a job without a name that is not in this workflow; add that job to `jobs`",
  );
});
