// The two ways to a first model request that `start` and `phases` measure: a session of Errand, and bare Claude Code. The
// repository has a CLAUDE.md and a SessionStart hook, and what they say has to be in that request.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSampleRepository, gitEnvironment } from '../demo/repository.ts'
import type { Client } from '../src/client/client.ts'
import { delay } from '../src/lib/deadline.ts'
import { runChecked } from '../src/lib/process.ts'
import type { SessionEvent } from '../src/protocol/event.ts'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext } from './benchmark.ts'
import { type BenchErrand, type BenchModel, ROOT, TURN_ENDS, wallMs } from './installation.ts'

/** Computed by the hook's shell, so that it is nowhere in the repository. */
const HOOK = 'echo "the hook says $((6 * 7)) and a half"'
const HOOK_SAYS = 'the hook says 42 and a half'
const MEMORY_SAYS = 'whole cents'
const CLAUDE = join(
  ROOT,
  `node_modules/@anthropic-ai/claude-agent-sdk-linux-${process.arch}/claude`,
)

const LOOK_MS = 100
const READY_MS = 60_000

export interface Started {
  durationMs: number
  submittedAt: number
  requestAt: number
  events: SessionEvent[]
}

export async function createHookRepository(
  { folder }: BenchContext,
  name = 'repository',
): Promise<string> {
  const path = join(folder, name)
  await createSampleRepository(path)
  await mkdir(join(path, '.claude'))
  const hooks = { SessionStart: [{ hooks: [{ type: 'command', command: HOOK }] }] }
  await writeFile(join(path, '.claude/settings.json'), JSON.stringify({ hooks }))
  const git = (...args: string[]) => runChecked('git', args, { cwd: path, env: gitEnvironment() })
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'A hook')
  return path
}

/** Submits to a running Errand; resolves when the session is gone again, or has ended where it is to be `kept`. */
export async function createSessionStart(errand: BenchErrand, repository: string) {
  const source = await createRepositoryUpload(errand, repository)
  return async (round: number, kept = false): Promise<Started> => {
    const mark = markOf('session', round)
    const request = errand.model.expect(mark)
    const submittedAt = wallMs()
    const { id } = await errand.client.createSession({ prompt: promptOf(mark), source })
    const ended = errand.follow(id, TURN_ENDS)
    const { at, body } = await Promise.race([request, failedEarly(ended)])
    checkRequest(body)
    const events = await ended
    if (!kept) await errand.client.removeSession(id)
    return { durationMs: at - submittedAt, submittedAt, requestAt: at, events }
  }
}

/** Bare `claude -p` in a checkout of the same repository, with a home that has been used before. */
export async function createBareStart(
  { folder }: BenchContext,
  model: BenchModel,
  repository: string,
) {
  const cwd = join(folder, 'checkout')
  const home = join(folder, 'home')
  await mkdir(home)
  await runChecked('git', ['clone', '--quiet', repository, cwd], { env: gitEnvironment() })
  return async (round: number): Promise<number> => {
    const mark = markOf('bare', round)
    const request = model.expect(mark)
    const startedAt = wallMs()
    const child = spawn(CLAUDE, ['-p', promptOf(mark)], {
      cwd,
      env: {
        PATH: process.env.PATH,
        HOME: home,
        ANTHROPIC_API_KEY: 'scripted',
        ANTHROPIC_BASE_URL: model.url,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        DISABLE_AUTOUPDATER: '1',
      },
      stdio: 'ignore',
    })
    const exited = once(child, 'exit')
    const { at, body } = await Promise.race([request, failedEarly(exited)])
    checkRequest(body)
    await exited
    return at - startedAt
  }
}

/** Until all that is to be started ahead waits. */
export async function untilReady(client: Client): Promise<void> {
  const signal = AbortSignal.timeout(READY_MS)
  for (;;) {
    const { standbys } = await client.getInstallation()
    if (standbys.ready >= standbys.wanted) return
    await delay(LOOK_MS, signal)
  }
}

function markOf(kind: string, round: number): string {
  return `${kind}-${round}-${Math.random().toString(36).slice(2)}`
}

function promptOf(mark: string): string {
  return `Say hello (${mark}).`
}

/** Once the request has come this one is no longer waited for. */
async function failedEarly(ended: Promise<unknown>): Promise<never> {
  const how = await ended
  throw new Error(`it ended without a model request: ${JSON.stringify(how).slice(-2_000)}`)
}

function checkRequest(body: string): void {
  for (const said of [HOOK_SAYS, MEMORY_SAYS])
    if (!body.includes(said)) throw new Error(`the first model request does not hold "${said}"`)
}
