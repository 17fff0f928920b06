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

const PATH = /^\/git\/([^/]+)\.git\//

/** Where git really fetches from; `name` is that of an additional repository. */
export function doorUrl(name = MAIN_AT_DOOR): string {
  return `http://${DOOR_HOST}${doorPath(name)}`
}

/** The path of it. */
export function doorPath(name = MAIN_AT_DOOR): string {
  return `/git/${name}.git`
}

/** Undefined: the session has none there. */
export function repositoryAtDoor(
  state: Pick<SessionState, 'repository' | 'additional'>,
  path: string,
): Repository | AdditionalState | undefined {
  const name = PATH.exec(path)?.[1]
  if (name === undefined) return undefined
  return repositoryOf(state, name === MAIN_AT_DOOR ? undefined : name)
}
