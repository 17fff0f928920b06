// The repositories of a session at their true https addresses: git's requests there go to the session's git door, with its
// scope, credential and refusals. Everything else at those hosts goes by the session's network rules, without a git credential.
import { callRoute, type DoorRoute, GIT_BODY_BYTES } from './door/call-route.ts'
import { hostText, parseHost } from './egress/hosts.ts'
import type { OwnPathsAt } from './egress/own-paths.ts'
import { plainPath } from './egress/request-rules.ts'
import { doorPath } from './protocol/git-door.ts'
import type { SessionState } from './protocol/session.ts'

type Repositories = Pick<SessionState, 'repository' | 'additional'>

const HTTPS_PORT = 443
/** The repository, with or without `.git`, and what git or git-lfs ask of it. */
const REQUEST = /^(\/.*?)(?:\.git)?\/(info\/refs|git-(?:upload|receive)-pack|info\/lfs\/[\w./-]+)$/

export function createOwnRepositories(
  stateOf: (sessionId: string) => Repositories | undefined,
  git: DoorRoute,
): OwnPathsAt {
  return (sessionId, at) => {
    const state = stateOf(sessionId)
    const own = state ? repositoriesAt(state, at) : new Map<string, string | undefined>()
    if (own.size === 0) return undefined
    return {
      takes: (path) => toDoor(own, path) !== undefined,
      serve: (call) =>
        callRoute(git, GIT_BODY_BYTES, { ...call, path: toDoor(own, call.path) ?? call.path }),
    }
  }
}

/** Paths of repositories at a host, and their names at the door; the main one has none. */
function repositoriesAt(
  { repository, additional }: Repositories,
  at: { host: string; port: number },
): Map<string, string | undefined> {
  const all = [
    ...additional.map(({ name, url }) => ({ name, url })),
    { name: undefined, url: repository.url },
  ]
  const found = new Map<string, string | undefined>()
  for (const { name, url } of all) {
    if (!url.startsWith('https://') || !URL.canParse(url)) continue
    const { hostname, port, pathname } = new URL(url)
    const isThere = hostText(parseHost(hostname)) === at.host
    const path = plainPath(pathname)
    if (!isThere || Number(port || HTTPS_PORT) !== at.port || path === null) continue
    found.set(path.replace(/\.git$/, ''), name)
  }
  return found
}

/** The same request at the door; undefined when it is no request of git to one of them. */
function toDoor(own: ReadonlyMap<string, string | undefined>, path: string): string | undefined {
  const [, repository = '', asked = ''] = REQUEST.exec(plainPath(path) ?? '') ?? []
  if (!own.has(repository)) return undefined
  const query = path.includes('?') ? path.slice(path.indexOf('?')) : ''
  return `${doorPath(own.get(repository))}/${asked}${query}`
}
