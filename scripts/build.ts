// Builds what is not run from source: the page (dist/web), the programs (dist/programs) and the runner (dist/runner), which is
// mounted into sandboxes.
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildPrograms } from './build-programs.ts'
import { buildRunner, buildTools } from './build-runner.ts'

const root = join(import.meta.dirname, '..')
const stamp = join(root, 'dist/.built')

rmSync(stamp, { force: true })
await buildRunner()
await buildTools()
await buildPrograms()
const vite = join(root, 'node_modules/vite/bin/vite.js')
const web = spawnSync(process.execPath, [vite, 'build', '-c', join(root, 'web/vite.config.ts')], {
  cwd: root,
  stdio: 'inherit',
})
if (web.status !== 0) process.exit(web.status ?? 1)
writeFileSync(stamp, '')
