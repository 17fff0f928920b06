// Which submodules a session may read with a credential of its owner: those that the commit names that it started from, and those
// that they name in turn, at the commit that is pinned and on the same host (submodule-naming.ts). At the host of a session's own
// repository always; at another host where the network rules allow it and the owner keeps a credential for that very host.
// Everything else is left to the network rules, without a credential.
import { hostText, parseHost } from '../egress/rules/hosts.ts'
import type { GitClient } from '../git/client.ts'
import type { UpstreamCredential } from '../git/upstream/credential.ts'
import {
  credentialKind,
  parseRepositoryUrl,
  type RepositoryUrl,
} from '../git/upstream/repository-url.ts'
import { resolveSubmoduleUrl } from '../git/upstream/submodule-url.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Credential, CredentialStore } from '../store/credentials.ts'
import { openCredential } from '../upstream-credential.ts'
import { mayName } from './submodule-naming.ts'

export type SubmoduleState = Pick<SessionState, 'id' | 'ownerId' | 'repository' | 'additional'>

export interface SubmodulesDeps {
  git: Pick<GitClient, 'submodules'>
  credentials: Pick<CredentialStore, 'find' | 'openSecret'>
  /** By level and lists of the session. */
  allows(sessionId: string, host: string, port: number): boolean
  onProblem(sessionId: string, error: unknown): void
}

export interface SubmoduleAt {
  url: string
  credential(): Promise<UpstreamCredential | undefined>
}

export interface Submodules {
  /** Those on https and http, by their path at the host, without `.git`. */
  at(
    state: SubmoduleState,
    at: { host: string; port: number; isOwn: boolean },
  ): Promise<ReadonlyMap<string, SubmoduleAt>>
  /** One by its address, with or without `.git`. */
  named(state: SubmoduleState, url: string): Promise<SubmoduleAt | undefined>
  forget(sessionId: string): void
}

const LIST_LIMIT_MS = 10_000
const MOST_ENTRIES = 400
const MOST_DEPTH = 8
const FAILED = Symbol('the credential cannot be looked up')

interface Entry {
  repository: RepositoryUrl
  /** That is pinned; null when the tree names none. */
  commit: string | null
  /** How many submodules lie between it and the session's repository. */
  depth: number
  /** What it names in turn may be read now: not before, and not again once that was done. */
  isDue: boolean
}

interface Known {
  /** The commits that it was read from. */
  commits: string
  entries: Promise<Entry[]>
}

type Place = Pick<RepositoryUrl, 'protocol' | 'port'> & { host: string; isOwn: boolean }

export function createSubmodules(deps: SubmodulesDeps): Submodules {
  const known = new Map<string, Known>()
  const expansions = new Map<string, Promise<void>>()
  const list = (state: SubmoduleState) => {
    const commits = repositoriesOf(state)
      .map(({ commit }) => commit)
      .join(' ')
    const before = known.get(state.id)
    if (before?.commits === commits) return before.entries
    const entries = readAll(deps, state).catch((error: unknown) => {
      // Asked again by the next connection.
      if (known.get(state.id)?.entries === entries) known.delete(state.id)
      deps.onProblem(state.id, error)
      return []
    })
    known.set(state.id, { commits, entries })
    return entries
  }
  const allAt = async (state: SubmoduleState, place: Place): Promise<SubmoduleAt[]> => {
    const { host, port, isOwn } = place
    const entries = await list(state)
    if (!entries.some((one) => isAt(one, place))) return []
    if (!isOwn && !deps.allows(state.id, host, port)) return []
    const credential = await findCredential(deps, state, place)
    if (credential === FAILED || (!isOwn && !credential)) return []
    // One after the other: who comes second finds what the first has found.
    const expanding = (expansions.get(state.id) ?? Promise.resolve()).then(() =>
      expand(deps, state, { entries, place, credentialId: credential?.id ?? null }),
    )
    expansions.set(state.id, expanding)
    await expanding
    return entries
      .filter((one) => isAt(one, place))
      .map((entry) => toSubmodule(deps, entry, credential))
  }
  return {
    at: async (state, at) => {
      const all = await Promise.all(
        (['https', 'http'] as const).map((protocol) => allAt(state, { ...at, protocol })),
      )
      return new Map(all.flat().map((one) => [pathOf(one.url), one]))
    },
    named: async (state, text) => {
      const parsed = parseRepositoryUrl(text)
      if (!parsed.ok) return undefined
      const { protocol, port, url } = parsed.repository
      const place = { protocol, port, host: hostText(parseHost(parsed.repository.host)) }
      const isOwn = ownUrls(state).some((repository) => isAt({ repository }, place))
      const all = await allAt(state, { ...place, isOwn })
      return all.find((one) => withoutGit(one.url) === withoutGit(url))
    },
    forget: (sessionId) => {
      known.delete(sessionId)
      expansions.delete(sessionId)
    },
  }
}

function isAt({ repository }: Pick<Entry, 'repository'>, place: Omit<Place, 'isOwn'>): boolean {
  const { protocol, host, port } = repository
  return (
    protocol === place.protocol && port === place.port && hostText(parseHost(host)) === place.host
  )
}

async function findCredential(
  { credentials, onProblem }: SubmodulesDeps,
  state: SubmoduleState,
  { host, protocol }: Place,
) {
  try {
    return await credentials.find(state.ownerId, { host, kind: credentialKind(protocol) })
  } catch (error) {
    onProblem(state.id, error)
    return FAILED
  }
}

/** Reads on, level by level, what those at this place name in turn: as far as gitd has them. */
async function expand(
  { git, onProblem }: SubmodulesDeps,
  state: SubmoduleState,
  { entries, place, credentialId }: { entries: Entry[]; place: Place; credentialId: string | null },
): Promise<void> {
  const next = () => entries.find((one) => one.isDue && one.commit !== null && isAt(one, place))
  const failed: Entry[] = []
  for (let entry = next(); entry; entry = next()) {
    entry.isDue = false
    const { repository, commit, depth } = entry
    if (depth >= MOST_DEPTH) continue
    try {
      const of = { url: repository.url, credentialId, commit: commit ?? '' }
      const signal = AbortSignal.timeout(LIST_LIMIT_MS)
      const { submodules } = await git.submodules({ sessionId: state.id, of }, { signal })
      const own = ownUrls(state)
      const named = resolveAll(repository.url, submodules, depth + 1)
      addNew(
        entries,
        named.filter((one) => mayName(repository, one.repository, own)),
      )
    } catch (error) {
      failed.push(entry)
      onProblem(state.id, error)
    }
  }
  // Asked again by the next connection: what names them is there, and is not read once more.
  for (const entry of failed) entry.isDue = true
}

/** One address may be pinned to several commits. */
function addNew(entries: Entry[], more: Entry[]): void {
  for (const one of more) {
    const isThere = entries.some(
      ({ repository, commit }) => repository.url === one.repository.url && commit === one.commit,
    )
    if (!isThere && entries.length < MOST_ENTRIES) entries.push(one)
  }
}

function toSubmodule(
  { credentials }: SubmodulesDeps,
  entry: Entry,
  credential: Credential | undefined,
): SubmoduleAt {
  return {
    url: entry.repository.url,
    credential: async () => {
      // What it names is known once it was read.
      entry.isDue = true
      return credential && (await openCredential(credentials, credential))
    },
  }
}

function pathOf(url: string): string {
  return withoutGit(decodeURIComponent(new URL(url).pathname))
}

function withoutGit(text: string): string {
  return text.replace(/\.git$/, '')
}

/** Those whose commit is known, and was not made by another session: what it names an agent may have written. */
function repositoriesOf({ repository, additional }: SubmoduleState) {
  const main = { ...repository, name: undefined }
  return [main, ...additional].filter(
    ({ commit, source }) => commit !== null && source.kind !== 'session',
  )
}

function ownUrls(state: SubmoduleState): RepositoryUrl[] {
  return repositoriesOf(state).flatMap(({ url }) => {
    const parsed = parseRepositoryUrl(url)
    return parsed.ok ? [parsed.repository] : []
  })
}

async function readAll({ git }: SubmodulesDeps, state: SubmoduleState): Promise<Entry[]> {
  const all = await Promise.all(
    repositoriesOf(state).map(async ({ name, url }) => {
      const signal = AbortSignal.timeout(LIST_LIMIT_MS)
      const asked = { sessionId: state.id, repository: name }
      const { submodules } = await git.submodules(asked, { signal })
      return resolveAll(url, submodules, 0)
    }),
  )
  const entries: Entry[] = []
  addNew(entries, all.flat())
  return entries
}

function resolveAll(
  base: string,
  submodules: readonly { url: string; commit: string | null }[],
  depth: number,
): Entry[] {
  return submodules.flatMap(({ url, commit }) => {
    const repository = resolveSubmoduleUrl(base, url)
    return repository ? [{ repository, commit, depth, isDue: true }] : []
  })
}
