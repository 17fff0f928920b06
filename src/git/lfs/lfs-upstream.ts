// Large files of a repository with an outside: asked of the LFS server of that very repository with its credential, or with what
// its host gave out over ssh. Both are added here, and what the server answers with (addresses, headers) stays here as well:
// inside only the door's addresses are seen. The credential goes to the origin of the repository alone: other hosts get what
// the server signed for them, and no redirect is followed. Does not protect against a server that hands out the addresses of a host that it does not own.
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../../protocol/errors.ts'
import { withLfsReason } from '../../protocol/git-door.ts'
import { basicAuthorization, redact, type UpstreamCredential } from '../upstream/credential.ts'
import { requireRepositoryUrl } from '../upstream/upstream-access.ts'
import {
  type BatchAnswer,
  type BatchRequest,
  batchAnswerSchema,
  LFS_TYPE,
  type LfsAction,
  type LfsObject,
} from './lfs-messages.ts'
import { type OutwardNetwork, requestOutward } from './outward-request.ts'

export interface LfsTarget {
  url: string
  credential?: UpstreamCredential | undefined
  signal: AbortSignal
}

const ANSWER_BYTES = 4 << 20
const SAID_CHARS = 300
/** Shorter words of a header are no secrets. */
const SECRET_CHARS = 8

/** Where a server takes batches, and what a request there has to carry. */
export interface LfsEndpoint {
  href: string
  header: Record<string, string>
}

/** Asks the host of an ssh address, over ssh. */
export type AskOverSsh = (
  target: LfsTarget,
  operation: BatchRequest['operation'],
) => Promise<LfsEndpoint>

export interface LfsWays {
  network: OutwardNetwork
  askOverSsh: AskOverSsh
}

/** Beside the repository, for what is no ssh address. */
export function endpointBeside(repositoryUrl: string): string {
  return `${repositoryUrl.replace(/\.git$/, '')}.git/info/lfs`
}

export async function askBatch(
  { network, askOverSsh }: LfsWays,
  target: LfsTarget,
  { operation, ref, objects }: BatchRequest,
): Promise<BatchAnswer> {
  const { protocol, url: address } = requireRepositoryUrl(target.url)
  const endpoint =
    protocol === 'ssh'
      ? await askOverSsh(target, operation)
      : { href: endpointBeside(address), header: {} }
  const url = new URL(`${endpoint.href.replace(/\/$/, '')}/objects/batch`)
  const asked = {
    operation,
    transfers: ['basic'],
    ref: ref ?? undefined,
    objects,
    hash_algo: 'sha256',
  }
  const answer = await post(network, target, {
    action: { href: url.href, header: endpoint.header },
    body: asked,
  })
  const result = batchAnswerSchema.safeParse(parseJson(await readAll(answer)))
  if (result.success) return withHeaders(result.data, endpoint)
  throw new AppError(
    'unavailable',
    'lfs_answer_unreadable',
    `${url.host} answered with no LFS batch.`,
  )
}

/** What opens the batch opens the files too, where they lie at the same origin and nothing else is said for them. */
function withHeaders(answer: BatchAnswer, { href, header }: LfsEndpoint): BatchAnswer {
  if (Object.keys(header).length === 0) return answer
  const { origin } = new URL(href)
  const extend = (action: LfsAction): LfsAction => {
    const isOpen = Object.keys(action.header).some((name) => /^authorization$/i.test(name))
    if (isOpen || new URL(action.href).origin !== origin) return action
    return { ...action, header: { ...header, ...action.header } }
  }
  const objects = answer.objects.map(({ actions = {}, ...object }) => {
    const extended = Object.entries(actions).map(([kind, action]) => [kind, extend(action)])
    return { ...object, actions: Object.fromEntries(extended) as typeof actions }
  })
  return { ...answer, objects }
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
  return requireSuccess(target, action, answer)
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
  await readAll(await requireSuccess(target, action, answer))
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
  return requireSuccess(target, action, answer)
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
  const repository = requireRepositoryUrl(url)
  // The credential of an ssh address is a private key: it is for ssh alone.
  const isOwnOrigin =
    repository.protocol !== 'ssh' && new URL(action.href).origin === new URL(repository.url).origin
  if (!credential || !isOwnOrigin || theirs.authorization !== undefined) return theirs
  return { ...theirs, authorization: basicAuthorization(credential) }
}

async function requireSuccess(
  { credential }: LfsTarget,
  { href, header }: LfsAction,
  answer: IncomingMessage,
): Promise<IncomingMessage> {
  const { host } = new URL(href)
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  if (status >= 300 && status < 400) {
    answer.destroy()
    const message = `${host} sent the request elsewhere, and nothing is followed there with a credential.`
    throw new AppError('unavailable', 'lfs_redirect_refused', message)
  }
  const { message } = (parseJson(await readAll(answer)) ?? {}) as { message?: unknown }
  const plain = (text: string) => withoutHeaders(redact(text, credential), header)
  const said = typeof message === 'string' ? `: ${plain(message).slice(0, SAID_CHARS)}` : ''
  const text = `${host} answered ${status}${said}`
  if (status === 401 || status === 403 || status === 404)
    throw refusal(text, credential !== undefined)
  throw new AppError('unavailable', 'lfs_failed', text)
}

function refusal(said: string, hasCredential: boolean): AppError {
  const reason = hasCredential ? 'lfs_refused' : 'lfs_credential_missing'
  const why = hasCredential
    ? 'the credential for the repository was not enough'
    : 'there is no credential for the repository'
  return new AppError('forbidden', reason, withLfsReason(`${said}; ${why}`, reason))
}

/** What a server handed out to be sent to it, it may say back. */
function withoutHeaders(text: string, header: Record<string, string>): string {
  const values = Object.values(header).flatMap((value) => [value, ...value.split(' ')])
  return values
    .filter((value) => value.length >= SECRET_CHARS)
    .reduce((rest, value) => rest.replaceAll(value, '[redacted]'), text)
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
