// A whole Errand for one test file: started as a user would, with a data folder of its own, a free port and the scripted
// model; taken away again with everything that it made.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadScenarios } from '../../demo/scenario.ts'
import {
  createScriptedModel,
  type ScriptedModel,
  type ScriptedModelOptions,
} from '../../demo/scripted-model.ts'
import { type Client, createClient } from '../../src/client/client.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import type { EventOf, EventType, SessionEvent } from '../../src/protocol/event.ts'
import type { SessionState } from '../../src/protocol/session.ts'
import { asUser, type OrdinaryUser } from '../../src/sandbox/conformance/conformance-user.ts'
import type { Island } from './island.ts'
import { createRepositoryUpload } from './upload.ts'

export const OWNER_KEY = 'sk-real-key-of-the-owner'
export const ROOT = join(import.meta.dirname, '../..')

export interface Installation {
  url: string
  loginUrl: string
  token: string
  dataDir: string
  /** Of `errand up`. */
  pid(): number
  /** Starts it again on the same data and port, after it was killed with all that belongs to it. */
  startAgain(): Promise<void>
  /** The end of what its programs have logged. */
  logged(): string
  client: Client
  model: ScriptedModel
  /** Pushes the repository's HEAD as the CLI does and starts a session on it. */
  start(repository: string, prompt: string, fields?: Partial<NewSession>): Promise<SessionState>
  /** Every event from the first one, until `enough` says so of the last; fails after the limit. */
  follow(
    sessionId: string,
    enough: (event: SessionEvent) => boolean,
    afterSeq?: number,
  ): Promise<SessionEvent[]>
  /** Follows to the end of the running turn and what is measured after it. */
  finish(sessionId: string, afterSeq?: number): Promise<SessionEvent[]>
  stop(): Promise<void>
}

export interface InstallationOptions {
  scenarios?: string[]
  env?: Record<string, string>
  paceMs?: number
  /** Called with each request that the model gets. */
  onRequest?: ScriptedModelOptions['onRequest']
  /** Where it runs; on this machine's own network unless told. */
  island?: Island
  /** Who runs it; root unless told. */
  user?: OrdinaryUser & { home: string }
  /** How long `follow` waits; three minutes unless told. */
  followLimitMs?: number
  /** More arguments of `errand up`. */
  args?: string[]
}

const FOLLOW_LIMIT_MS = 180_000
const LOG_CHARS = 200_000

export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const { island, user } = options
  const model = await createScriptedModel({
    scenarios: [...loadScenarios(), ...loadScenarios(options.scenarios ?? [])],
    requireKey: OWNER_KEY,
    host: island?.outside,
    paceMs: options.paceMs ?? 0,
    onRequest: options.onRequest,
  })
  const dataDir = await mkdtemp(join(user?.home ?? tmpdir(), 'errand-e2e-'))
  if (user) await chown(dataDir, user.uid, user.gid)
  const run = (port: string) => startUp(options, { dataDir, modelUrl: model.url, port })
  const log = createTail()
  let child = run('0')
  const { url, loginUrl } = await readAddresses(child, log)
  const token = await readFile(join(dataDir, 'cli-token'), 'utf8')
  const client = createClient({ baseUrl: url, token })
  const follow: Installation['follow'] = async (sessionId, enough, afterSeq = 0) => {
    const events: SessionEvent[] = []
    const signal = AbortSignal.timeout(options.followLimitMs ?? FOLLOW_LIMIT_MS)
    for await (const item of client.followEvents(sessionId, { afterSeq, signal })) {
      if (item.kind !== 'event') continue
      events.push(item.event)
      if (enough(item.event)) return events
    }
    throw new Error(`${sessionId} stopped at: ${JSON.stringify(events.slice(-5), null, 1)}`)
  }
  return {
    url,
    loginUrl,
    token,
    dataDir,
    pid: () => child.pid as number,
    startAgain: async () => {
      await ended(child)
      child = run(new URL(url).port)
      await readAddresses(child, log)
    },
    logged: log.read,
    client,
    model,
    follow,
    start: async (repository, prompt, fields = {}) => {
      const source =
        fields.source ?? (await createRepositoryUpload({ url, token, client }, repository))
      return client.createSession({ prompt, source, ...fields })
    },
    finish: (sessionId, afterSeq) => {
      let ended = false
      return follow(
        sessionId,
        ({ body }) => {
          if (/^turn\.(completed|failed|interrupted)$|^session\.failed$/.test(body.type))
            ended = true
          return ended
        },
        afterSeq,
      )
    },
    stop: async () => {
      const { sessions } = await client.listSessions({ archived: true, limit: 100 })
      await Promise.all(sessions.map(({ id }) => client.removeSession(id)))
      child.kill('SIGTERM')
      await ended(child)
      await model.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

function startUp(
  options: InstallationOptions,
  at: { dataDir: string; modelUrl: string; port: string },
): ChildProcess {
  const { island, user } = options
  const errand = [process.execPath, join(ROOT, 'src/main.js')]
  const up = ['up', '--json', '--port', at.port, '--data', at.dataDir, ...(options.args ?? [])]
  const before = [...(island?.command ?? []), ...(user ? asUser(user) : [])]
  const [command = '', ...args] = [...before, ...errand, ...up]
  return spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ERRAND_LOG_LEVEL: 'warn',
      ANTHROPIC_API_KEY: OWNER_KEY,
      ANTHROPIC_BASE_URL: at.modelUrl,
      // Only what a test asks for runs.
      ERRAND_STANDBYS: '0',
      ...(island ? { ERRAND_HOST: island.inside } : {}),
      ...(user ? { HOME: user.home, XDG_RUNTIME_DIR: join(user.home, 'run') } : {}),
      ...options.env,
    },
  })
}

export function eventsOf<T extends EventType>(events: SessionEvent[], type: T): EventOf<T>[] {
  return events.map(({ body }) => body).filter((body): body is EventOf<T> => body.type === type)
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

interface Tail {
  push(chunk: Buffer): void
  read(): string
}

function createTail(): Tail {
  let text = ''
  return {
    push: (chunk) => {
      text = (text + chunk.toString()).slice(-LOG_CHARS)
    },
    read: () => text,
  }
}

function readAddresses(child: ChildProcess, log: Tail): Promise<{ url: string; loginUrl: string }> {
  return new Promise((resolve, reject) => {
    let stdout = ''
    child.stderr?.on('data', log.push)
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      if (stdout.includes('\n')) resolve(JSON.parse(stdout.slice(0, stdout.indexOf('\n'))))
    })
    child.once('exit', (code) =>
      reject(new Error(`errand up exited with ${code}: ${log.read().slice(-10_000)}`)),
    )
  })
}
