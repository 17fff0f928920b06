// What `errand` runs: turns on the keeping of compiled code, which spares each command more than half of its start, and then
// loads the command line. The kept code lies beside what was built, in a folder for each user, which Node.js names; where that
// cannot be written to, nothing is kept.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

enableCompileCache(join(import.meta.dirname, '../dist/compile-cache'))
await import('./command-line.ts')
