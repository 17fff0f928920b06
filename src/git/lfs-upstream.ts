// Large files of a repository with an outside: asked of the LFS server of that very repository with its credential, which is
// added here. What the server answers with (addresses, headers) stays here as well; inside only the door's addresses are seen.
// The credential goes to the origin of the repository alone: other hosts get what the server signed for them, and no redirect
// is followed. Does not protect against a server that hands out the addresses of a host that it does not own.
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../protocol/errors.ts'
import { basicAuthorization, redact, type UpstreamCredential } from './credential.ts'
import {
  type BatchAnswer,
  type BatchRequest,
  batchAnswerSchema,
  LFS_TYPE,
  type LfsAction,
  type LfsObject,
} from './lfs-messages.ts'
import { type OutwardNetwork, requestOutward } from './outward-request.ts'
import { requireRepositoryUrl } from './upstream-access.ts'

export interface LfsTarget {
  url: string
  credential?: UpstreamCredential | undefined
  signal: AbortSignal
}

const ANSWER_BYTES = 4 << 20
const SAID_CHARS = 300

/** `https://host/path.git/info/lfs`; ssh has a way of its own to ask for that address, which is not spoken here. */
function endpointOf(url: string): URL {
  const repository = requireRepositoryUrl(url)
  if (repository.protocol === 'ssh')
    throw new AppError(
      'unsupported',
      'lfs_over_ssh',
      'Large files (LFS) need a repository with an https address; this one is reached over ssh.',
    )
  return new URL(`${repository.url.replace(/\.git$/, '')}.git/info/lfs`)
}

export async function askBatch(
  network: OutwardNetwork,
  target: LfsTarget,
  { operation, ref, objects }: BatchRequest,
): Promise<BatchAnswer> {
  const endpoint = endpointOf(target.url)
  const url = new URL(`${endpoint.href}/objects/batch`)
  const asked = {
    operation,
    transfers: ['basic'],
    ref: ref ?? undefined,
    objects,
    hash_algo: 'sha256',
  }
  const answer = await post(network, target, {
    action: { href: url.href, header: {} },
    body: asked,
  })
  const result = batchAnswerSchema.safeParse(parseJson(await readAll(answer)))
  if (result.success) return result.data
  throw new AppError(
    'unavailable',
    'lfs_answer_unreadable',
    `${url.host} answered with no LFS batch.`,
  )
}

/** Resolves with the object as it comes. */
export async function readUpstream(
  network: OutwardNetwork,
  target: LfsTarget,
  action: LfsAction,
): Promise<IncomingMessage> {
  const url = new URL(action.href)
  const headers = headersFor(target, action)
  const { signal } = target
  const answer = await requestOutward(
    network,
    { url, method: 'GET', headers, signal },
    (outgoing) => outgoing.end(),
  )
  return requireSuccess(target, url, answer)
}

export async function writeUpstream(
  network: OutwardNetwork,
  target: LfsTarget,
  { action, content, size }: { action: LfsAction; content: NodeJS.ReadableStream; size: number },
): Promise<void> {
  const url = new URL(action.href)
  const headers = {
    'content-type': 'application/octet-stream',
    ...headersFor(target, action),
    'content-length': String(size),
  }
  const { signal } = target
  const answer = await requestOutward(
    network,
    { url, method: 'PUT', headers, signal },
    (outgoing) => {
      // What goes wrong is told by the request itself.
      pipeline(content, outgoing).catch(() => undefined)
    },
  )
  await readAll(await requireSuccess(target, url, answer))
}

export async function verifyUpstream(
  network: OutwardNetwork,
  target: LfsTarget,
  { action, object }: { action: LfsAction; object: LfsObject },
): Promise<void> {
  await readAll(await post(network, target, { action, body: object }))
}

async function post(
  network: OutwardNetwork,
  target: LfsTarget,
  { action, body }: { action: LfsAction; body: unknown },
): Promise<IncomingMessage> {
  const url = new URL(action.href)
  const text = JSON.stringify(body)
  const headers = {
    accept: LFS_TYPE,
    'content-type': LFS_TYPE,
    'content-length': String(Buffer.byteLength(text)),
    ...headersFor(target, action),
  }
  const { signal } = target
  const answer = await requestOutward(
    network,
    { url, method: 'POST', headers, signal },
    (outgoing) => outgoing.end(text),
  )
  return requireSuccess(target, url, answer)
}

/** How a message is framed is this program's business; everything else the server may say. */
const NOT_THEIRS = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
])

function headersFor({ url, credential }: LfsTarget, action: LfsAction): Record<string, string> {
  const theirs = Object.fromEntries(
    Object.entries(action.header)
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => !NOT_THEIRS.has(name)),
  )
  const isOwnOrigin = new URL(action.href).origin === endpointOf(url).origin
  if (!credential || !isOwnOrigin || theirs.authorization !== undefined) return theirs
  return { ...theirs, authorization: basicAuthorization(credential) }
}

async function requireSuccess(
  { credential }: LfsTarget,
  { host }: URL,
  answer: IncomingMessage,
): Promise<IncomingMessage> {
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  if (status >= 300 && status < 400) {
    answer.destroy()
    const message = `${host} sent the request elsewhere, and nothing is followed there with a credential.`
    throw new AppError('unavailable', 'lfs_redirect_refused', message)
  }
  const { message } = (parseJson(await readAll(answer)) ?? {}) as { message?: unknown }
  const said =
    typeof message === 'string' ? `: ${redact(message, credential).slice(0, SAID_CHARS)}` : ''
  const text = `${host} answered ${status}${said}`
  if (status === 401 || status === 403 || status === 404)
    throw new AppError('forbidden', credential ? 'lfs_refused' : 'lfs_credential_missing', text)
  throw new AppError('unavailable', 'lfs_failed', text)
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > ANSWER_BYTES) {
      answer.destroy()
      break
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
