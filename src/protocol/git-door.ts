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
const ASKED = /^(\/git\/.+)\/(?:info\/refs|git-(?:upload|receive)-pack|info\/lfs\/.+)$/
const SUBMODULE = /^\/git\/submodule\/((?:[0-9a-f]{2})+)\.git(.*)$/
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

/** Where the submodule of that address is read, when the session may. */
export function submoduleDoorUrl(url: string): string {
  const bytes = [...new TextEncoder().encode(url)]
  const named = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return `http://${DOOR_HOST}/git/submodule/${named}.git`
}

export type AskedAtDoor =
  | { kind: 'own'; repository: Repository | AdditionalState }
  | { kind: 'submodule'; url: string }
  /** Git inside writes addresses anew by their beginning: this one began with that of a repository, and is another one's. */
  | { kind: 'other'; url: string }

/** Undefined: nothing of the session's. */
export function askedAtDoor(
  state: Pick<SessionState, 'repository' | 'additional'>,
  path: string,
): AskedAtDoor | undefined {
  const head = ASKED.exec(path.split('?', 1)[0] ?? '')?.[1]
  if (head === undefined) return undefined
  const [, named, beyond = ''] = SUBMODULE.exec(head) ?? []
  if (named !== undefined) {
    const url = decodeName(named)
    return SAME.test(beyond)
      ? { kind: 'submodule', url }
      : { kind: 'other', url: join(url, beyond) }
  }
  const names = [MAIN_AT_DOOR, ...state.additional.map(({ name }) => name)]
  const fitting = names.filter((name) => head.startsWith(doorPath(name)))
  const [name] = fitting.sort((one, other) => other.length - one.length)
  if (name === undefined) return undefined
  const repository = repositoryOf(state, name === MAIN_AT_DOOR ? undefined : name)
  if (!repository) return undefined
  const rest = head.slice(doorPath(name).length)
  if (SAME.test(rest)) return { kind: 'own', repository }
  return repository.url === '' ? undefined : { kind: 'other', url: join(repository.url, rest) }
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
