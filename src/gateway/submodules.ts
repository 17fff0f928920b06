// Which submodules a session may read with a credential of its owner: those that the commit names that it started from, on https.
// At the host of a session's own repository always; at another host where the network rules allow it and the owner keeps a
// credential for that very host. Everything else is left to the network rules, without a credential.
import { hostText, parseHost } from '../egress/rules/hosts.ts'
import type { GitClient } from '../git/client.ts'
import type { UpstreamCredential } from '../git/upstream/credential.ts'
import type { RepositoryUrl } from '../git/upstream/repository-url.ts'
import { resolveSubmoduleUrl } from '../git/upstream/submodule-url.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Credential, CredentialStore } from '../store/credentials.ts'
import { openCredential } from '../upstream-credential.ts'

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
  /** By their path at the host, without `.git`. */
  at(
    state: SubmoduleState,
    at: { host: string; port: number; isOwn: boolean },
  ): Promise<ReadonlyMap<string, SubmoduleAt>>
  forget(sessionId: string): void
}

const LIST_LIMIT_MS = 10_000
const FAILED = Symbol('the credential cannot be looked up')
const NONE: ReadonlyMap<string, SubmoduleAt> = new Map()

interface Known {
  /** The commits that it was read from. */
  commits: string
  urls: Promise<RepositoryUrl[]>
}

export function createSubmodules(deps: SubmodulesDeps): Submodules {
  const known = new Map<string, Known>()
  const list = (state: SubmoduleState) => {
    const commits = repositoriesOf(state)
      .map(({ commit }) => commit)
      .join(' ')
    const before = known.get(state.id)
    if (before?.commits === commits) return before.urls
    const urls = readAll(deps, state).catch((error: unknown) => {
      // Asked again by the next connection.
      if (known.get(state.id)?.urls === urls) known.delete(state.id)
      deps.onProblem(state.id, error)
      return []
    })
    known.set(state.id, { commits, urls })
    return urls
  }
  return {
    at: async (state, { host, port, isOwn }) => {
      const there = (await list(state)).filter(
        (one) => hostText(parseHost(one.host)) === host && one.port === port,
      )
      if (there.length === 0 || (!isOwn && !deps.allows(state.id, host, port))) return NONE
      const credential = await find(deps, state, host)
      if (credential === FAILED || (!isOwn && !credential)) return NONE
      return new Map(there.map(({ url }) => [pathOf(url), toSubmodule(deps, url, credential)]))
    },
    forget: (sessionId) => {
      known.delete(sessionId)
    },
  }
}

async function find(
  { credentials, onProblem }: SubmodulesDeps,
  state: SubmoduleState,
  host: string,
) {
  try {
    return await credentials.find(state.ownerId, host, 'https')
  } catch (error) {
    onProblem(state.id, error)
    return FAILED
  }
}

function toSubmodule(
  { credentials }: SubmodulesDeps,
  url: string,
  credential: Credential | undefined,
): SubmoduleAt {
  return {
    url,
    credential: async () => credential && (await openCredential(credentials, credential)),
  }
}

function pathOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname).replace(/\.git$/, '')
}

/** Those whose commit is known, and was not made by another session: what it names an agent may have written. */
function repositoriesOf({ repository, additional }: SubmoduleState) {
  const main = { ...repository, name: undefined }
  return [main, ...additional].filter(
    ({ commit, source }) => commit !== null && source.kind !== 'session',
  )
}

async function readAll({ git }: SubmodulesDeps, state: SubmoduleState): Promise<RepositoryUrl[]> {
  const all = await Promise.all(
    repositoriesOf(state).map(async ({ name, url }) => {
      const signal = AbortSignal.timeout(LIST_LIMIT_MS)
      const { urls } = await git.submodules({ sessionId: state.id, repository: name }, { signal })
      return urls.flatMap((text) => resolveSubmoduleUrl(url, text) ?? [])
    }),
  )
  return all.flat()
}
