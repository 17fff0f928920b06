// The door for large files (Git LFS): `info/lfs/objects/…` of a repository. With an outside they go to the LFS server of that
// very repository and come from there; without one they are kept here. Uploads need the same right as a push.
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { AppError, toAppError } from '../../protocol/errors.ts'
import { readJsonBody } from '../serving/request-body.ts'
import { abortOnClose, type Exchange } from '../serving/smart-http.ts'
import type { UpstreamCredential } from '../upstream/credential.ts'
import {
  type BatchAnswer,
  type BatchRequest,
  batchRequestSchema,
  LFS_TYPE,
  type LfsAction,
  type LfsObject,
  type LfsRequest,
} from './lfs-messages.ts'
import {
  type isNamedSo,
  type isSizeAsked,
  lfsSize,
  readLfsObject,
  writeLfsObject,
} from './lfs-store.ts'
import {
  askBatch,
  type LfsTarget,
  type LfsWays,
  readUpstream,
  verifyUpstream,
  writeUpstream,
} from './lfs-upstream.ts'

export interface LfsPlace {
  directory: string
  /** Null: the repository has no outside. */
  url: string | null
  credential?: UpstreamCredential | undefined
  /** May the caller push there? */
  push: boolean
  /** Address of the repository as the caller sees it. */
  base: string
}

export interface LfsDoor {
  serve(request: LfsRequest, place: LfsPlace, exchange: Exchange): Promise<void>
}

interface Deps extends LfsWays {
  nowMs: () => number
  randomName: () => string
  isContentOf: typeof isNamedSo
  isSizeOf: typeof isSizeAsked
}

interface Known {
  object: LfsObject
  action: LfsAction
  untilMs: number
}
type Actions = Map<string, Known>

const BATCH_BYTES = 1 << 20
const MOST_OBJECT_BYTES = 4 * 2 ** 30
/** What a server handed out is asked for anew after this long. */
const ACTION_LIFE_MS = 30 * 60_000
const MOST_ACTIONS = 20_000

export function createLfsDoor(deps: Deps): LfsDoor {
  const actions: Actions = new Map()
  return {
    serve: async (request, place, exchange) => {
      try {
        if (request.what === 'batch') await serveBatch(deps, actions, { place, exchange })
        else await serveObject(deps, actions, { request, place, exchange })
      } catch (error) {
        answerError(exchange.outgoing, error)
      }
    },
  }
}

async function serveBatch(
  deps: Deps,
  actions: Actions,
  { place, exchange }: { place: LfsPlace; exchange: Exchange },
): Promise<void> {
  const request = await readBatch(exchange)
  if (request.operation === 'upload') requirePush(place)
  if (!request.transfers.includes('basic'))
    throw new AppError(
      'unsupported',
      'lfs_transfer_unsupported',
      'Only basic transfers are served.',
    )
  const target = targetOf(place, exchange)
  const answer = target
    ? await askBatch(deps, target, request)
    : await answerFromHere(place, request)
  const untilMs = deps.nowMs() + ACTION_LIFE_MS
  if (actions.size > MOST_ACTIONS) actions.clear()
  const shown = answer.objects.map(({ actions: theirs = {}, ...object }) => {
    const kinds = Object.entries(theirs) as [keyof typeof theirs, LfsAction][]
    for (const [kind, action] of kinds)
      actions.set(keyOf(place, kind, object.oid), { object, action, untilMs })
    const href = `${place.base}/info/lfs/objects/${object.oid}`
    const ours = kinds.map(([kind]) => [
      kind,
      { href: kind === 'verify' ? `${href}/verify` : href },
    ])
    return { ...object, authenticated: true, actions: Object.fromEntries(ours) }
  })
  sendJson(exchange.outgoing, 200, { transfer: 'basic', objects: shown })
}

/** Stands for the actions of a server that is this program itself. */
const HERE: LfsAction = { href: 'http://here.invalid/', header: {} }

async function answerFromHere(
  { directory }: LfsPlace,
  { operation, objects }: BatchRequest,
): Promise<BatchAnswer> {
  const answers = objects.map(async (object): Promise<BatchAnswer['objects'][number]> => {
    const isHere = (await lfsSize(directory, object.oid)) === object.size
    if (operation === 'upload') return isHere ? object : { ...object, actions: { upload: HERE } }
    if (isHere) return { ...object, actions: { download: HERE } }
    return { ...object, error: { code: 404, message: 'Errand does not have this file.' } }
  })
  return { transfer: 'basic', objects: await Promise.all(answers) }
}

async function serveObject(
  { network, nowMs, randomName, isContentOf, isSizeOf }: Deps,
  actions: Actions,
  at: { request: Exclude<LfsRequest, { what: 'batch' }>; place: LfsPlace; exchange: Exchange },
): Promise<void> {
  const { request, place, exchange } = at
  const { incoming, outgoing } = exchange
  const { what, oid } = request
  if (what !== 'read') requirePush(place)
  const kind = what === 'read' ? 'download' : what === 'write' ? 'upload' : 'verify'
  const known = actions.get(keyOf(place, kind, oid))
  if (!known || known.untilMs < nowMs())
    throw new AppError('not_found', 'lfs_object_not_asked', 'Ask for this file by a batch first.')
  const { object, action } = known
  const target = targetOf(place, exchange)
  if (what === 'read') {
    const content = target
      ? await readUpstream(network, target, action)
      : readLfsObject(place.directory, oid)
    outgoing.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': object.size,
    })
    await pipeline(content, outgoing)
    return
  }
  if (what === 'write') {
    requireSize(isSizeOf(incoming.headers['content-length'], object.size), object.size)
    if (target)
      await writeUpstream(network, target, { action, content: incoming, size: object.size })
    else {
      const file = { oid, content: incoming, name: randomName() }
      await writeLfsObject(place.directory, file, isContentOf)
    }
  } else if (target) await verifyUpstream(network, target, { action, object })
  sendJson(outgoing, 200, {})
}

function keyOf({ directory, url }: LfsPlace, kind: string, oid: string): string {
  return `${directory} ${url} ${kind} ${oid}`
}

function targetOf({ url, credential }: LfsPlace, { outgoing }: Exchange): LfsTarget | undefined {
  return url === null ? undefined : { url, credential, signal: abortOnClose(outgoing) }
}

function requirePush({ push }: LfsPlace): void {
  if (push) return
  throw new AppError('forbidden', 'push_not_allowed', 'errand: this repository is read-only here')
}

function requireSize(isAsSaid: boolean, size: number): void {
  if (isAsSaid && size <= MOST_OBJECT_BYTES) return
  const message = `A file is sent with its length, as the batch said it, and has at most ${MOST_OBJECT_BYTES} bytes.`
  throw new AppError('invalid', 'lfs_size_wrong', message)
}

async function readBatch({ incoming }: Exchange): Promise<BatchRequest> {
  const read = batchRequestSchema.safeParse(await readJsonBody(incoming, BATCH_BYTES))
  if (read.success) return read.data
  throw new AppError('invalid', 'lfs_request_invalid', 'This is no LFS batch.')
}

/** git-lfs shows `message`. It would ask for a password at 401, which nobody inside has. */
function answerError(outgoing: ServerResponse, error: unknown): void {
  const failure = toAppError(error)
  if (outgoing.headersSent) {
    outgoing.destroy()
    return
  }
  const { reason } = failure
  const message = failure.code === 'internal' ? 'errand: large files failed here' : failure.message
  sendJson(outgoing, failure.status === 401 ? 403 : failure.status, { message, reason })
}

function sendJson(outgoing: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  outgoing.writeHead(status, {
    'content-type': LFS_TYPE,
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  })
  outgoing.end(text)
}
