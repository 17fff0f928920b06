// The file that a sandbox's first process starts: loads the bundle that scripts/build-runner.ts has put beside it and runs it.
import { join } from 'node:path'
import { loadBundle } from './bundle.ts'
import type { main } from './main.ts'

/** The bundle's name tells its content, so that it never meets compiled code of another build. */
declare const BUNDLE_NAME: string
// biome-ignore lint/style/noProcessEnv: the runner reads its own environment, once, here.
const environment = { ...process.env }
const bundle = loadBundle<{ main: typeof main }>(join(import.meta.dirname, BUNDLE_NAME))
await bundle.exports.main(environment)
