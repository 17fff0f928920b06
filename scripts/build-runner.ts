// Builds the folder that becomes the runner's inside a sandbox: dist/runner. A bundle of the runner with all that it imports,
// the same compiled by this Node.js, and main.mjs, which is started. The agent's own program is not part of it.
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'
import { BUNDLE_FRAME, compiledPath, loadBundle } from '../src/runner/bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const STARTED = 'main.mjs'

export async function buildRunner(folder = `${root}dist/runner`): Promise<void> {
  const bundle = await bundled('src/runner/main.ts', {
    format: 'cjs',
    banner: { js: BUNDLE_FRAME.begin },
    footer: { js: BUNDLE_FRAME.end },
    define: { 'import.meta.url': BUNDLE_FRAME.url },
  })
  const name = `runner-${createHash('sha256').update(bundle).digest('hex').slice(0, 16)}.cjs`
  const start = await bundled('src/runner/start.ts', {
    format: 'esm',
    define: { BUNDLE_NAME: JSON.stringify(name) },
  })
  await mkdir(folder, { recursive: true })
  const path = join(folder, name)
  await rm(compiledPath(path), { force: true })
  await writeFile(path, bundle)
  await writeFile(compiledPath(path), loadBundle(path).compile())
  // Last: whoever reads it finds what it names.
  await writeFile(join(folder, `${STARTED}.new`), start)
  await rename(join(folder, `${STARTED}.new`), join(folder, STARTED))
  const kept = [STARTED, name, compiledPath(name)]
  for (const other of await readdir(folder))
    if (!kept.includes(other)) await rm(join(folder, other), { recursive: true })
}

async function bundled(entry: string, options: BuildOptions): Promise<Uint8Array> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node24',
    legalComments: 'none',
    logLevel: 'warning',
    ...options,
  })
  const [file] = outputFiles ?? []
  if (!file) throw new Error(`esbuild made nothing of ${entry}`)
  return file.contents
}

if (import.meta.main) await buildRunner()
