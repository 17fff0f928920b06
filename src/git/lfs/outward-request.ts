// One HTTP request of gitd's own to an upstream (large files), by the same proxy that git has to use, so that addresses are
// decided there after they were resolved. Follows no redirect, and adds nothing to what it is given.
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Trust } from '../../lib/trust.ts'
import { AppError } from '../../protocol/errors.ts'

export interface OutwardRequest {
  url: URL
  method: string
  headers: Record<string, string>
  signal: AbortSignal
}

export interface OutwardNetwork {
  proxyUrl?: string | undefined
  trust: Trust
}

const SILENCE_LIMIT_MS = 120_000

/** Resolves with the head of the answer; `send` writes the body, or ends the request at once. */
export async function requestOutward(
  network: OutwardNetwork,
  request: OutwardRequest,
  send: (outgoing: ClientRequest) => void,
): Promise<IncomingMessage> {
  const outgoing = await open(network, request)
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(unreachable(request.url, cause))
    outgoing.setTimeout(SILENCE_LIMIT_MS, () => outgoing.destroy(new Error('nothing moves')))
    outgoing.on('response', resolve)
    outgoing.on('error', fail)
    send(outgoing)
  })
}

async function open(
  { proxyUrl, trust }: OutwardNetwork,
  { url, method, headers, signal }: OutwardRequest,
): Promise<ClientRequest> {
  const isTls = url.protocol === 'https:'
  const common = { method, headers, signal, agent: false as const }
  const tls = () => ({ secureContext: trust() })
  if (proxyUrl === undefined)
    return isTls ? httpsRequest(url, { ...common, ...tls() }) : httpRequest(url, common)
  if (!isTls) {
    const proxied = { ...common, headers: { ...headers, host: url.host }, path: url.href }
    return httpRequest(new URL(proxyUrl), proxied)
  }
  const socket = await openTunnel(new URL(proxyUrl), url, signal)
  const servername = url.hostname
  return httpsRequest(url, {
    ...common,
    createConnection: () => connectTls({ socket, servername, ...tls() }),
  })
}

function openTunnel(proxy: URL, { hostname, port }: URL, signal: AbortSignal): Promise<Socket> {
  const path = `${hostname}:${port || 443}`
  const asking = httpRequest(proxy, { method: 'CONNECT', path, signal, agent: false })
  return new Promise((resolve, reject) => {
    asking.on('connect', (answer, socket) => {
      if (answer.statusCode === 200) {
        resolve(socket)
        return
      }
      socket.destroy()
      reject(unreachable(new URL(`https://${path}`), answer.headers['x-deny-reason']))
    })
    asking.on('error', (cause) => reject(unreachable(new URL(`https://${path}`), cause)))
    asking.end()
  })
}

function unreachable(url: URL, cause: unknown): AppError {
  return new AppError('unavailable', 'lfs_host_unreachable', `${url.host} cannot be reached.`, {
    cause,
  })
}
