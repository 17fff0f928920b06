// The repositories of a session at their true https and http addresses: git's requests there go to the session's git door, with its
// scope, credential and refusals; those for submodules are read with the owner's credential for their host. Everything else at
// those hosts goes by the session's network rules, without a git credential.
import { callRoute, type DoorRoute, GIT_BODY_BYTES } from '../door/call-route.ts'
import { hostText, parseHost } from '../egress/rules/hosts.ts'
import type { OwnPathsAt } from '../egress/rules/own-paths.ts'
import { plainPath } from '../egress/rules/request-rules.ts'
import { doorPath } from '../protocol/git-door.ts'
import type { SubmoduleAt, SubmoduleState, Submodules } from './submodules.ts'

export interface OwnRepositoriesDeps {
  stateOf(sessionId: string): SubmoduleState | undefined
  submodules: Pick<Submodules, 'at'>
  /** The session's git door. */
  git: DoorRoute
  /** Answers for a submodule; `path` is the request below it. */
  readSubmodule(submodule: SubmoduleAt): DoorRoute
}

/** Of the protocols that are answered here. */
const PORTS: Record<string, number> = { 'https:': 443, 'http:': 80 }
/** The repository, with or without `.git`, and what git or git-lfs ask of it. */
const REQUEST = /^(\/.*?)(?:\.git)?\/(info\/refs|git-(?:upload|receive)-pack|info\/lfs\/[\w./-]+)$/

/** Who answers a request, and at which path. */
type Find = (path: string) => { route: DoorRoute; path: string } | undefined

export function createOwnRepositories(deps: OwnRepositoriesDeps): OwnPathsAt {
  return async (sessionId, at) => {
    const state = deps.stateOf(sessionId)
    if (!state) return undefined
    const own = repositoriesAt(state, at)
    const submodules = await deps.submodules.at(state, { ...at, isOwn: own.size > 0 })
    if (own.size + submodules.size === 0) return undefined
    const find: Find = (path) => {
      const [, repository = '', asked = ''] = REQUEST.exec(plainPath(path) ?? '') ?? []
      const query = path.includes('?') ? path.slice(path.indexOf('?')) : ''
      if (own.has(repository))
        return { route: deps.git, path: `${doorPath(own.get(repository))}/${asked}${query}` }
      const submodule = submodules.get(repository)
      return submodule && { route: deps.readSubmodule(submodule), path: `/${asked}${query}` }
    }
    return {
      takes: (path) => find(path) !== undefined,
      serve: async (call) => {
        const found = find(call.path)
        if (found) await callRoute(found.route, GIT_BODY_BYTES, { ...call, path: found.path })
      },
    }
  }
}

/** Paths of repositories at a host, and their names at the door; the main one has none. */
function repositoriesAt(
  { repository, additional }: SubmoduleState,
  at: { host: string; port: number },
): Map<string, string | undefined> {
  const all = [
    ...additional.map(({ name, url }) => ({ name, url })),
    { name: undefined, url: repository.url },
  ]
  const found = new Map<string, string | undefined>()
  for (const { name, url } of all) {
    if (!URL.canParse(url)) continue
    const { protocol, hostname, port, pathname } = new URL(url)
    const usual = PORTS[protocol]
    const isThere = hostText(parseHost(hostname)) === at.host && Number(port || usual) === at.port
    const path = plainPath(pathname)
    if (usual === undefined || !isThere || path === null) continue
    found.set(path.replace(/\.git$/, ''), name)
  }
  return found
}
