// A session's git door: which of its repositories a request means, and with which scope and credential gitd is asked. What is none
// of them is refused by its name.
import type { ServerResponse } from 'node:http'
import type { DoorCall, DoorRoute } from '../door/call-route.ts'
import { parseGitRequest, proxyGit } from '../git/client.ts'
import { refuseRefs } from '../git/serving/smart-http.ts'
import { AppError } from '../protocol/errors.ts'
import { askedAtDoor, doorUrl, rewrittenSubmoduleUrl } from '../protocol/git-door.ts'
import {
  type AdditionalState,
  grantsOf,
  type Repository,
  type SessionState,
} from '../protocol/session.ts'
import type { CredentialStore } from '../store/credentials.ts'
import { findUpstreamCredential } from '../upstream-credential.ts'
import type { SubmoduleAt, Submodules } from './submodules.ts'

export interface GitDoorDeps {
  store: {
    credentials: CredentialStore
    sessions: { get(sessionId: string): Promise<SessionState | undefined> }
  }
  watch: { get(sessionId: string): { state: SessionState } | undefined }
  builds: { readsFrom(sandboxId: string): string | undefined }
  submodules: Pick<Submodules, 'named'>
}

type Asked = NonNullable<ReturnType<typeof parseGitRequest>>

export function createGitRoute(gitSocket: string, deps: GitDoorDeps): DoorRoute {
  const { store, watch, builds, submodules } = deps
  const serveOwn = async (
    { request, response }: DoorCall,
    asked: Asked,
    {
      state,
      repository,
      mayPush,
    }: { state: SessionState; repository: Repository | AdditionalState; mayPush: boolean },
  ) => {
    const { push, ...scope } = scopeOf(state, repository)
    // Each with the credential of its own host, if there is one.
    const credential = await findUpstreamCredential(store.credentials, state.ownerId, repository)
    const shared = { kind: 'session' as const, credential, push: mayPush ? push : null }
    await proxyGit(request, response, {
      socketPath: gitSocket,
      target: { ...shared, ...asked, ...scope },
    })
  }
  /** What becomes a layer reads the repository of a session, and pushes nothing. */
  const stateOf = async (sandboxId: string) => {
    const session = watch.get(sandboxId)?.state
    if (session) return { state: session, mayPush: true }
    const readFrom = builds.readsFrom(sandboxId)
    const state = readFrom === undefined ? undefined : await store.sessions.get(readFrom)
    return state && { state, mayPush: false }
  }
  return async (call) => {
    const asked = parseGitRequest(call.request.method ?? 'GET', call.path)
    const place = asked && (await stateOf(call.sessionId))
    const found = place && askedAtDoor(place.state, call.path)
    if (!found) throw notFound()
    if (found.kind === 'own')
      return serveOwn(call, asked, { ...place, repository: found.repository })
    const { state, mayPush } = place
    const isSubmodule = mayPush && found.kind === 'submodule'
    const submodule = isSubmodule ? await submodules.named(state, found.url) : undefined
    if (submodule) return createSubmoduleRoute(gitSocket, submodule)(call)
    refuseOther(asked, found.url, call.response)
  }
}

export function createSubmoduleRoute(
  gitSocket: string,
  { url, credential }: SubmoduleAt,
): DoorRoute {
  return async ({ sessionId, request, response, path }) => {
    const asked = parseGitRequest(request.method ?? 'GET', path)
    if (!asked)
      throw new AppError('not_found', 'submodule_not_found', 'A submodule answers git and no more.')
    const base = `${rewrittenSubmoduleUrl(url)}.git`
    const at = { kind: 'submodule' as const, id: sessionId, submodule: url, push: null, base }
    const target = { ...at, ...asked, credential: await credential() }
    await proxyGit(request, response, { socketPath: gitSocket, target })
  }
}

function refuseOther(asked: Asked, url: string, response: ServerResponse): void {
  if (!('service' in asked) || !asked.advertise) throw notFound()
  const sentence = `errand: ${url.replace(/[^\x21-\x7e]/g, '?')} is no repository of this session, and over ssh it reaches no other (repository_not_of_session)`
  refuseRefs(asked.service, sentence, response)
}

function notFound(): AppError {
  return new AppError(
    'not_found',
    'repository_not_found',
    'This session has no such repository: see `git remote -v` in its checkouts.',
  )
}

function scopeOf(state: SessionState, repository: Repository | AdditionalState) {
  const shared = { id: state.id, push: grantsOf(state, repository) }
  if (!('access' in repository)) return { ...shared, base: doorUrl() }
  const { name } = repository
  return { ...shared, repository: name, base: doorUrl(name) }
}
