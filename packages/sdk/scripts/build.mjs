// Bundles the SDK, the guest and the Node bootstrap into dist/. Run by `npm run build`.
//
// The output depends on nothing but the sources and the locked dependencies: no dates, no paths.

import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

/** zod re-exports forty languages; error messages are English. */
const englishOnly = {
  name: 'english-only',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
      loader: 'js',
    }));
  },
};

const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  target: 'es2023',
  charset: 'utf8',
  legalComments: 'none',
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  treeShaking: true,
  logLevel: 'warning',
};

await Promise.all([
  build({ ...common, entryPoints: ['src/index.ts'], outfile: 'dist/sdk.js', platform: 'neutral', mainFields: ['module', 'main'], plugins: [englishOnly] }),
  build({ ...common, entryPoints: ['src/guest/main.ts'], outfile: 'dist/guest.js', platform: 'neutral', external: ['@kici-dev/sdk'] }),
]);
