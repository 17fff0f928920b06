// An installation for one benchmark, started as a user would, against the scripted model, whose clock says when a request came.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadScenarios } from '../demo/scenario.ts'
import { createScriptedModel, type RecordedRequest } from '../demo/scripted-model.ts'
import { type Client, createClient } from '../src/client/client.ts'
import { readConfig } from '../src/config.ts'
import type { EventType, SessionEvent } from '../src/protocol/event.ts'
import type { BenchContext } from './benchmark.ts'

export const ROOT = join(import.meta.dirname, '..')
const FOLLOW_LIMIT_MS = 120_000

/** The conversation's request, as the model server got it. */
export interface ModelRequest {
  /** Milliseconds of the wall clock, with fractions. */
  at: number
  body: string
}

export interface BenchModel {
  url: string
  /** Resolves with the first request of a conversation whose text holds `mark`. */
  expect(mark: string): Promise<ModelRequest>
}

export interface BenchErrand {
  url: string
  token: string
  client: Client
  model: BenchModel
  dataDir: string
  runtimeDir: string
  pid: number
  /** All events of a session up to the first of one of these types after `afterSeq`. */
  follow(sessionId: string, types: readonly EventType[], afterSeq?: number): Promise<SessionEvent[]>
}

export const TURN_ENDS = [
  'turn.completed',
  'turn.failed',
  'turn.interrupted',
  'session.failed',
] as const

/** The wall clock with fractions of milliseconds. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

export async function startModel({ shutdown }: BenchContext): Promise<BenchModel> {
  const expected = new Map<string, (request: ModelRequest) => void>()
  const onRequest = ({ path, body }: RecordedRequest) => {
    const at = wallMs()
    if (!path.startsWith('/v1/messages') || !hasTools(body)) return
    for (const [mark, resolve] of expected) {
      if (!body.includes(mark)) continue
      expected.delete(mark)
      resolve({ at, body })
    }
  }
  const model = await createScriptedModel({ scenarios: loadScenarios(), onRequest })
  shutdown.add('model', model.close)
  return {
    url: model.url,
    expect: (mark) => new Promise((resolve) => expected.set(mark, resolve)),
  }
}

/** Requests beside the conversation, such as those for a title, offer no tools. */
function hasTools(body: string): boolean {
  const { tools } = JSON.parse(body) as { tools?: unknown[] }
  return (tools?.length ?? 0) > 0
}

export async function startErrand(
  context: BenchContext,
  env: Record<string, string> = {},
): Promise<BenchErrand> {
  const model = await startModel(context)
  const dataDir = join(context.folder, 'data')
  context.say('starting Errand')
  const main = join(ROOT, 'src/main.js')
  const child = spawn(process.execPath, [main, 'up', '--json', '--port', '0', '--data', dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ERRAND_LOG_LEVEL: 'warn',
      ERRAND_MODEL: 'scripted',
      ERRAND_STANDBYS: '0',
      ANTHROPIC_API_KEY: 'scripted',
      ANTHROPIC_BASE_URL: model.url,
      ...env,
    },
  })
  context.shutdown.add('errand', () => endChild(child))
  const url = await readUrl(child)
  const token = await readFile(join(dataDir, 'cli-token'), 'utf8')
  const client = createClient({ baseUrl: url, token })
  context.shutdown.add('sessions', () => removeSessions(client))
  const { runtimeDir } = readConfig({ dataDir })
  const pid = child.pid ?? 0
  return { url, token, client, model, dataDir, runtimeDir, pid, follow: followWith(client) }
}

function followWith(client: Client): BenchErrand['follow'] {
  return async (sessionId, types, afterSeq = 0) => {
    const events: SessionEvent[] = []
    const signal = AbortSignal.timeout(FOLLOW_LIMIT_MS)
    for await (const item of client.followEvents(sessionId, { afterSeq, signal })) {
      if (item.kind !== 'event') continue
      events.push(item.event)
      if (types.includes(item.event.body.type)) return events
    }
    throw new Error(`the session stands still at ${JSON.stringify(events.at(-1)?.body)}`)
  }
}

async function removeSessions(client: Client): Promise<void> {
  const { sessions } = await client.listSessions({ archived: true, limit: 100 })
  await Promise.all(sessions.map(({ id }) => client.removeSession(id)))
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

function readUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-10_000)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      if (stdout.includes('\n')) resolve(JSON.parse(stdout.slice(0, stdout.indexOf('\n'))).url)
    })
    child.once('exit', (code) => reject(new Error(`errand up exited with ${code}: ${stderr}`)))
  })
}
