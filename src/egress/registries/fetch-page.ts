// Fetches one small page over a checked connection, for registry discovery. Follows redirects on the same host alone.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { withDeadline } from '../../lib/deadline.ts'
import { createTrust, type Trust } from '../../lib/trust.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Dial } from '../dialling/dial.ts'
import { parseHost } from '../rules/hosts.ts'
import { type AllowedNetwork, compileRules } from '../rules/policy.ts'

export type FetchPage = (url: string, accept: string, signal: AbortSignal) => Promise<string>

const LIMIT_MS = 15_000
const MAX_BYTES = 8 << 20
const MAX_REDIRECTS = 3

/** Private addresses are refused here as anywhere else, unless the owner listed host and network. */
export function createFetchPage(dial: Dial, allowedNetworks: readonly AllowedNetwork[]): FetchPage {
  const trust = createTrust()
  const fetchOnce = async (url: URL, accept: string, signal: AbortSignal) => {
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    const policy = {
      level: 'custom' as const,
      domains: [`${url.hostname}:${port}`],
      includeTrusted: false,
    }
    const rules = compileRules(policy, { registries: [], allowedNetworks })
    const socket = await dial({ rules, host: parseHost(url.hostname), port }, signal)
    try {
      return await readAnswer(await ask(url, secure(url, socket, trust), accept, signal))
    } finally {
      socket.destroy()
    }
  }
  return (text, accept, signal) =>
    withDeadline(
      'reading an index page',
      LIMIT_MS,
      async (limit) => {
        let url = new URL(text)
        for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
          const answer = await fetchOnce(url, accept, limit)
          if (answer.location === null) return answer.body
          const next = new URL(answer.location, url)
          if (next.host !== url.host) throw failed('redirected to another host')
          url = next
        }
        throw failed('redirected too often')
      },
      signal,
    )
}

function secure(url: URL, socket: Socket, trust: Trust): Socket {
  if (url.protocol !== 'https:') return socket
  return connectTls({ socket, servername: url.hostname, secureContext: trust() })
}

function ask(
  url: URL,
  socket: Socket,
  accept: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      path: url.pathname + url.search,
      headers: { host: url.host, accept, 'accept-encoding': 'identity', connection: 'close' },
      signal,
    })
    request.on('response', resolve)
    request.on('error', reject)
    request.end()
  })
}

async function readAnswer(
  response: IncomingMessage,
): Promise<{ body: string; location: string | null }> {
  const status = response.statusCode ?? 0
  if (status >= 300 && status < 400 && response.headers.location) {
    return { body: '', location: response.headers.location }
  }
  if (status !== 200) throw failed(`answered ${status}`)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) throw failed('the page is too large')
    chunks.push(chunk)
  }
  return { body: Buffer.concat(chunks).toString('utf8'), location: null }
}

function failed(message: string): AppError {
  return new AppError('unavailable', 'page_not_read', message)
}
