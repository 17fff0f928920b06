// What an additional repository of a session is called: its folder beside the main one's, and its path at the git door. Pure.
import { MAIN_AT_DOOR } from '../../protocol/git-door.ts'
import type { Repository } from '../../protocol/session.ts'

const LONGEST = 90

/** `wish` made a plain name, with a number where another repository of the session has it already. */
export function nameAdditional(wish: string, others: readonly Pick<Repository, 'name'>[]): string {
  const plain = wish
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9_]+/, '')
    .slice(0, LONGEST)
  const name = plain === '' ? MAIN_AT_DOOR : plain
  // Where a file system knows no case, `Api` and `api` are one folder.
  const taken = new Set([MAIN_AT_DOOR, ...others.map((one) => one.name.toLowerCase())])
  if (!taken.has(name.toLowerCase())) return name
  for (let number = 2; ; number++)
    if (!taken.has(`${name}-${number}`.toLowerCase())) return `${name}-${number}`
}
