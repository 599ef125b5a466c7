/** The built declarations in a project that has nothing else: no `lib.dom`, no `@types/node`, no `skipLibCheck`. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const fixtures = join(packageRoot, '../../crates/model/tests/fixtures/lockfiles');

test('the guide and the fixtures type-check against sdk.d.ts alone', () => {
  const guide = readFileSync(join(packageRoot, '../../docs/author/sdk.md'), 'utf8');
  const examples = [...guide.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '');
  assert.ok(examples.length >= 5);

  const project = mkdtempSync(join(tmpdir(), 'kici-sdk-types-'));
  try {
    const write = (name: string, text: string): void => writeFileSync(join(project, name), text);
    mkdirSync(join(project, 'sdk'));
    cpSync(join(packageRoot, 'dist/sdk.d.ts'), join(project, 'sdk/index.d.ts'));
    for (const name of readdirSync(fixtures)) {
      cpSync(join(fixtures, name, '.kici'), join(project, 'fixtures', name), { recursive: true });
    }
    examples.forEach((code, index) => write(`example-${index}.ts`, code));
    write('package.json', '{"type":"module"}');
    // One fixture reads process.env on purpose.
    write('process.d.ts', 'declare const process: { readonly env: Record<string, string | undefined> };');
    const compilerOptions = {
      target: 'ES2023',
      lib: ['ES2023'],
      module: 'NodeNext',
      strict: true,
      noEmit: true,
      types: [],
      paths: { '@kici-dev/sdk': ['./sdk/index.d.ts'] },
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['**/*.ts'] }));
    const tsc = spawnSync(
      process.execPath,
      [join(packageRoot, 'node_modules/typescript/bin/tsc'), '-p', project],
      { encoding: 'utf8' },
    );
    assert.equal(tsc.stdout, '');
    assert.equal(tsc.status, 0);
  } finally {
    rmSync(project, { recursive: true });
  }
});
