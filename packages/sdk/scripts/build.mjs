// Bundles the SDK, the guest and the Node bootstrap into dist/. Run by `npm run build`.
//
// The output depends on nothing but the sources and the locked dependencies: no dates, no paths.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

/** Makes declarations valid in a project without `lib.dom`, `@types/node` and `skipLibCheck`. */
function withoutLibraries(text) {
  if (/^(import|export .* from) /m.test(text)) throw new Error('the declarations import something');
  const url =
    'type URL = typeof globalThis extends { URL: { prototype: infer T } } ? T : { readonly href: string };';
  // Variance is only allowed on aliases of object types; these are intersections, where it is a hint at most.
  const aliases = text.replace(/^type [\w$]+<.*$/gm, (line) => line.replace(/([<,]\s*)out /g, '$1'));
  return `${url}\n${aliases}`;
}

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

/** The same for the declarations. */
const englishDeclarations = {
  name: 'english-declarations',
  load: (id) =>
    /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.d\.ts$/.test(id)
      ? "export { default as en } from './en.js';"
      : null,
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
  build({
    ...common,
    entryPoints: ['src/index.ts'],
    outfile: 'dist/sdk.js',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    plugins: [englishOnly],
  }),
  build({
    ...common,
    entryPoints: ['src/guest/main.ts'],
    outfile: 'dist/guest.js',
    platform: 'neutral',
    external: ['@kici-dev/sdk'],
  }),
  build({ ...common, entryPoints: ['src/node-main.ts'], outfile: 'dist/node-main.js', platform: 'node' }),
  declarations(),
]);

/** One declaration file with zod's types inside, so that an editor needs no packages. */
async function declarations() {
  const bundle = await rollup({
    input: join(root, 'src/index.ts'),
    plugins: [englishDeclarations, dts({ respectExternal: true, tsconfig: join(root, 'tsconfig.json') })],
    onwarn: (warning) => {
      if (warning.code !== 'CIRCULAR_DEPENDENCY') throw new Error(warning.message);
    },
  });
  const { output } = await bundle.generate({ format: 'es' });
  await bundle.close();
  writeFileSync(join(dist, 'sdk.d.ts'), withoutLibraries(output[0].code));
}
