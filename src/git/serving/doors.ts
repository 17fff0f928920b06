// The git doors: which repository a request means, what it may do there, and with which settings git serves it.
// `/git/session/<id>/…` reads always and pushes the session's branch when the caller says so; an additional repository of it
// is `/git/session/<id>/<name>.git/…`, and takes no push when its record says so. `/git/upload/<id>/…` takes pushes, and
// `/git/submodule/<id>/…` reads a repository beside those of the session, which its caller names.
import type { Logger } from '../../lib/logger.ts'
import { AppError } from '../../protocol/errors.ts'
import { SAVED_REFS } from '../../protocol/saved-refs.ts'
import { createKeyedLock } from '../flights.ts'
import type { Git, Settings } from '../git-process.ts'
import { decodeGrants, type GitDoorRequest, PUSH_HEADER } from '../messages.ts'
import type { GitPaths } from '../paths.ts'
import {
  readRecord,
  type SessionRecord,
  sessionRecordSchema,
  uploadRecordSchema,
} from '../records.ts'
import { syncFromMirror, syncPullRefs } from '../session/session-refs.ts'
import {
  CREDENTIAL_HEADER,
  decodeCredential,
  type UpstreamCredential,
} from '../upstream/credential.ts'
import type { Mirrors } from '../upstream/mirrors.ts'
import type { Outward } from '../upstream/outward.ts'
import { bringObjects, openSubmodule, submoduleOf } from '../upstream/submodules.ts'
import type { Announcements } from './announcements.ts'
import { createDoorPush, type DoorPush } from './door-push.ts'
import type { HookAnswer, HookQuestion } from './hooks.ts'
import type { Observations } from './observations.ts'
import { wantedObjects, wantedPullRefs } from './pull-refs.ts'
import {
  branchRefs,
  type PushScope,
  refusalLines,
  type refuseForSession,
  refuseForUpload,
} from './push-scope.ts'
import type { readSmallBody } from './request-body.ts'
import {
  abortOnClose,
  advertiseRefs,
  type Exchange,
  refuseRefs,
  runService,
  type SmartHttpCall,
} from './smart-http.ts'

export interface DoorDeps {
  git: Git
  paths: GitPaths
  log: Logger
  mirrors: Mirrors
  announcements: Announcements
  readSmallBody: typeof readSmallBody
  push: {
    outward: Outward
    observations: Observations
    maxBytes: number
    refuseForSession: typeof refuseForSession
  }
}

export interface Doors {
  serve(request: GitDoorRequest, exchange: Exchange): Promise<void>
}

const READ_BODY_BYTES = 64 << 20
/** A list of what is asked for; what brings objects or long negotiations is longer. */
const SMALL_BODY_BYTES = 64 << 10
const UPLOAD_BYTES = 8 * 2 ** 30
/** Beside the objects, a push carries its list of refs. */
const PUSH_OVERHEAD_BYTES = 16 << 20
const MOST_AT_ONCE = 8

/** Flaws of old commits that do nobody harm and that real histories hold. */
const HARMLESS_FLAWS: Settings = [
  ['receive.fsck.badTimezone', 'ignore'],
  ['receive.fsck.missingSpaceBeforeDate', 'ignore'],
  ['receive.fsck.zeroPaddedFilemode', 'ignore'],
]

export function createDoors(deps: DoorDeps): Doors {
  const running = new Map<string, number>()
  const turns = createPushTurns()
  return {
    serve: async (request, exchange) => {
      // A session works on all of its repositories at the same time: each has its own share.
      const key = `${request.kind} ${request.id} ${request.repository ?? ''}`
      const count = running.get(key) ?? 0
      if (count >= MOST_AT_ONCE)
        throw new AppError(
          'rate_limited',
          'git_busy',
          'Too many git requests of this repository at once.',
        )
      running.set(key, count + 1)
      try {
        await serveKind(deps, turns, { request, exchange })
      } finally {
        const left = (running.get(key) ?? 1) - 1
        if (left === 0) running.delete(key)
        else running.set(key, left)
      }
    },
  }
}

function serveKind(
  deps: DoorDeps,
  turns: PushTurns,
  { request, exchange }: { request: GitDoorRequest; exchange: Exchange },
): Promise<void> {
  switch (request.kind) {
    case 'session':
      return serveSession(deps, turns, { request, exchange })
    case 'submodule':
      return serveSubmodule(deps, request, exchange)
    case 'upload':
      return serveUpload(deps, request, exchange)
  }
}

async function serveSession(
  deps: DoorDeps,
  turns: PushTurns,
  { request, exchange }: { request: GitDoorRequest; exchange: Exchange },
): Promise<void> {
  const directory = deps.paths.session({ sessionId: request.id, repository: request.repository })
  const record = await readRecord(directory, 'session', sessionRecordSchema)
  const { headers } = exchange.incoming
  const credential = decodeCredential(headers[CREDENTIAL_HEADER] as string | undefined)
  if (request.service === 'git-upload-pack') {
    const signal = abortOnClose(exchange.outgoing)
    const at = { directory, record, credential, turns, signal }
    if (request.advertise) {
      await bringUpToDate(deps, at)
      return advertiseRefs(deps, readCall(directory), exchange)
    }
    const body = await deps.readSmallBody(exchange.incoming, SMALL_BODY_BYTES)
    if (body) await bringPullRefs(deps, at, wantedPullRefs(body))
    return runService(deps, { ...readCall(directory), body }, exchange)
  }
  const refusal = readOnlyReason(record)
  if (refusal) return refusePush(request, exchange, refusal)
  const grants = decodeGrants(headers[PUSH_HEADER])
  if (!grants) return refusePush(request, exchange, NOT_FOR_PUSHES)
  const { sessionId, repository, branch, defaultBranch } = record
  const scope: PushScope = { ...grants, sessionId, repository, branch, defaultBranch }
  const call = sessionPushCall(deps, directory, scope)
  if (request.advertise) return advertiseRefs(deps, call, exchange)
  const from = { directory, record, scope, credential, signal: abortOnClose(exchange.outgoing) }
  const push = turns.inTurn(directory, createDoorPush({ git: deps.git, ...deps.push }, from))
  const decide = async (question: HookQuestion) => {
    const answer = await push.decide(question)
    if (answer.isNewsUpstream && record.outside)
      deps.mirrors.expire({ ...record.outside, ownerId: record.ownerId })
    return answer
  }
  return runService(deps, { ...call, decide, finish: push.finish }, exchange)
}

async function serveSubmodule(
  deps: DoorDeps,
  request: GitDoorRequest,
  exchange: Exchange,
): Promise<void> {
  const session = deps.paths.session({ sessionId: request.id })
  const { ownerId } = await readRecord(session, 'session', sessionRecordSchema)
  const submodule = submoduleOf(exchange.incoming.headers, ownerId)
  if (request.service === 'git-receive-pack') return refusePush(request, exchange, READ_SUBMODULE)
  const { advertise } = request
  const signal = abortOnClose(exchange.outgoing)
  const directory = await openSubmodule(deps, submodule, { advertise, signal })
  if (advertise) return advertiseRefs(deps, readCall(directory), exchange)
  const body = await deps.readSmallBody(exchange.incoming, SMALL_BODY_BYTES)
  try {
    if (body) await bringObjects(deps, submodule, { ids: wantedObjects(body), signal })
  } catch (error) {
    deps.log.info({ directory, err: error }, 'a commit of a submodule could not be brought')
  }
  return runService(deps, { ...readCall(directory), body }, exchange)
}

async function serveUpload(
  deps: DoorDeps,
  request: GitDoorRequest,
  exchange: Exchange,
): Promise<void> {
  const directory = deps.paths.upload(request.id)
  await readRecord(directory, 'upload', uploadRecordSchema)
  if (request.service === 'git-upload-pack')
    throw new AppError('forbidden', 'upload_write_only', 'An upload takes pushes only.')
  const call: SmartHttpCall = {
    service: 'git-receive-pack',
    directory,
    settings: [
      ...pushSettings(deps.paths.hooks, UPLOAD_BYTES),
      ['receive.hideRefs', 'refs/'],
      ['receive.hideRefs', '!refs/heads/'],
      ['receive.denyNonFastForwards', 'true'],
    ],
    maxBodyBytes: UPLOAD_BYTES + PUSH_OVERHEAD_BYTES,
    decide: decideUpload,
  }
  await serveCall(deps, request, { call, exchange })
}

function serveCall(
  deps: DoorDeps,
  { advertise }: GitDoorRequest,
  { call, exchange }: { call: SmartHttpCall; exchange: Exchange },
): Promise<void> {
  return advertise ? advertiseRefs(deps, call, exchange) : runService(deps, call, exchange)
}

interface PushRefusal {
  reason: string
  sentence: string
}

const NOT_FOR_PUSHES: PushRefusal = {
  reason: 'push_not_allowed',
  sentence: 'errand: this repository is read-only here',
}

const READ_SUBMODULE: PushRefusal = {
  reason: 'submodule_read_only',
  sentence:
    'errand: a submodule is there for reading only (submodule_read_only): attach its repository to a session to push to it',
}

/** What the owner attached for reading: git is not even asked what it would take. */
function readOnlyReason({ access, repository }: SessionRecord): PushRefusal | undefined {
  if (access === 'write') return undefined
  const sentence = `errand: ${repository} was attached to this session for reading only (repository_read_only): nothing can be pushed to it`
  return { reason: 'repository_read_only', sentence }
}

function refusePush(
  { advertise, service }: GitDoorRequest,
  { outgoing }: Exchange,
  { reason, sentence }: PushRefusal,
): void {
  if (!advertise) throw new AppError('forbidden', reason, sentence)
  refuseRefs(service, sentence, outgoing)
}

interface Reading {
  directory: string
  record: SessionRecord
  credential?: UpstreamCredential
  turns: PushTurns
  signal: AbortSignal
}

/** Pull requests that are asked for by name: the mirror does not hold them by itself. */
async function bringPullRefs(
  { git, paths, mirrors, log }: DoorDeps,
  { directory, record, credential, signal }: Reading,
  refs: string[],
): Promise<void> {
  if (!record.outside || refs.length === 0) return
  const key = { ...record.outside, ownerId: record.ownerId }
  await mirrors.bringRefs(key, { url: key.url, credential }, { refs, signal })
  try {
    await syncPullRefs(git, { directory, mirror: paths.mirror(key), refs })
  } catch (error) {
    log.warn({ directory, err: error }, 'a session shows pull requests as they were')
  }
}

async function bringUpToDate({ git, paths, mirrors, log }: DoorDeps, at: Reading): Promise<void> {
  const { directory, record, credential, turns, signal } = at
  if (!record.outside) return
  const key = { ...record.outside, ownerId: record.ownerId }
  await mirrors.refresh(key, { url: key.url, credential }, signal)
  try {
    const pushing = turns.isPushing(directory)
    await syncFromMirror(git, { directory, record, mirror: paths.mirror(key), pushing })
  } catch (error) {
    log.warn({ directory, err: error }, 'a session shows upstream as it was')
  }
}

function readCall(directory: string): SmartHttpCall {
  return {
    service: 'git-upload-pack',
    directory,
    settings: [
      ['uploadpack.allowFilter', 'true'],
      // The commit that a session started from stays available when no branch holds it any more.
      ['uploadpack.allowAnySHA1InWant', 'true'],
      ['uploadpack.keepAlive', '5'],
    ],
    maxBodyBytes: READ_BODY_BYTES,
  }
}

/** The scope, enforced by git itself before and beside the hook: everything is hidden but its branches and what is saved. */
function sessionPushCall(
  { paths, push }: DoorDeps,
  directory: string,
  scope: PushScope,
): SmartHttpCall {
  return {
    service: 'git-receive-pack',
    directory,
    settings: [
      ...pushSettings(paths.hooks, push.maxBytes),
      ['receive.hideRefs', 'refs/'],
      ...[...branchRefs(scope), ...SAVED_REFS].map(
        (ref) => ['receive.hideRefs', `!${ref}`] as const,
      ),
      // Ancestry is asked of git by the hook, which knows the one branch that may be rewritten.
      ['receive.denyNonFastForwards', scope.rewrite ? 'false' : 'true'],
      ['core.alternateRefsPrefixes', 'refs/heads/'],
    ],
    maxBodyBytes: push.maxBytes + PUSH_OVERHEAD_BYTES,
  }
}

function pushSettings(hooks: string, maxBytes: number): Settings {
  return [
    ['core.hooksPath', hooks],
    ['receive.fsckObjects', 'true'],
    ...HARMLESS_FLAWS,
    ['receive.maxInputSize', String(maxBytes)],
    ['receive.denyDeletes', 'true'],
    ['receive.advertisePushOptions', 'false'],
    ['receive.keepAlive', '5'],
    ['core.fsync', 'committed,loose-object,reference'],
  ]
}

async function decideUpload({ updates }: HookQuestion): Promise<HookAnswer> {
  const refusals = updates.map(refuseForUpload).filter((refusal) => refusal !== undefined)
  return {
    accept: refusals.length === 0,
    lines: refusals.flatMap((refusal) => refusalLines(refusal)),
  }
}

interface PushTurns {
  isPushing(directory: string): boolean
  /** Between its decision and its end, a push has the session for itself. */
  inTurn(directory: string, push: DoorPush): DoorPush
}

function createPushTurns(): PushTurns {
  const lock = createKeyedLock()
  const pushing = new Map<string, number>()
  const count = (directory: string, by: number) => {
    const next = (pushing.get(directory) ?? 0) + by
    if (next === 0) pushing.delete(directory)
    else pushing.set(directory, next)
  }
  return {
    isPushing: (directory) => pushing.has(directory),
    inTurn: (directory, push) => {
      const ended = Promise.withResolvers<void>()
      let turn: Promise<void> | undefined
      return {
        decide: (question) => {
          const answer = Promise.withResolvers<HookAnswer>()
          count(directory, 1)
          turn = lock(directory, async () => {
            push.decide(question).then(answer.resolve, answer.reject)
            await ended.promise
            await answer.promise.catch(() => undefined)
            await push.finish().finally(() => count(directory, -1))
          })
          return answer.promise
        },
        finish: async () => {
          ended.resolve()
          await turn
        },
      }
    },
  }
}
