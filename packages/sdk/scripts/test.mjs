// Bundles test/*.test.ts and the fixtures into .test/ and runs them with `node --test`. Run by `npm test`.
//
// Works on Node 20 as well, which cannot load TypeScript itself.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (!existsSync(join(root, 'dist/guest.js'))) {
  console.error('dist/ is missing; run `npm run build` first');
  process.exit(1);
}

const out = join(root, '.test');
rmSync(out, { recursive: true, force: true });
const tests = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'));
// The projects whose lock files the model is tested with.
const projects = join(root, '../../crates/model/tests/fixtures/lockfiles');
const fixtures = readdirSync(projects).flatMap((project) => {
  const workflows = join(projects, project, '.kici/workflows');
  return readdirSync(workflows).map((name) => ({
    in: join(workflows, name),
    out: join(project, 'workflows', name.replace(/\.ts$/, '')),
  }));
});
const common = {
  // Without the paths of tsconfig.json: `@kici-dev/sdk` is the bundle.
  tsconfigRaw: {},
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
};

await Promise.all([
  build({
    ...common,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: out,
    packages: 'external',
    sourcemap: 'inline',
  }),
  build({
    ...common,
    entryPoints: fixtures,
    outdir: join(out, 'fixtures'),
    packages: 'external',
  }),
]);

const chosen = process.argv.slice(2);
const files = tests.filter((name) => chosen.length === 0 || chosen.some((part) => name.includes(part)));
const run = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', ...files.map((name) => join(out, name.replace(/ts$/, 'js')))],
  { stdio: 'inherit', cwd: root },
);
process.exit(run.status ?? 1);
