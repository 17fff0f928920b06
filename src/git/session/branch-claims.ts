// Which branch a session gets: the one that was asked for, or the first with a number that is free. A name is taken by a branch
// of the repository, and by another session on the same upstream that may not have pushed yet.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isBranchName } from '../../protocol/branch-name.ts'
import { AppError } from '../../protocol/errors.ts'
import type { GitPaths } from '../paths.ts'
import { findRecord, type SessionRecord, sessionRecordSchema } from '../records.ts'

export interface BranchWish {
  branch: string
  /** A name that is taken gets a number instead of a refusal. */
  orNumbered: boolean
  /** A session may work on the branch that it starts from. */
  baseBranch: string | null
  /** Of the repository, by full name. */
  refs: ReadonlyMap<string, string>
  /** Of the upstream; null when there is none. */
  url: string | null
}

export interface BranchClaims {
  /** Rejects when the name is taken and has to be that one. */
  take(directory: string, wish: BranchWish): Promise<string>
  release(directory: string): void
}

interface Claim {
  url: string
  branch: string
}

const MOST_NUMBER = 1000

export function createBranchClaims(paths: GitPaths): BranchClaims {
  const claims = new Map<string, Claim>()
  let loading: Promise<void> | undefined
  const load = async () => {
    for (const name of await readdir(paths.sessions)) {
      const directory = join(paths.sessions, name)
      const record = await readableRecord(directory)
      if (record?.outside && record.access === 'write')
        claims.set(directory, { url: record.outside.url, branch: record.branch })
    }
  }
  return {
    take: async (directory, wish) => {
      loading ??= load().catch((error: unknown) => {
        // As without a file descriptor that is free: whoever comes next looks again.
        loading = undefined
        throw error
      })
      await loading
      // From here to the claim nothing is awaited: two sessions cannot find the same name free.
      const others = [...claims].filter(
        ([where, { url }]) => where !== directory && url === wish.url,
      )
      const branch = choose(wish, new Set(others.map(([, claim]) => claim.branch)))
      if (wish.url !== null) claims.set(directory, { url: wish.url, branch })
      return branch
    },
    release: (directory) => {
      claims.delete(directory)
    },
  }
}

/** Undefined for one that is damaged: that stops its own session, and no other one. */
async function readableRecord(directory: string): Promise<SessionRecord | undefined> {
  try {
    return await findRecord(directory, sessionRecordSchema)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined
    throw error
  }
}

function choose(wish: BranchWish, claimed: ReadonlySet<string>): string {
  const { branch, orNumbered } = wish
  for (let number = 1; orNumbered && number <= MOST_NUMBER; number++) {
    const name = number === 1 ? branch : `${branch}-${number}`
    if (isBranchName(name) && !claimed.has(name) && !whyTaken(wish, name)) return name
  }
  const refusal = whyTaken(wish, branch)
  if (refusal) throw refusal
  return branch
}

function whyTaken({ refs, baseBranch }: BranchWish, branch: string): AppError | undefined {
  const own = `refs/heads/${branch}`
  if (refs.has(own) && baseBranch !== branch)
    return new AppError(
      'conflict',
      'branch_exists',
      `The repository already has a branch ${branch}: start from it, or name another.`,
    )
  const beside = [...refs.keys()].find(
    (ref) => ref.startsWith(`${own}/`) || own.startsWith(`${ref}/`),
  )
  if (beside === undefined) return undefined
  return new AppError(
    'conflict',
    'branch_name_taken',
    `A branch ${branch} cannot stand beside ${beside.slice('refs/heads/'.length)}: name another.`,
  )
}
