/** Snapshots in files: `UPDATE=1 npm test` writes them, without it a difference fails the test. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'test/snapshots');

export function matchSnapshot(name: string, value: unknown): void {
  const file = join(folder, `${name}.json`);
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (process.env.UPDATE) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, text);
  }
  assert.ok(existsSync(file), `there is no snapshot ${name}; run UPDATE=1 npm test and review it`);
  assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, 'utf8')));
}
