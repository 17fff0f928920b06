// Sends one checked request to the model endpoint with the installation's own key, and says which headers cross the door in
// either direction. The key exists only in this request's headers; nothing here logs, and no redirect is followed.
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Upstream } from './upstream.ts'

interface UpstreamCall {
  upstream: Upstream
  /** Behind the base URL, with the API's own query, such as `/v1/messages?beta=true`. */
  path: string
  headers: Record<string, string>
  body: Buffer
  /** The longest silence of the upstream, before or within its answer. */
  idleMs: number
  signal: AbortSignal
}

/** What of the agent's headers reaches the upstream: never a key, a cookie, or an encoding that could not be metered. */
const REQUEST_HEADERS =
  /^(accept|content-type|user-agent|anthropic-version|anthropic-beta|x-app|x-claude-code-session-id|x-stainless-[a-z-]+)$/
/** What of the upstream's headers reaches the agent: nothing about the account beyond its rate limits. */
const RESPONSE_HEADERS =
  /^(content-type|content-length|cache-control|date|request-id|x-amzn-requestid|x-amzn-errortype|retry-after|retry-after-ms|x-should-retry|anthropic-ratelimit-[a-z0-9-]+)$/

/** Resolves with the answer once its head has arrived; rejects when there is none. */
export async function openUpstream(call: UpstreamCall): Promise<IncomingMessage> {
  const headers = await authorize(call)
  const first = send(call, headers)
  try {
    return await first.answer
  } catch (error) {
    // A kept connection that the upstream closed just now: the request never arrived (see `reusedSocket` in Node's docs).
    const stale =
      first.request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
    if (!stale || call.signal.aborted) throw error
    return send(call, headers).answer
  }
}

export function passRequestHeaders(
  headers: NodeJS.Dict<string | string[]>,
): Record<string, string> {
  return pickHeaders(headers, REQUEST_HEADERS)
}

export function passResponseHeaders(
  headers: NodeJS.Dict<string | string[]>,
): Record<string, string> {
  return pickHeaders(headers, RESPONSE_HEADERS)
}

async function authorize({ upstream, path, headers, body, signal }: UpstreamCall) {
  const url = upstream.baseUrl + path
  return { ...headers, ...(await upstream.authorize({ url, body }, signal)) }
}

function send(
  call: UpstreamCall,
  headers: Record<string, string>,
): { request: ClientRequest; answer: Promise<IncomingMessage> } {
  const url = new URL(call.upstream.baseUrl + call.path)
  const open = url.protocol === 'https:' ? requestHttps : requestHttp
  const request = open(url, {
    method: 'POST',
    signal: call.signal,
    headers: {
      ...headers,
      'accept-encoding': 'identity',
      'content-length': String(call.body.length),
    },
  })
  request.setTimeout(call.idleMs, () => {
    request.destroy(new Error(`no byte from the model API for ${call.idleMs} ms`))
  })
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve)
    // After the head, errors of the connection show up on the answer itself as well.
    request.on('error', reject)
  })
  request.end(call.body)
  return { request, answer }
}

function pickHeaders(
  headers: NodeJS.Dict<string | string[]>,
  allowed: RegExp,
): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string' && allowed.test(name)) picked[name] = value
  }
  return picked
}
