// Builds the folder that becomes the runner's inside a sandbox: dist/runner. A bundle of the runner with all that it imports,
// the same compiled by this Node.js, main.mjs, which is started, and what the SDK would start for an agent that waits.
// The agent's own program is not part of it.
import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import { BUNDLE_FRAME, compiledPath, loadBundle } from '../src/runner/bundle.ts'
import type * as runner from '../src/runner/main.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const STARTED = 'main.mjs'
const AGENT_START = 'agent-start.json'
const MCP_SDK = /^@modelcontextprotocol\/sdk\//

export async function buildRunner(folder = `${root}dist/runner`): Promise<void> {
  const bundle = inAscii(
    await bundled('src/runner/main.ts', {
      format: 'cjs',
      banner: { js: BUNDLE_FRAME.begin },
      footer: { js: BUNDLE_FRAME.end },
      define: { 'import.meta.url': BUNDLE_FRAME.url },
      plugins: [withoutUnused(MCP_SDK)],
    }),
  )
  const name = `runner-${createHash('sha256').update(bundle).digest('hex').slice(0, 16)}.cjs`
  await mkdir(folder, { recursive: true })
  const path = join(folder, name)
  await rm(compiledPath(path), { force: true })
  await writeFile(path, bundle)
  const loaded = loadBundle<Pick<typeof runner, 'recordAgent'>>(path)
  const agent = await loaded.exports.recordAgent()
  await writeFile(compiledPath(path), loaded.compile())
  await writeFile(join(folder, AGENT_START), JSON.stringify(agent))
  const start = await bundled('src/runner/start.ts', {
    format: 'esm',
    define: { BUNDLE_NAME: JSON.stringify(name) },
  })
  // Last: whoever reads it finds what it names.
  await writeFile(join(folder, `${STARTED}.new`), start)
  await rename(join(folder, `${STARTED}.new`), join(folder, STARTED))
  const kept = [STARTED, AGENT_START, name, compiledPath(name)]
  for (const other of await readdir(folder))
    if (!kept.includes(other)) await rm(join(folder, other), { recursive: true })
}

async function bundled(entry: string, options: BuildOptions): Promise<string> {
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
  return file.text
}

/**
 * Leaves out modules of which nothing is used, which esbuild keeps for what loading them might do. The agent SDK has the SDK of MCP
 * for servers inside this process: the runner has none, and loading it would be 15 ms of each start.
 */
function withoutUnused(filter: RegExp): Plugin {
  return {
    name: 'without-unused',
    setup: (builds) => {
      builds.onResolve({ filter }, async ({ path, kind, resolveDir, pluginData }) => {
        if (pluginData === filter) return undefined
        const resolved = await builds.resolve(path, { kind, resolveDir, pluginData: filter })
        return { ...resolved, sideEffects: false }
      })
    },
  }
}

/**
 * esbuild leaves other characters in comments, templates and expressions, and one of them makes all of the text, some 2.5 MB, take
 * twice the memory and 8 ms more to read at each start. Escaped, they mean the same in each of these but a raw template.
 */
function inAscii(text: string): string {
  return text.replace(/(?<!\\)[^\0-\x7f]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).padStart(4, '0')
    return `\\u${code}`
  })
}

/** Programs that are on PATH inside: single files that begin with the Node.js that is there. */
export async function buildTools(folder = `${root}dist/tools`): Promise<void> {
  // Without a name that ends in .mjs, Node.js takes a file for CommonJS.
  const banner = { js: '#!/opt/errand/node' }
  const bundle = await bundled('src/tools/check-tools.ts', { format: 'cjs', banner })
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'check-tools')
  await writeFile(`${path}.new`, bundle)
  await chmod(`${path}.new`, 0o755)
  await rename(`${path}.new`, path)
}

if (import.meta.main) {
  await buildRunner()
  await buildTools()
}
