// Submodules of a session's repository. Which addresses its commit names is read from its objects by git, as data; what one of
// them holds is served from a mirror of its own, for reading only. Who may ask for which is decided by the caller.
import { existsSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import type { Git } from '../git-process.ts'
import { SUBMODULE_HEADER, type SubmodulesRequest } from '../messages.ts'
import type { GitPaths, MirrorKey } from '../paths.ts'
import type { SessionRecord } from '../records.ts'
import { isCommit, missingObjects } from '../refs.ts'
import { CREDENTIAL_HEADER, decodeCredential } from './credential.ts'
import type { Mirrors } from './mirrors.ts'
import { requireRepositoryUrl, type UpstreamTarget } from './upstream-access.ts'

const MOST_URLS = 200
const MOST_BYTES = 256 * 1024
/** Of one request. */
const MOST_BROUGHT = 4

/** What `.gitmodules` of a commit says, and which commit of it the tree names; null where it names none. */
export interface NamedSubmodule {
  /** As it stands there, relative ones too. */
  url: string
  commit: string | null
}

/** None when it has no such file, or none that git can read. */
async function readNamedSubmodules(
  git: Git,
  directory: string,
  commit: string,
): Promise<NamedSubmodule[]> {
  const from = ['config', '--blob', `${commit}:.gitmodules`, '--no-includes', '-z']
  const args = [`--git-dir=${directory}`, ...from, '--get-regexp', '^submodule\\..*\\.(url|path)$']
  const { exitCode, stdout } = await git.run({ args, maxBytes: MOST_BYTES })
  if (exitCode !== 0) return []
  const named = new Map<string, { url?: string; path?: string }>()
  for (const entry of stdout.toString('utf8').split('\0')) {
    const [, name = '', key, value] = /^submodule\.(.*)\.(url|path)\n(.*)$/s.exec(entry) ?? []
    if (key !== undefined) named.set(name, { ...named.get(name), [key]: value })
  }
  const all = [...named.values()].slice(0, MOST_URLS)
  const commits = await readPinned(
    git,
    { directory, commit },
    all.flatMap(({ path }) => path || []),
  )
  const found = all.flatMap(({ url, path = '' }) =>
    url === undefined ? [] : [{ url, commit: commits.get(path) ?? null }],
  )
  const isFirst = ({ url, commit: pinned }: NamedSubmodule, at: number) =>
    found.findIndex((one) => one.url === url && one.commit === pinned) === at
  return found.filter(isFirst)
}

/** Of the session's repository, or of a submodule that was read; none while the pinned commit of that is not here. */
export async function readSubmodulesOf(
  { git, paths }: { git: Git; paths: GitPaths },
  { of, ...which }: SubmodulesRequest,
  { ownerId, commit }: Pick<SessionRecord, 'ownerId' | 'commit'>,
): Promise<NamedSubmodule[]> {
  if (!of) return readNamedSubmodules(git, paths.session(which), commit)
  const directory = paths.mirror({ ...of, ownerId })
  if (!existsSync(directory) || !(await isCommit(git, directory, { id: of.commit }))) return []
  return readNamedSubmodules(git, directory, of.commit)
}

async function readPinned(
  git: Git,
  at: { directory: string; commit: string },
  paths: string[],
): Promise<Map<string, string>> {
  if (paths.length === 0) return new Map()
  const args = [`--git-dir=${at.directory}`, 'ls-tree', '-z', at.commit, '--', ...paths]
  const env = { GIT_LITERAL_PATHSPECS: '1' }
  const { exitCode, stdout } = await git.run({ args, env, maxBytes: MOST_BYTES })
  const entries = exitCode === 0 ? stdout.toString('utf8').split('\0') : []
  return new Map(
    entries.flatMap((entry): [string, string][] => {
      const [, id = '', path = ''] = /^160000 commit ([0-9a-f]{40})\t(.*)$/s.exec(entry) ?? []
      return id === '' ? [] : [[path, id]]
    }),
  )
}

export interface Submodule {
  key: MirrorKey
  target: UpstreamTarget
}

export function submoduleOf(headers: IncomingHttpHeaders, ownerId: string): Submodule {
  const { url } = requireRepositoryUrl(String(headers[SUBMODULE_HEADER] ?? ''))
  const credential = decodeCredential(headers[CREDENTIAL_HEADER] as string | undefined)
  const key = { url, ownerId, credentialId: credential?.id ?? null }
  return { key, target: { url, credential } }
}

/** The mirror to read from. The upstream is asked, with the credential, whenever somebody begins to read. */
export async function openSubmodule(
  { mirrors, paths }: { mirrors: Mirrors; paths: GitPaths },
  { key, target }: Submodule,
  { advertise, signal }: { advertise: boolean; signal: AbortSignal },
): Promise<string> {
  return advertise ? (await mirrors.open(key, target, { signal })).directory : paths.mirror(key)
}

/** Commits that no branch or tag of it holds: a submodule may be pinned to one. What cannot be had, git says to the client. */
export async function bringObjects(
  { git, mirrors, paths }: { git: Git; mirrors: Mirrors; paths: GitPaths },
  { key, target }: Submodule,
  { ids, signal }: { ids: readonly string[]; signal: AbortSignal },
): Promise<void> {
  const missing = await missingObjects(git, paths.mirror(key), ids)
  for (const commit of missing.slice(0, MOST_BROUGHT))
    await mirrors.fetchCommit(key, target, { commit, signal })
}
