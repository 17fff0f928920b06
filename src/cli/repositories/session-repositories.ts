// Which of a session's repositories is meant: by its name, or by what a folder on this disk holds. Undefined is the main one.
import { AppError } from '../../protocol/errors.ts'
import type { SessionState } from '../../protocol/session.ts'
import { plainLine } from '../terminal/plain-text.ts'
import type { LocalRepository } from './repository.ts'

type Repositories = Pick<SessionState, 'repository' | 'additional'>

export function namedIn(
  { repository, additional }: Repositories,
  name: string,
): string | undefined {
  if (additional.some((one) => one.name === name)) return name
  if (name === repository.name) return undefined
  const known = [repository, ...additional].map((one) => plainLine(one.name)).join(', ')
  const message = `the session has no repository ${plainLine(name)}; it has: ${known}`
  throw new AppError('not_found', 'repository_not_found', message)
}

/** By its origin, or else by its name; the main one when neither says. */
export function fittingIn(
  { repository, additional }: Repositories,
  { origin, name }: Pick<LocalRepository, 'origin' | 'name'>,
): string | undefined {
  if (isOrigin(repository.url, origin)) return undefined
  const byOrigin = additional.find(({ url }) => isOrigin(url, origin))
  if (byOrigin || repository.name === name) return byOrigin?.name
  return additional.find((one) => one.name === name)?.name
}

/** Whether a repository on this disk was cloned from there. */
export function isOrigin(url: string, origin: string | null): boolean {
  const plain = (address: string) => address.replace(/(?:\/|\.git)+$/, '')
  return origin !== null && plain(url) === plain(origin)
}
