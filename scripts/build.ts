// Builds what is not run from source: the page (dist/web), the programs (dist/programs) and the runner (dist/runner), which is
// mounted into sandboxes.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import page from '../web/vite.config.ts'
import { buildPrograms } from './build-programs.ts'
import { buildRunner, buildTools } from './build-runner.ts'

const root = join(import.meta.dirname, '..')
const stamp = join(root, 'dist/.built')

rmSync(stamp, { force: true })
await buildRunner()
await buildTools()
await buildPrograms()
await buildPage()
writeFileSync(stamp, '')

/** Through a link: Vite takes a `#` or `?` in the path of a file, and what follows it, for no part of the path. */
async function buildPage(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'errand-build-'))
  const shown = join(folder, 'code')
  symlinkSync(root, shown)
  try {
    await build({
      ...page,
      configFile: false,
      root: join(shown, 'web'),
      resolve: { preserveSymlinks: true },
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
