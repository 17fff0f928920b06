// Everything that gitd can do, wired from its parts: this is what its control socket and its doors call.
import { readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../lib/logger.ts'
import { createTrust } from '../lib/trust.ts'
import { createGit, type Git } from './git-process.ts'
import { endLeftoverProcesses } from './leftovers.ts'
import { createLfsDoor } from './lfs/lfs-door.ts'
import { findLfsPlace } from './lfs/lfs-place.ts'
import { createAskOverSsh } from './lfs/lfs-ssh.ts'
import { isNamedSo, isSizeAsked } from './lfs/lfs-store.ts'
import type {
  CountFilesRequest,
  Diff,
  DiffRequest,
  FilesRequest,
  Forwarded,
  ForwardRequest,
  LfsDoorRequest,
  NearestCommit,
  NearestRequest,
  RepositoryFiles,
  SessionRefs,
  SessionRequest,
  Submodules,
  SubmodulesRequest,
  Upload,
} from './messages.ts'
import { createPaths, type GitPaths, makeFolders, type SessionRepository } from './paths.ts'
import { readDiff } from './reading/diff.ts'
import { readFiles } from './reading/read-files.ts'
import { countFiles, findNearest } from './reading/work-trees.ts'
import { findRecord, readRecord, sessionRecordSchema } from './records.ts'
import { createAnnouncements } from './serving/announcements.ts'
import { settlePush } from './serving/door-push.ts'
import { createDoors, type Doors } from './serving/doors.ts'
import { writeHooks } from './serving/hooks.ts'
import { createObservations, type Observations } from './serving/observations.ts'
import { refuseForSession, refuseOutward } from './serving/push-scope.ts'
import { readSmallBody } from './serving/request-body.ts'
import type { Exchange } from './serving/smart-http.ts'
import { createBranchClaims } from './session/branch-claims.ts'
import { createSessionRepositories, type SessionRepositories } from './session/prepare.ts'
import { readSessionRefs } from './session/session-refs.ts'
import { createUpload, removeRepository } from './session/uploads.ts'
import { clearLeftovers, sweep } from './sweep.ts'
import { createMirrors } from './upstream/mirrors.ts'
import { createOutward } from './upstream/outward.ts'
import { readSubmodulesOf } from './upstream/submodules.ts'
import { createUpstream } from './upstream/upstream.ts'
import type { UpstreamNetwork } from './upstream/upstream-access.ts'

export interface Repositories {
  prepare: SessionRepositories['prepare']
  diff(request: DiffRequest, signal: AbortSignal): Promise<Diff>
  /** Of a commit, as data. */
  files(request: FilesRequest, signal: AbortSignal): Promise<RepositoryFiles>
  countFiles(request: CountFilesRequest, signal: AbortSignal): Promise<{ files: number }>
  nearest(request: NearestRequest, signal: AbortSignal): Promise<NearestCommit>
  refs(request: SessionRequest): Promise<SessionRefs>
  submodules(request: SubmodulesRequest): Promise<Submodules>
  /** Tries again to push outward what is only here. */
  forward(request: ForwardRequest, signal: AbortSignal): Promise<Forwarded>
  /** All of its repositories. */
  removeSession(sessionId: string): Promise<void>
  createUpload(ownerId: string): Promise<Upload>
  removeUpload(uploadId: string): Promise<void>
  sweep(): Promise<void>
  serve: Doors['serve']
  /** Large files. */
  serveLfs(request: LfsDoorRequest, exchange: Exchange): Promise<void>
  observations: Observations
}

export interface RepositoriesConfig {
  dataDir: string
  /** Where git, setpriv, prlimit and ssh are found. */
  path: string
  network: UpstreamNetwork
  /** Most bytes of one push of a session; 1 GiB unless told. */
  maxPushBytes?: number
}

export interface Surroundings {
  log: Logger
  nowMs: () => number
  randomBytes: (count: number) => Uint8Array
}

/** What holds every git and every push, handed in for tests that leave one out. */
export interface RepositoryRules {
  /** All that starts git goes through it. */
  git: (git: Git) => Git
  refuseForSession: typeof refuseForSession
  refuseOutward: typeof refuseOutward
  readSmallBody: typeof readSmallBody
  findLfsPlace: typeof findLfsPlace
  isContentOf: typeof isNamedSo
  isSizeOf: typeof isSizeAsked
}

const RULES: RepositoryRules = {
  git: (git) => git,
  ...{ refuseForSession, refuseOutward, readSmallBody, findLfsPlace },
  ...{ isContentOf: isNamedSo, isSizeOf: isSizeAsked },
}

export async function createRepositories(
  config: RepositoriesConfig,
  around: Surroundings,
  given: Partial<RepositoryRules> = {},
): Promise<Repositories> {
  const rules = { ...RULES, ...given }
  const { log, nowMs } = around
  const maxBytes = config.maxPushBytes ?? 1 << 30
  const root = await realpath(config.dataDir)
  const paths = createPaths(root)
  await makeFolders(paths)
  await endLeftoverProcesses(paths.home)
  await clearLeftovers(paths, around)
  await writeHooks(paths.hooks)
  const git = rules.git(createGit({ home: paths.home, path: config.path }))
  const upstream = createUpstream({ git, paths, network: config.network })
  const randomName = () => Buffer.from(around.randomBytes(12)).toString('hex')
  const mirrors = createMirrors({ git, paths, upstream, nowMs, randomName, log })
  const outward = createOutward({ git, paths, upstream, refuseOutward: rules.refuseOutward })
  const observations = await createObservations(paths.observations, () =>
    new Date(nowMs()).toISOString(),
  )
  const remove = (directory: string) => removeRepository(paths, directory, randomName())
  const recordOf = (which: SessionRepository) =>
    readRecord(paths.session(which), 'session', sessionRecordSchema)
  const push = { outward, observations, maxBytes, refuseForSession: rules.refuseForSession }
  const announcements = createAnnouncements(around.nowMs)
  const reading = { readSmallBody: rules.readSmallBody }
  const doors = createDoors({ git, paths, log, mirrors, announcements, push, ...reading })
  await settleAll({ git, observations }, paths, log)
  const sessions = createSessionRepositories(
    { git, paths, mirrors, claims: createBranchClaims(paths), randomName },
    remove,
  )
  return {
    prepare: sessions.prepare,
    diff: async ({ maxBytes, ...which }, signal) =>
      readDiff(git, paths.session(which), await recordOf(which), { maxBytes, signal }),
    files: async (request, signal) => {
      const main = { sessionId: request.sessionId }
      await recordOf(main)
      return readFiles(git, paths.session(main), request, signal)
    },
    countFiles: async (request, signal) => {
      const main = { sessionId: request.sessionId }
      await recordOf(main)
      return countFiles(git, paths.session(main), request, signal)
    },
    nearest: async (request, signal) => {
      const main = { sessionId: request.sessionId }
      await recordOf(main)
      return findNearest(git, paths.session(main), request, signal)
    },
    refs: async (which) => readSessionRefs(git, paths.session(which), await recordOf(which)),
    submodules: async (request) => {
      const submodules = await readSubmodulesOf({ git, paths }, request, await recordOf(request))
      return { submodules }
    },
    forward: ({ credential, rewrite = false, ...which }, signal) =>
      outward.forward(which, { credential: credential ?? undefined, rewrite, signal }),
    removeSession: sessions.remove,
    createUpload: (ownerId) => createUpload({ git, paths, ...around }, ownerId),
    removeUpload: (uploadId) => remove(paths.upload(uploadId)),
    sweep: () => sweep({ paths, nowMs, log, remove }),
    serve: doors.serve,
    serveLfs: await createServeLfs(config, { paths, nowMs, randomName, rules }),
    observations,
  }
}

/** Records the pushes whose end an earlier gitd did not live to see. */
async function settleAll(
  deps: Parameters<typeof settlePush>[0],
  { sessions }: GitPaths,
  log: Logger,
): Promise<void> {
  for (const name of await readdir(sessions)) {
    const directory = join(sessions, name)
    try {
      const record = await findRecord(directory, sessionRecordSchema)
      if (record) await settlePush(deps, directory, record)
    } catch (error) {
      // It is tried again before the next push there; the other sessions need git meanwhile.
      log.error({ directory, err: error }, 'the last push of a session could not be recorded')
    }
  }
}

async function createServeLfs(
  { path, network }: Pick<RepositoriesConfig, 'path' | 'network'>,
  {
    paths,
    rules: { findLfsPlace: findPlace, isContentOf, isSizeOf },
    ...deps
  }: { paths: GitPaths; nowMs: () => number; randomName: () => string; rules: RepositoryRules },
): Promise<Repositories['serveLfs']> {
  const { proxyUrl, caFile } = network
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
  const askOverSsh = createAskOverSsh({ paths, network, path })
  const rules = { isContentOf, isSizeOf }
  const lfs = createLfsDoor({
    network: { proxyUrl, trust: createTrust(ca) },
    askOverSsh,
    ...rules,
    ...deps,
  })
  return async (request, exchange) => {
    const place = await findPlace(paths, request, exchange.incoming.headers)
    await lfs.serve(request.lfs, place, exchange)
  }
}
