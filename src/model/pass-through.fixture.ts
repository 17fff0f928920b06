// The model door with a provider of the test behind it: what it was asked, what was counted, what was reported.
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createModelDoor,
  type ModelDoorOptions,
  type ModelProblem,
  type ModelUsage,
} from './pass-through.ts'
import { createMessagesUpstream } from './upstream.ts'

export const KEY = 'sk-ant-test-0123456789'
export const SESSION = 's_aaaaaaaaaaaaaaaaaaaa'
export const BODY = {
  model: 'claude-opus-5-5',
  max_tokens: 5,
  messages: [{ role: 'user', content: 'hi' }],
}
export const MESSAGE = {
  type: 'message',
  model: 'claude-opus-5-5',
  stop_reason: 'end_turn',
  usage: { input_tokens: 10, output_tokens: 5 },
}
export const START = `event: message_start\ndata: ${JSON.stringify({ type: 'message_start', message: MESSAGE })}\n\n`

interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}
type Upstream = (req: IncomingMessage, res: ServerResponse) => void
interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
  cut: boolean
}

const servers: Server[] = []

/** To be called after each test. */
export function closeServers(): void {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
}

async function listen(
  answer: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export async function openDoor(upstream: Upstream, over: Partial<ModelDoorOptions> = {}) {
  const seen: Seen[] = []
  const baseUrl = await listen((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      const { method = '', url = '', headers } = req
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
      upstream(req, res)
    })
  })
  const usage: ModelUsage[] = []
  const problems: ModelProblem[] = []
  const handled: Promise<void>[] = []
  const door = createModelDoor({
    upstreamFor: () => createMessagesUpstream({ baseUrl, key: KEY }),
    policy: { allowsHost: () => false },
    onUsage: (one) => usage.push(one),
    onProblem: (one) => problems.push(one),
    ...over,
  })
  const url = await listen((req, res) => {
    handled.push(door(SESSION, req, res))
  })
  return { url, seen, usage, problems, settled: () => Promise.all(handled) }
}

export function call(
  url: string,
  body: unknown = BODY,
  options: { method?: string; path?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { method = 'POST', path = '/model/v1/messages', headers = {} } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method, headers }, (res) => {
      const chunks: Buffer[] = []
      const finish = (cut: boolean) =>
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(chunks).toString(),
          cut,
        })
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('end', () => finish(false))
      res.on('error', () => finish(true))
    })
    outgoing.on('error', reject)
    outgoing.end(
      method === 'POST' ? (typeof body === 'string' ? body : JSON.stringify(body)) : undefined,
    )
  })
}

export function sendJson(
  res: ServerResponse,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  res.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}
