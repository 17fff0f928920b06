// The scripted model: an HTTP server on loopback that speaks the Messages API and answers by scenarios, with errors on
// demand. Used by `errand demo` where no key is set, and by tests. It records every request that it gets.
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type MessagesRequest, messagesRequestSchema, readConversation } from './conversation.ts'
import {
  countInputTokens,
  createMessage,
  encodeEvent,
  type Message,
  randomId,
  streamEvents,
  type Usage,
} from './message-stream.ts'
import { type Answer, chooseAnswer, type Fault, type Scenario } from './scenario.ts'
import { answerSideRequest } from './side-requests.ts'

export interface ScriptedModelOptions {
  scenarios: Scenario[]
  /** Milliseconds between two chunks of a stream; 0 unless told. */
  paceMs?: number
  /** When set, requests without this key (x-api-key or bearer token) get 401. */
  requireKey?: string
  /** Address to listen on; loopback unless told. */
  host?: string
  onRequest?: (request: RecordedRequest) => void
}

export interface RecordedRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  /** True for requests of Claude Code that are not the conversation itself. */
  side: boolean
  /** The name of the scenario that answered. */
  scenario?: string
  fault?: Fault
  /** The tokens that were reported for it. */
  usage?: Usage
  /** When all of it was there, as `performance.now()`. */
  receivedAt: number
  /** When the whole answer had been written, as `performance.now()`; undefined before, and when it was cut off. */
  answeredAt?: number
}

export interface ScriptedModel {
  url: string
  requests: RecordedRequest[]
  /** The next conversation request (side requests pass) meets this fault; several calls queue up. */
  failNext(fault: Fault): void
  close(): Promise<void>
}

interface Exchange {
  request: MessagesRequest
  recorded: RecordedRequest
  response: ServerResponse
  signal: AbortSignal
}

const MAX_BODY_BYTES = 64 << 20
const POLITE_ANSWER: Answer = {
  say: 'I am the scripted model: I only know the tasks of the demo, such as "make the failing test pass".',
}
const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}

export async function createScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const requests: RecordedRequest[] = []
  const faults: Fault[] = []
  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => {
      if (res.headersSent) res.destroy()
      else sendError(res, 500, { message: String(error) })
    })
  })
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    const recorded = await record(req)
    requests.push(recorded)
    res.once('finish', () => {
      recorded.answeredAt = performance.now()
    })
    options.onRequest?.(recorded)
    if (recorded.method === 'HEAD' || recorded.path === '/') {
      res.end()
    } else if (options.requireKey !== undefined && keyOf(req) !== options.requireKey) {
      sendError(res, 401, { message: 'invalid x-api-key' })
    } else if (recorded.method === 'POST' && recorded.path.startsWith('/v1/messages')) {
      await answerMessages(recorded, res)
    } else {
      sendError(res, 404, { message: `no such path: ${recorded.path}` })
    }
  }
  const answerMessages = async (recorded: RecordedRequest, response: ServerResponse) => {
    const request = messagesRequestSchema.parse(JSON.parse(recorded.body))
    if (recorded.path.startsWith('/v1/messages/count_tokens'))
      return sendJson(response, { input_tokens: countInputTokens(request) })
    const side = answerSideRequest(request)
    recorded.side = side !== undefined
    const chosen = side ? undefined : chooseAnswer(options.scenarios, readConversation(request))
    if (chosen) recorded.scenario = chosen.scenario.name
    const content = side ?? chosen?.answer ?? POLITE_ANSWER
    const fault = side ? undefined : (faults.shift() ?? content.fault)
    if (fault) recorded.fault = fault
    const exchange = { request, recorded, response, signal: abortOnClose(response) }
    await send(exchange, content, content.paceMs ?? options.paceMs ?? 0)
  }
  const { host = '127.0.0.1' } = options
  server.listen(0, host)
  await once(server, 'listening')
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    requests,
    failNext: (fault) => {
      faults.push(fault)
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function send(exchange: Exchange, answer: Answer, paceMs: number): Promise<void> {
  const { request, recorded, response } = exchange
  const { fault } = recorded
  if (fault?.kind === 'hang') return
  if (fault?.kind === 'status') return sendError(response, fault.status, fault)
  const message = createMessage(request, answer)
  recorded.usage = message.usage
  if (request.stream) await sendStream(exchange, message, paceMs)
  else if (fault?.kind === 'cut') response.destroy()
  else if (!fault) sendJson(response, message)
  else if (fault.kind === 'error-event') sendError(response, 529, {})
}

async function sendStream(exchange: Exchange, message: Message, paceMs: number): Promise<void> {
  const { response, signal, recorded } = exchange
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'request-id': randomId('req_01'),
  })
  const { fault } = recorded
  const last = fault && 'afterEvents' in fault ? fault.afterEvents : Number.POSITIVE_INFINITY
  for (const [index, event] of streamEvents(message).entries()) {
    if (signal.aborted) return
    if (index >= last) return breakOff(response, fault?.kind)
    response.write(encodeEvent(event))
    if (paceMs > 0) await delay(paceMs, undefined, { signal }).catch(() => undefined)
  }
  response.end()
}

function breakOff(response: ServerResponse, kind: Fault['kind'] | undefined): void {
  if (kind === 'error-event') {
    response.end(
      encodeEvent({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
    )
  } else if (kind === 'cut') {
    // Lets what was written leave before the connection is reset.
    response.write('', () => response.destroy())
  }
}

function sendError(
  response: ServerResponse,
  status: number,
  { message, retryAfterSeconds }: { message?: string; retryAfterSeconds?: number },
): void {
  const type = ERROR_TYPES[status] ?? 'api_error'
  const requestId = randomId('req_01')
  response.writeHead(status, {
    'content-type': 'application/json',
    'request-id': requestId,
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  })
  const error = { type, message: message ?? `scripted ${type.replaceAll('_', ' ')}` }
  response.end(JSON.stringify({ type: 'error', error, request_id: requestId }))
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json', 'request-id': randomId('req_01') })
  response.end(JSON.stringify(value))
}

async function record(req: IncomingMessage): Promise<RecordedRequest> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size > MAX_BODY_BYTES) throw new Error('request body too large')
  }
  return {
    method: req.method ?? '',
    path: req.url ?? '',
    headers: req.headers,
    body: Buffer.concat(chunks).toString('utf8'),
    receivedAt: performance.now(),
    side: false,
  }
}

function keyOf(req: IncomingMessage): string | undefined {
  const key = req.headers['x-api-key']
  if (typeof key === 'string') return key
  return /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]
}

function abortOnClose(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => controller.abort())
  return controller.signal
}
