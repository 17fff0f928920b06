// Runs the setup script of an environment in a sandbox that is kept as a layer: its declared inputs as files, the variables
// of the environment, no repository, no agent. What it says is the log of the phase.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import { requestUnix } from '../lib/unix-http.ts'
import { SANDBOX_PATHS } from '../protocol/network.ts'
import {
  type RunnerReport,
  SETUP_INPUTS_PATH,
  type SetupAssignment,
  setupInputFilesSchema,
} from '../protocol/runner-frames.ts'
import type { Variables } from './agent/agent-environment.ts'
import { runCommand } from './turns/command-turn.ts'

const LINE_CHARS = 2_000
const LINES_AT_ONCE = 200
/** Programs say with this what they would say with "command not found". */
const CANNOT_RUN = 126
const RETRY = { firstMs: 50, mostMs: 2_000 }

export interface SetupDeps {
  assignment: SetupAssignment
  generation: number
  place: { doorSocket: string; setupFolder?: string }
  variables: Variables
  report: (report: RunnerReport) => void
  log: Logger
}

/** Resolves once its end is reported; after an abort without a word, since the sandbox is going away. */
export async function runSetup(deps: SetupDeps, signal: AbortSignal): Promise<void> {
  const { assignment, place, report } = deps
  const variables = { ...assignment.variables, ...deps.variables }
  const folder = place.setupFolder ?? SANDBOX_PATHS.setup
  const lines = createLines((some) =>
    report({
      type: 'phase.logged',
      phase: 'environment',
      generation: deps.generation,
      lines: some,
    }),
  )
  const limit = AbortSignal.timeout(assignment.limitMs)
  const either = AbortSignal.any([signal, limit])
  let exitCode: number | null
  try {
    await writeInputs(place.doorSocket, folder, either)
    exitCode = await runCommand(
      { folder, variables, output: lines.push },
      assignment.script,
      either,
    )
  } catch (error) {
    deps.log.warn({ err: error }, 'the setup script could not be run')
    lines.push(`${error instanceof Error ? error.message : String(error)}\n`)
    exitCode = CANNOT_RUN
  }
  lines.end()
  if (signal.aborted) return
  report({ type: 'setup.ended', exitCode: limit.aborted ? null : exitCode })
}

async function writeInputs(socketPath: string, folder: string, signal: AbortSignal): Promise<void> {
  const files = await readInputs(socketPath, signal)
  await mkdir(folder, { recursive: true })
  for (const { path, data } of files) {
    const file = join(folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, Buffer.from(data, 'base64'))
  }
}

/** A gateway that is away, or has no database just then, is asked again until the signal aborts. */
async function readInputs(socketPath: string, signal: AbortSignal) {
  const request = { method: 'GET', path: SETUP_INPUTS_PATH, signal }
  for (let attempt = 0; ; attempt++) {
    const answer = await requestUnix(socketPath, request).catch(() => undefined)
    if (answer?.status === 200) return setupInputFilesSchema.parse(answer.body).files
    if (answer && answer.status < 500)
      throw new Error(`The inputs of the setup script were refused (${answer.status}).`)
    await delay(backoffMs(RETRY, attempt, Math.random()), signal)
  }
}

/** Whole lines of what comes in pieces; a long one is cut. */
function createLines(report: (lines: string[]) => void) {
  let rest = ''
  const send = (lines: string[]) => {
    const cut = lines.map((line) => line.replace(/\r$/, '').slice(0, LINE_CHARS))
    for (let at = 0; at < cut.length; at += LINES_AT_ONCE) report(cut.slice(at, at + LINES_AT_ONCE))
  }
  return {
    push: (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_CHARS) {
        lines.push(rest)
        rest = ''
      }
      send(lines)
    },
    end: () => {
      if (rest !== '') send([rest])
      rest = ''
    },
  }
}
