// The paths of a session's repositories at its git door: the runner asks for them, the gateway knows what they mean. Pure.
import { DOOR_HOST } from './network.ts'
import {
  type AdditionalState,
  type Repository,
  repositoryOf,
  type SessionState,
} from './session.ts'

/** Of the main repository, whatever its name: no additional one may be called so. */
export const MAIN_AT_DOOR = 'repository'

/** What git and git-lfs ask of a repository. */
const ASKED = /^\/git\/(.+)\/(?:info\/refs|git-(?:upload|receive)-pack|info\/lfs\/.+)$/
const SUBMODULE = /^submodule\/((?:[0-9a-f]{2})+)\/(.*)$/
/** Other ways to write the address of the same repository. */
const SAME = /^(?:\.git)?\/?$/

/** Where git really fetches from; `name` is that of an additional repository. */
export function doorUrl(name = MAIN_AT_DOOR): string {
  return `http://${DOOR_HOST}${doorPath(name)}`
}

/** The path of it. */
export function doorPath(name = MAIN_AT_DOOR): string {
  return `/git/${name}.git`
}

/**
 * What the beginning of an ssh address, up to `.git`, is replaced with inside. The name has a part of the path for itself, so that
 * whatever follows (`.git`, `-old.git`, `/sub`) cannot make another name of it.
 */
export function rewrittenUrl(name = MAIN_AT_DOOR): string {
  return `http://${DOOR_HOST}/git/${name}/${name}`
}

/** The same for the submodule of that address, which is read where the session may. */
export function rewrittenSubmoduleUrl(url: string): string {
  const bytes = [...new TextEncoder().encode(url)]
  const named = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return `http://${DOOR_HOST}/git/submodule/${named}/${shownName(url)}`
}

/** What a person recognises it by. */
function shownName(url: string): string {
  const last = /([^/:]*?)(?:\.git)?\/*$/.exec(url)?.[1] ?? ''
  return last.replace(/[^A-Za-z0-9_-]/g, '-') || 'module'
}

export type AskedAtDoor =
  | { kind: 'own'; repository: Repository | AdditionalState }
  | { kind: 'submodule'; url: string }
  /** Git inside writes ssh addresses anew by their beginning: this one began with that of a repository, and is another one's. */
  | { kind: 'other'; url: string }

type Asking = Pick<SessionState, 'repository' | 'additional'>

/** Undefined: nothing of the session's. */
export function askedAtDoor(state: Asking, path: string): AskedAtDoor | undefined {
  const at = ASKED.exec(path.split('?', 1)[0] ?? '')?.[1] ?? ''
  return submoduleAt(at) ?? ownAt(state, at)
}

function submoduleAt(at: string): AskedAtDoor | undefined {
  const [, named, shown = ''] = SUBMODULE.exec(at) ?? []
  if (named === undefined) return undefined
  const url = decodeName(named)
  const rest = restOf(shown, shownName(url))
  if (rest === undefined) return undefined
  return SAME.test(rest) ? { kind: 'submodule', url } : { kind: 'other', url: join(url, rest) }
}

function ownAt(state: Asking, at: string): AskedAtDoor | undefined {
  for (const name of [MAIN_AT_DOOR, ...state.additional.map((one) => one.name)]) {
    const rest = at.replace(/\/$/, '') === `${name}.git` ? '' : restOf(at, `${name}/${name}`)
    const repository = repositoryOf(state, name === MAIN_AT_DOOR ? undefined : name)
    if (rest === undefined || !repository) continue
    if (SAME.test(rest)) return { kind: 'own', repository }
    return repository.url === '' ? undefined : { kind: 'other', url: join(repository.url, rest) }
  }
  return undefined
}

function restOf(text: string, beginning: string): string | undefined {
  return text.startsWith(beginning) ? text.slice(beginning.length) : undefined
}

/** Undefined: the session has none there. */
export function repositoryAtDoor(
  state: Pick<SessionState, 'repository' | 'additional'>,
  path: string,
): Repository | AdditionalState | undefined {
  const asked = askedAtDoor(state, path)
  return asked?.kind === 'own' ? asked.repository : undefined
}

/** What is rewritten is the address without `.git`. */
function join(url: string, beyond: string): string {
  return url.replace(/\.git$/, '') + beyond
}

function decodeName(named: string): string {
  const bytes = named.match(/../g) ?? []
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16)))
}

const LFS_CREDENTIAL_REASONS = ['lfs_credential_missing', 'lfs_refused'] as const
export type LfsCredentialReason = (typeof LFS_CREDENTIAL_REASONS)[number]

/** What the door says of large files that a credential would open: git-lfs hands on the words of an answer and nothing else of it. */
export function withLfsReason(said: string, reason: LfsCredentialReason): string {
  return `${said} (${reason})`
}

/** The reason in what git-lfs printed; undefined where no credential would help. */
export function lfsReasonIn(printed: string): LfsCredentialReason | undefined {
  return LFS_CREDENTIAL_REASONS.find((reason) => printed.includes(`(${reason})`))
}
