// What `errand run` starts from: repositories by URL, or folders on this disk, which are pushed to Errand first.
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { NewSession } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import { type Access, MOST_REPOSITORIES } from '../../protocol/session.ts'
import type { Cli, Printer } from '../command.ts'
import type { Connection } from '../deps.ts'
import { plainLine } from '../terminal/plain-text.ts'
import {
  commitUncommitted,
  inspectRepository,
  isRemoteUrl,
  type LocalRepository,
  pushCommit,
} from './repository.ts'

export interface SourceOptions {
  repo?: string[]
  repoReadOnly?: string[]
  branch?: string
  includeUncommitted?: boolean
}

export interface PreparedSource {
  source: NewSession['source']
  baseBranch: string | null
  /** Where the branch is fetched back to. */
  local: LocalRepository | null
  leftOut: string[]
}

export interface PreparedSources {
  main: PreparedSource
  additional: (PreparedSource & { access: Access })[]
}

const NAMED_FILES = 5

interface Preparing {
  connection: Connection
  print: Printer
  options: SourceOptions
}

/** The first repository is the main one; this folder when none is named. */
export async function prepareSources(cli: Cli, preparing: Preparing): Promise<PreparedSources> {
  const { repo = [], repoReadOnly = [], branch } = preparing.options
  const [first = cli.deps.cwd, ...others] = repo
  const asked: { named: NamedRepository; access: Access }[] = []
  for (const [text, access] of [
    ...[first, ...others].map((one) => [one, 'write'] as const),
    ...repoReadOnly.map((one) => [one, 'read'] as const),
  ])
    asked.push({ named: await splitBranch(text, cli.deps.cwd), access })
  if (asked.length > MOST_REPOSITORIES) {
    const message = `a session has at most ${MOST_REPOSITORIES} repositories; these are ${asked.length}`
    throw new AppError('invalid', 'too_many_repositories', message)
  }
  const [main, ...additional] = asked
  if (!main) throw new AppError('invalid', 'repository_missing', 'name a repository: --repo')
  if (branch !== undefined && main.named.branch !== undefined)
    throw new AppError('invalid', 'branch_twice', 'say the branch once: --branch, or behind the @')
  const named = { ...main.named, branch: branch ?? main.named.branch }
  const prepared: PreparedSources = {
    main: await prepareSource(cli, preparing, named),
    additional: [],
  }
  for (const one of additional)
    prepared.additional.push({
      ...(await prepareSource(cli, preparing, one.named)),
      access: one.access,
    })
  return prepared
}

export interface NamedRepository {
  repository: string
  branch: string | undefined
}

/** Up to where an `@` says who signs in, or at which host. */
const BEFORE_PATH = /^(?:[a-z][a-z0-9+.-]*:\/\/[^/]*\/|[^/:@\s]+@[^/:\s]+:)/i

/** Takes `<url or folder>@<branch>` apart. What a folder is called is never taken for a branch. */
export async function splitBranch(text: string, cwd: string): Promise<NamedRepository> {
  if (isRemoteUrl(text)) {
    const before = BEFORE_PATH.exec(text)?.[0].length ?? text.length
    const found = /[^/]@./.exec(text.slice(before))
    if (!found) return { repository: text, branch: undefined }
    const at = before + found.index + 1
    return { repository: text.slice(0, at), branch: text.slice(at + 1) }
  }
  for (let at = text.length; at > 0; at = text.lastIndexOf('@', at - 1)) {
    const folder = await stat(resolve(cwd, pathOf(text.slice(0, at)))).catch(() => undefined)
    if (folder?.isDirectory())
      return { repository: text.slice(0, at), branch: text.slice(at + 1) || undefined }
  }
  return { repository: text, branch: undefined }
}

const pathOf = (text: string) => text.replace(/^file:\/\//i, '')

async function prepareSource(
  { deps, git }: Cli,
  { connection, print, options }: Preparing,
  { repository, branch }: NamedRepository,
): Promise<PreparedSource> {
  const { includeUncommitted = false } = options
  if (isRemoteUrl(repository)) {
    const source = { kind: 'remote' as const, url: repository }
    return { source, baseBranch: branch ?? null, local: null, leftOut: [] }
  }
  const path = resolve(deps.cwd, pathOf(repository))
  const local = await inspectRepository(git, path, branch)
  const { uncommitted } = local
  const isTaken = includeUncommitted && uncommitted.length > 0
  const commit = isTaken ? await commitUncommitted(git, local) : local.commit
  if (!isTaken && uncommitted.length > 0) print.note(nameLeftOut(uncommitted))
  const upload = await connection.client.createUpload({ name: local.name.slice(0, 100) })
  const push = { root: local.root, commit, branch: local.branch, gitPath: upload.gitPath }
  await pushCommit(git, connection, deps.env, push)
  const source = { kind: 'upload' as const, uploadId: upload.id, origin: local.origin }
  return { source, baseBranch: local.branch, local, leftOut: isTaken ? [] : uncommitted }
}

function nameLeftOut(files: string[]): string {
  const named = files.slice(0, NAMED_FILES).map(plainLine).join(', ')
  const more = files.length > NAMED_FILES ? ` and ${files.length - NAMED_FILES} more` : ''
  return `Not committed and left out: ${named}${more} (--include-uncommitted takes them along).`
}
