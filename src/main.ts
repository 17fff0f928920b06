// What `errand` runs: turns on the keeping of compiled code, which spares each command more than half of its start, and then
// loads the command line: as it was built, or from source where nothing was built yet. The kept code lies beside what was
// built, in a folder for each user, which Node.js names; where that cannot be written to, nothing is kept. What needs a mount
// namespace of its own moves there before anything is loaded, so that nothing is loaded twice.
import { existsSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { enterMountNamespace } from './mount-namespace.ts'

enterMountNamespace(process.argv.slice(2))
const dist = join(import.meta.dirname, '../dist')
const built = join(dist, 'programs/command-line.mjs')
enableCompileCache(join(dist, 'compile-cache'))
await import(existsSync(built) ? built : './command-line.ts')
