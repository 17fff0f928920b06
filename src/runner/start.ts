// The file that a sandbox's first process starts: begins, then loads the bundle that scripts/build-runner.ts has put beside it and
// runs it.
import { join } from 'node:path'
import type { AgentStart } from './agent/agent-start.ts'
import { begin } from './begin.ts'
import { loadBundle } from './bundle.ts'
import type { main } from './main.ts'

/** The bundle's name tells its content, so that it never meets compiled code of another build. */
declare const BUNDLE_NAME: string
/** What the bundle would start for an agent that waits. */
declare const AGENT_START: AgentStart

const beginning = begin(AGENT_START)
const bundle = loadBundle<{ main: typeof main }>(join(import.meta.dirname, BUNDLE_NAME))
await bundle.exports.main(beginning)
