// Makes the bare repository of a session: whole under its final name, or not there at all.
// A session repository borrows: from the mirror of its upstream, or from `base.git` inside itself, which holds hard links to
// what was uploaded or to another session's objects. Git then advertises what is borrowed, so that a first push is small.
import { existsSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isBranchName } from '../../protocol/branch-name.ts'
import { AppError } from '../../protocol/errors.ts'
import { createKeyedLock } from '../flights.ts'
import type { Git } from '../git-process.ts'
import { linkLfsObjects } from '../lfs/lfs-store.ts'
import type { PreparedSession, PrepareRequest } from '../messages.ts'
import type { GitPaths } from '../paths.ts'
import { readEnvironmentFile } from '../reading/environment-file.ts'
import {
  findRecord,
  readRecord,
  type SessionRecord,
  sessionRecordSchema,
  uploadRecordSchema,
  writeRecord,
} from '../records.ts'
import { chooseBranch, isCommit, listRefs } from '../refs.ts'
import type { MirrorRun, Mirrors } from '../upstream/mirrors.ts'
import { isCommitId } from '../upstream/repository-url.ts'
import { requireRepositoryUrl } from '../upstream/upstream-access.ts'
import { peelTags, writeBareRepository } from './bare-repository.ts'
import type { BranchClaims } from './branch-claims.ts'
import { linkObjects } from './link-objects.ts'

interface Deps {
  git: Git
  paths: GitPaths
  mirrors: Mirrors
  claims: BranchClaims
  randomName: () => string
}

/** What a session is made from, found and on this disk. */
interface Base {
  directory: string
  /** Absolute paths of the object folders that it borrows from itself. */
  borrows: readonly string[]
  /** Branches and tags. */
  refs: ReadonlyMap<string, string>
  name: string
  head: { commit: string | null; branch: string | null }
  outside: SessionRecord['outside']
  /** What to start from when nothing else was asked for. */
  start?: { commit: string; baseBranch: string | null }
  fetchCommit?: (commit: string) => Promise<void>
}

export interface SessionRepositories {
  prepare(request: PrepareRequest, run: MirrorRun): Promise<PreparedSession>
  /** Ends a preparation that is under way; afterwards there is no repository, and none comes from what was asked before. */
  remove(sessionId: string): Promise<void>
}

export function createSessionRepositories(
  deps: Deps,
  removeDirectory: (directory: string) => Promise<void>,
): SessionRepositories {
  const lock = createKeyedLock()
  /** By folder. */
  const preparing = new Map<string, Set<AbortController>>()
  const prepare = async (request: PrepareRequest, run: MirrorRun) => {
    const directory = deps.paths.session(request)
    const present = await findRecord(directory, sessionRecordSchema)
    if (present) {
      requireSame(present, request)
      return toAnswer(present, await readEnvironmentFile(deps.git, directory, present.commit))
    }
    const temporary = join(deps.paths.temporary, deps.randomName())
    try {
      const base = await findBase(deps, request, { run, temporary })
      const { record, environmentFile } = await build(deps, request, { base, temporary })
      run.signal.throwIfAborted()
      await rename(temporary, directory)
      return toAnswer(record, environmentFile)
    } catch (error) {
      deps.claims.release(directory)
      throw error
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  return {
    prepare: async (request, run) => {
      const directory = deps.paths.session(request)
      requireNames(request)
      const removing = new AbortController()
      const own = preparing.get(directory) ?? new Set()
      preparing.set(directory, own.add(removing))
      const signal = AbortSignal.any([run.signal, removing.signal])
      try {
        return await lock(directory, async () => {
          signal.throwIfAborted()
          return prepare(request, { ...run, signal })
        })
      } finally {
        own.delete(removing)
        if (own.size === 0) preparing.delete(directory)
      }
    },
    remove: async (sessionId) => {
      const { sessions, session, sessionOf } = deps.paths
      const why = new AppError('conflict', 'session_removed', 'The session is being removed.')
      const isOwn = (directory: string) => sessionOf(basename(directory)) === sessionId
      const coming = [session({ sessionId }), ...preparing.keys()].filter(isOwn)
      for (const directory of coming)
        for (const removing of preparing.get(directory) ?? []) removing.abort(why)
      const present = (await readdir(sessions)).map((name) => join(sessions, name)).filter(isOwn)
      const all = new Set([...coming, ...present])
      await Promise.all(
        [...all].map((directory) =>
          lock(directory, async () => {
            await removeDirectory(directory)
            deps.claims.release(directory)
          }),
        ),
      )
    },
  }
}

function requireNames({ branch, baseBranch, commit }: PrepareRequest): void {
  for (const name of [branch, baseBranch])
    if (name != null && !isBranchName(name))
      throw new AppError('invalid', 'branch_name_invalid', 'This is not a valid branch name.')
  if (commit != null && !isCommitId(commit))
    throw new AppError(
      'invalid',
      'commit_invalid',
      'A commit is named by its full id of 40 hexadecimal digits.',
    )
}

function requireSame(record: SessionRecord, request: PrepareRequest): void {
  const { ownerId, branch, askedBranch = branch, access } = record
  const isSame = ownerId === request.ownerId && askedBranch === request.branch
  if (!isSame || access !== (request.access ?? 'write'))
    throw new AppError('conflict', 'session_exists', 'Another session has this id.')
}

function toAnswer(
  { branch, commit, baseBranch, defaultBranch, name }: SessionRecord,
  environmentFile: PreparedSession['environmentFile'],
): PreparedSession {
  return { branch, commit, baseBranch, defaultBranch, name, environmentFile }
}

function findBase(
  deps: Deps,
  request: PrepareRequest,
  at: { run: MirrorRun; temporary: string },
): Promise<Base> {
  const { source } = request
  switch (source.kind) {
    case 'remote':
      return findRemote(deps, { ...source, ownerId: request.ownerId }, at.run)
    case 'upload':
      return findUpload(deps, { ...source, ownerId: request.ownerId }, at.temporary)
    case 'session':
      return findSession(deps, { ...source, ownerId: request.ownerId }, at.temporary)
  }
}

type SourceOf<K> = Extract<PrepareRequest['source'], { kind: K }> & { ownerId: string }

async function findRemote(
  { git, mirrors }: Deps,
  source: SourceOf<'remote'>,
  run: MirrorRun,
): Promise<Base> {
  const repository = requireRepositoryUrl(source.url)
  const inUrl = repository.credential && { id: 'url', ...repository.credential }
  const credential = source.credential ?? inUrl ?? undefined
  const target = { url: repository.url, credential }
  const key = { url: repository.url, ownerId: source.ownerId, credentialId: credential?.id ?? null }
  const { directory, head } = await mirrors.open(key, target, run)
  return {
    directory,
    borrows: [],
    refs: await listRefs(git, directory),
    name: repository.name,
    head,
    outside: { url: repository.url, credentialId: key.credentialId },
    fetchCommit: (commit) => mirrors.fetchCommit(key, target, { commit, ...run }),
  }
}

async function findUpload(
  deps: Deps,
  source: SourceOf<'upload'>,
  temporary: string,
): Promise<Base> {
  const directory = deps.paths.upload(source.uploadId)
  const record = await readRecord(directory, 'upload', uploadRecordSchema)
  requireOwner(record.ownerId === source.ownerId, 'upload')
  const copied = await copyRepository(deps, directory, temporary)
  const name = source.name ?? 'repository'
  const head = { commit: null, branch: null }
  return { ...copied, name, head, outside: null }
}

async function findSession(
  deps: Deps,
  source: SourceOf<'session'>,
  temporary: string,
): Promise<Base> {
  const directory = deps.paths.session({ sessionId: source.sessionId })
  const record = await readRecord(directory, 'session', sessionRecordSchema)
  requireOwner(record.ownerId === source.ownerId, 'session')
  const copied = await copyRepository(deps, directory, temporary)
  const tip = copied.refs.get(`refs/heads/${record.branch}`)
  const head = { commit: null, branch: tip === undefined ? record.defaultBranch : record.branch }
  const start =
    tip === undefined
      ? { commit: record.commit, baseBranch: record.baseBranch }
      : { commit: tip, baseBranch: record.branch }
  return { ...copied, name: record.name, head, outside: null, start }
}

function requireOwner(same: boolean, kind: string): void {
  if (!same)
    throw new AppError('not_found', `${kind}_not_found`, `There is no repository of this ${kind}.`)
}

/** Into a session that is being made, with the refs that both have now. */
async function copyRepository(
  { git, paths }: Deps,
  from: string,
  session: string,
): Promise<Pick<Base, 'directory' | 'refs' | 'borrows'>> {
  const directory = join(session, 'base.git')
  // Refs before objects: an object that a later ref names may not be linked yet.
  const [refs, borrowed] = await Promise.all([listRefs(git, from), readAlternates(git, from)])
  const borrows = borrowed.filter((path) => path.startsWith(`${paths.mirrors}/`))
  const head = chooseBranch(refs, { commit: null, branch: null }) ?? 'main'
  await writeBareRepository(directory, { head, refs, borrows })
  await linkObjects(from, directory)
  await linkLfsObjects(from, session)
  for (const objects of borrowed.filter((path) => path.startsWith(`${from}/`)))
    await linkObjects(join(objects, '..'), directory)
  return { directory, refs, borrows }
}

/** Absolute paths of the object folders that a repository borrows from. */
async function readAlternates(git: Git, directory: string): Promise<string[]> {
  if (!existsSync(join(directory, 'objects/info/alternates'))) return []
  const text = await git.text({ args: [`--git-dir=${directory}`, 'count-objects', '-v'] })
  return [...text.matchAll(/^alternate: (.*)$/gm)].map(([, path = '']) => path)
}

async function build(
  deps: Deps,
  request: PrepareRequest,
  { base, temporary }: { base: Base; temporary: string },
): Promise<Pick<PreparedSession, 'environmentFile'> & { record: SessionRecord }> {
  const { git, claims } = deps
  const { refs } = base
  const defaultBranch = chooseBranch(refs, base.head)
  if (defaultBranch === undefined)
    throw new AppError(
      'not_found',
      'repository_empty',
      'The repository has no branch yet: commit something first.',
    )
  const start = await resolveStart(git, request, { base, defaultBranch })
  const { sessionId, repository = null, access = 'write', ownerId, branch: asked } = request
  const branch =
    access === 'write'
      ? await claims.take(deps.paths.session(request), {
          ...{ branch: asked, orNumbered: request.orNumbered ?? false, refs },
          ...{ baseBranch: start.baseBranch, url: base.outside?.url ?? null },
        })
      : asked
  await writeBareRepository(temporary, {
    head: defaultBranch,
    refs: new Map([...refs, ['refs/errand/start', start.commit]]),
    borrows: [join(base.directory, 'objects'), ...base.borrows],
  })
  const [environmentFile] = await Promise.all([
    readEnvironmentFile(git, temporary, start.commit),
    peelTags(git, temporary, refs),
  ])
  const { name, outside } = base
  const record = {
    ...{ sessionId, repository, access, ownerId, name, branch, askedBranch: asked },
    ...{ ...start, defaultBranch, outside },
  }
  await writeRecord(temporary, record)
  return { record, environmentFile }
}

async function resolveStart(
  git: Git,
  { baseBranch, commit }: PrepareRequest,
  { base, defaultBranch }: { base: Base; defaultBranch: string },
): Promise<{ commit: string; baseBranch: string | null }> {
  const { refs } = base
  if (baseBranch != null && !refs.has(`refs/heads/${baseBranch}`))
    throw new AppError(
      'not_found',
      'branch_not_found',
      `The repository has no branch ${baseBranch}.`,
    )
  if (commit != null) {
    await requireCommit(git, base, commit)
    return { commit, baseBranch: baseBranch ?? defaultBranch }
  }
  if (baseBranch == null && base.start) return base.start
  const chosen = baseBranch ?? defaultBranch
  return { commit: refs.get(`refs/heads/${chosen}`) ?? '', baseBranch: chosen }
}

async function requireCommit(git: Git, base: Base, commit: string): Promise<void> {
  if (await isCommit(git, base.directory, { id: commit })) return
  try {
    await base.fetchCommit?.(commit)
  } catch (cause) {
    throw new AppError('not_found', 'commit_not_found', `The repository has no commit ${commit}.`, {
      cause,
    })
  }
  if (!(await isCommit(git, base.directory, { id: commit })))
    throw new AppError('not_found', 'commit_not_found', `The repository has no commit ${commit}.`)
}
