// What `errand` runs: turns on the keeping of compiled code, which spares each command more than half of its start, and then
// loads the command line: as it was built, or from source where nothing was built yet. The kept code lies beside what was
// built, in a folder for each user, which Node.js names; where that cannot be written to, nothing is kept. What needs a mount
// namespace of its own moves there before anything is loaded, so that nothing is loaded twice.
// No TypeScript: before it reads any, Node.js loads a compiler, which would be two fifths of what a command takes.
// @ts-check
import { existsSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

const dist = join(import.meta.dirname, '../dist')
/**
 * Each by itself: what was built by an earlier version, as after a git pull, may lack one.
 * @param {string} name
 */
const placeOf = (name) =>
  existsSync(join(dist, `programs/${name}.mjs`)) ? `../dist/programs/${name}.mjs` : `./${name}.ts`

enableCompileCache(join(dist, 'compile-cache'))
/** @type {typeof import('./mount-namespace.ts')} */
const { enterMountNamespace } = await import(placeOf('mount-namespace'))
enterMountNamespace(process.argv.slice(2))
await import(placeOf('command-line'))
