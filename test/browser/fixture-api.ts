// Serves the built page and an API of fixture sessions on loopback, with the content security policy of the server. It
// answers commands with the events that the server would add, and remembers what it was asked.
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { extname, join } from 'node:path'
import { answerWebSocket } from '../../src/http/streams/web-socket.ts'
import { type Place, type SessionSummary, summarizeSession } from '../../src/protocol/api.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import { allowOnly, joinNetworks } from '../../src/protocol/environment.ts'
import type { EventBody, SessionEvent } from '../../src/protocol/event.ts'
import { unreadableError } from '../../src/protocol/found-session.ts'
import { grantedOf, repositoryOf, type SessionState } from '../../src/protocol/session.ts'
import {
  answerEnvironments,
  createEnvironments,
  type FixtureEnvironments,
} from './fixture-environments.ts'
import { NETWORK_ENTRIES, networkOf } from './fixture-network.ts'
import { append, type FixtureSession, turnId } from './fixture-sessions.ts'

const PAGE = join(import.meta.dirname, '../../dist/web')
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

export interface Fixture {
  url: string
  requests: { method: string; path: string; body: unknown }[]
  signedIn: boolean
  /** While true, every request of the API is refused as if nothing listened. */
  down: boolean
  /** The id of one whose state the server cannot read. */
  unreadable: string | null
  /** By the turn that began it, which a client chose. */
  firstTurns: Record<string, FixtureSession>
  diff: unknown
  /** By the name of the additional repository. */
  additionalDiffs: Record<string, unknown>
  environments: FixtureEnvironments
  add(...sessions: FixtureSession[]): void
  clear(): void
  emit(session: FixtureSession, ...facts: EventBody[]): void
  delta(session: FixtureSession, letter: string, text: string): void
  /** The place in the queue of sessions. */
  place(session: FixtureSession, place: Place | null): void
  cutStreams(): void
  /** Whether somebody follows the list. */
  listens(): boolean
  close(): Promise<void>
}

export async function startFixture(): Promise<Fixture> {
  const sessions = new Map<string, FixtureSession>()
  const streams = new Map<ServerResponse, string>()
  const fixture: Fixture = {
    url: '',
    requests: [],
    signedIn: true,
    down: false,
    unreadable: null,
    firstTurns: {},
    diff: null,
    additionalDiffs: {},
    environments: createEnvironments(),
    add: (...added) => {
      for (const session of added) sessions.set(session.id, session)
    },
    clear: () => {
      sessions.clear()
      fixture.requests = []
      fixture.unreadable = null
      fixture.firstTurns = {}
      fixture.environments = createEnvironments()
    },
    emit: (session, ...facts) => {
      const send = (to: string, frame: string) => {
        for (const [stream, id] of streams) if (id === to) stream.write(frame)
      }
      for (const fact of facts) send(session.id, formatEvent(append(session, fact)))
      const state = stateOf(session)
      if (!state) return
      send('list', `event: session\ndata: ${JSON.stringify(summarizeSession(state))}\n\n`)
    },
    delta: (session, letter, text) => {
      const value = JSON.stringify({ turnId: turnId(letter), text })
      for (const [stream, id] of streams)
        if (id === session.id) stream.write(`event: delta\ndata: ${value}\n\n`)
    },
    place: (session, place) => {
      for (const [stream, id] of streams)
        if (id === session.id) stream.write(`event: place\ndata: ${JSON.stringify(place)}\n\n`)
      session.place = place
      const [value] = summariesOf([session]).map((summary) => JSON.stringify(summary))
      for (const [stream, id] of streams)
        if (id === 'list') stream.write(`event: session\ndata: ${value}\n\n`)
    },
    cutStreams: () => {
      for (const stream of streams.keys()) stream.destroy()
    },
    listens: () => [...streams.values()].includes('list'),
    close: async () => {
      fixture.cutStreams()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const server = createServer((request, response) => {
    respond({ fixture, sessions, streams }, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  // What it streams to an ordinary request it streams through a socket.
  server.on('upgrade', (incoming, stream, head) => {
    const ask = ({ url, signal }: Request) => {
      const { pathname, searchParams } = new URL(url)
      const headers = {
        accept: 'text/event-stream',
        'last-event-id': searchParams.get('after') ?? '0',
      }
      return fetch(`${fixture.url}${pathname}`, { headers, signal })
    }
    void answerWebSocket(ask, { incoming, socket: stream as Socket, head })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  fixture.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return fixture
}

interface Parts {
  fixture: Fixture
  sessions: Map<string, FixtureSession>
  streams: Map<ServerResponse, string>
}

async function respond(parts: Parts, request: IncomingMessage, response: ServerResponse) {
  const url = new URL(request.url ?? '/', 'http://fixture')
  response.setHeader('content-security-policy', POLICY)
  response.setHeader('cache-control', 'no-store')
  if (!url.pathname.startsWith('/api/v1/')) return servePage(url.pathname, response)
  if (parts.fixture.down) {
    response.destroy()
    return
  }
  if (!parts.fixture.signedIn) {
    sendError(response, 401, 'unauthenticated', 'not_signed_in', 'Nobody is signed in.')
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const sent = Buffer.concat(chunks).toString()
  const body: unknown = sent ? JSON.parse(sent) : undefined
  const method = request.method ?? 'GET'
  const path = url.pathname.replace('/api/v1', '')
  if (method !== 'GET') parts.fixture.requests.push({ method, path: path + url.search, body })
  answerApi(parts, { method, path, body, request }, response)
}

async function servePage(path: string, response: ServerResponse) {
  const file = extname(path) ? path : '/index.html'
  const content = await readFile(join(PAGE, file)).catch(() => undefined)
  if (!content) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
  response.end(content)
}

interface Asked {
  method: string
  path: string
  body: unknown
  request: IncomingMessage
}

/** All, or the one that a turn began. */
function listed({ fixture, sessions }: Parts, turn: string | null): Iterable<FixtureSession> {
  if (turn === null) return sessions.values()
  const begun = fixture.firstTurns[turn]
  return begun ? [begun] : []
}

function answerApi(parts: Parts, asked: Asked, response: ServerResponse): void {
  const { method, path } = asked
  const states = () => [...parts.sessions.values()].flatMap((session) => stateOf(session) ?? [])
  switch (`${method} ${path}`) {
    case 'GET /installation':
      sendJson(response, INSTALLATION)
      break
    case 'GET /sessions': {
      const { searchParams } = new URL(asked.request.url ?? '', 'http://fixture')
      const from = Number(searchParams.get('before') ?? 0)
      const to = from + Number(searchParams.get('limit') ?? 50)
      const sessions = summariesOf(listed(parts, searchParams.get('turnId')))
      const next = to < sessions.length ? String(to) : null
      sendJson(response, { sessions: sessions.slice(from, to), next })
      break
    }
    case 'GET /sessions/stream': {
      openStream(parts.streams, response, 'list')
      const latest = summariesOf(parts.sessions.values()).slice(0, 200)
      const value = JSON.stringify({ sessions: latest })
      response.write(`event: sessions\ndata: ${value}\n\n`)
      break
    }
    case 'POST /sessions':
      sendJson(response, states().at(-1))
      break
    default: {
      const answer = answerEnvironments(parts.fixture.environments, asked)
      if (answer === undefined) answerSession(parts, asked, response)
      else sendJson(response, answer)
    }
  }
}

const INSTALLATION = {
  ...{ version: '0.1.0', model: 'live', isolation: 'oci', drivers: ['oci'] },
  standbys: { ready: 0, wanted: 0 },
  user: { id: 'owner', name: 'Owner', email: 'owner@example.com', role: 'owner' },
}

function answerNetwork(
  { streams }: Parts,
  session: FixtureSession,
  { headers }: IncomingMessage,
  response: ServerResponse,
): void {
  const state = stateOf(session)
  if (!headers.accept?.includes('text/event-stream')) {
    sendJson(response, state && networkOf(state))
    return
  }
  openStream(streams, response, `${session.id} network`)
  for (const entry of NETWORK_ENTRIES)
    response.write(`id: ${entry.n}\ndata: ${JSON.stringify(entry)}\n\n`)
}

function answerSession(parts: Parts, asked: Asked, response: ServerResponse): void {
  const { method, path, request } = asked
  const [, , id = '', ...rest] = path.split('/')
  const session = parts.sessions.get(id)
  if (!session) {
    sendError(response, 404, 'not_found', 'session_not_found', 'There is no such session.')
  } else if (id === parts.fixture.unreadable && method === 'GET') {
    const { status, code, reason, message } = unreadableError(id)
    sendError(response, status, code, reason, message)
  } else if (rest[0] === 'events') {
    openEvents(parts, session, request, response)
  } else if (rest[0] === 'network') {
    answerNetwork(parts, session, request, response)
  } else if (rest[0] === 'diff') {
    const name = new URL(request.url ?? '', 'http://fixture').searchParams.get('repository')
    sendJson(response, name === null ? parts.fixture.diff : parts.fixture.additionalDiffs[name])
  } else {
    parts.fixture.emit(session, ...factsFor(session, method, rest, asked.body))
    sendJson(response, what(rest) === 'message' ? { turnId: turnId('q') } : stateOf(session))
  }
}

function openEvents(
  { streams }: Parts,
  { id, events, place }: FixtureSession,
  { headers }: IncomingMessage,
  response: ServerResponse,
): void {
  const after = Number(headers['last-event-id'] ?? 0)
  if (after > (events.at(-1)?.seq ?? 0)) {
    sendError(response, 409, 'conflict', 'log_ends_before', 'The log ends before that.')
    return
  }
  openStream(streams, response, id)
  if (place) response.write(`event: place\ndata: ${JSON.stringify(place)}\n\n`)
  for (const event of events)
    if (event.seq > after) response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`)
}

const what = ([first, second]: string[]) =>
  first === 'messages' && !second ? 'message' : 'session'

function openStream(
  streams: Map<ServerResponse, string>,
  response: ServerResponse,
  id: string,
): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('retry: 100\n\n')
  streams.set(response, id)
  response.on('close', () => streams.delete(response))
}

/** What is allowed when `host` was asked for, or what the repository asks to reach. */
function allowed(
  state: SessionState | null,
  { host, scope }: Record<string, unknown>,
): EventBody[] {
  const asked = host === undefined ? state?.environmentFile?.network : allowOnly(String(host))
  if (!state || !asked) return []
  const network = joinNetworks(state.environment.network, asked)
  return [{ type: 'environment.allowed', network, scope: scope as 'session' }]
}

/** What the server would record for a command. */
function factsFor(
  session: FixtureSession,
  method: string,
  rest: string[],
  body: unknown,
): EventBody[] {
  const [what, name = ''] = rest
  const sent = (body ?? {}) as Record<string, unknown>
  const running = stateOf(session)?.turn
  switch (what) {
    case 'messages':
      return method === 'DELETE'
        ? [{ type: 'message.withdrawn', turnId: name }]
        : [
            {
              type: 'message.queued',
              turnId: (sent.turnId as string | undefined) ?? turnId('q'),
              kind: sent.kind as 'agent',
              text: String(sent.text),
            },
          ]
    case 'questions':
      return [{ type: 'question.answered', questionId: name, answer: body as never }]
    case 'allow':
      return allowed(stateOf(session), sent)
    case 'grant': {
      const state = stateOf(session)
      const repository = sent.repository as string | undefined
      const place = state && repositoryOf(state, repository)
      if (!place) return []
      const { branches, rewrite } = grantedOf(state, place)
      const granted = [...branches, String(sent.grant)]
      return [{ type: 'push.granted', repository, branches: granted, rewrite }]
    }
    case 'interrupt':
      return running
        ? [
            { type: 'turn.interrupt-requested', turnId: running.id },
            { type: 'turn.interrupted', turnId: running.id },
          ]
        : []
    case 'retry':
      return [{ type: 'sandbox.preparing', generation: 2, resume: false }]
    case 'push':
      return [{ type: 'push.retry-requested' }]
    case 'archive':
      return [{ type: 'session.archived' }]
    case undefined:
      return [
        ...(sent.mode ? [{ type: 'mode.changed' as const, mode: sent.mode as 'plan' }] : []),
        ...(sent.title ? [{ type: 'session.renamed' as const, title: String(sent.title) }] : []),
      ]
    default:
      return []
  }
}

const formatEvent = (event: SessionEvent) => `id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`

function summariesOf(sessions: Iterable<FixtureSession>): SessionSummary[] {
  return [...sessions].flatMap((session) => {
    const state = stateOf(session)
    return state ? [{ ...summarizeSession(state), place: session.place ?? null }] : []
  })
}

function stateOf(session: FixtureSession): SessionState | null {
  return session.events.reduce(applyEvent, emptyView).session
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  ...[reason, message]: string[]
) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: { code, reason, message } }))
}
