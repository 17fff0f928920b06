// Bundles the command line and the programs of an installation, each with all that it imports: dist/programs. A start then
// reads a few files instead of some six hundred, which is most of its processor time.
import { readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build, type Plugin } from 'esbuild'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'dist/programs')
const unfinished = `${folder}.new`
/** Each whole by itself, so that the module that is started is the one that asks whether it was. */
const PROGRAMS = ['server', 'gateway', 'gitd', 'sandboxd']
/** What a package that is still CommonJS expects to be there. */
const REQUIRE = `import { createRequire as createRequireOfBundle } from 'node:module'
const require = createRequireOfBundle(import.meta.url)`

/** What lies beside a source is looked for there, from wherever its code has gone. */
const ownPlaces: Plugin = {
  name: 'own places',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const place = (of: string) => JSON.stringify(relative(folder, of))
      const contents = (await readFile(path, 'utf8'))
        .replaceAll('import.meta.dirname', `(import.meta.dirname + '/' + ${place(dirname(path))})`)
        .replaceAll('import.meta.url', `new URL(${place(path)}, import.meta.url).href`)
      return { contents, loader: 'ts' }
    })
  },
}

async function bundle(entries: string[], splitting: boolean): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: entries.map((name) => `src/${name}.ts`),
    outdir: unfinished,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    banner: { js: REQUIRE },
    external: ['pg-native'],
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [ownPlaces],
  })
}

export async function buildPrograms(): Promise<void> {
  await rm(unfinished, { recursive: true, force: true })
  for (const name of PROGRAMS) await bundle([name], false)
  // What only some commands need stays apart, and is loaded when it is called.
  await bundle(['command-line', 'mount-namespace'], true)
  await rm(folder, { recursive: true, force: true })
  await rename(unfinished, folder)
}
