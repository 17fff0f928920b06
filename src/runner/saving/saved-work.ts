// What the commit of a saved work tree says beside its tree: written by save-work.ts, read by restore-work.ts in another
// sandbox. It came by way of the session's repository, where the agent may write as well: nothing in it is trusted.
import { z } from 'zod'

/** What git writes while a merge or the like waits for its commit. */
export const PENDING_HEADS = ['MERGE_HEAD', 'CHERRY_PICK_HEAD', 'REVERT_HEAD'] as const

export const MOST_NAME_CHARS = 1000

const commitId = z.string().regex(/^[0-9a-f]{40}$/)
const branchName = z.string().regex(/^refs\/heads\/./)

const savedWorkSchema = z.object({
  at: z.iso.datetime(),
  /** Null while there is no commit. */
  head: commitId.nullable(),
  /** The branch that is checked out, by its full name; null when HEAD is detached. */
  branch: branchName.nullable(),
  /** Local branches. */
  refs: z.record(branchName, commitId),
  /** The latest first. */
  stash: z.array(z.object({ id: commitId, text: z.string() })),
  pending: z.partialRecord(z.enum(PENDING_HEADS), commitId),
  /** The branch that a rebase in progress has taken HEAD off; null where there is none. What it had still to do is not saved. */
  rebasing: z.string().max(MOST_NAME_CHARS).nullable().default(null),
  /** Folders with a repository of their own: their files are saved, their history is not. Names as in git-inside.ts. */
  nested: z.array(z.string()),
})
export type SavedWork = z.infer<typeof savedWorkSchema>

const TITLE = 'The work tree of a session, saved by Errand'

export function describeWork(work: SavedWork): string {
  return `${TITLE}\n\n${JSON.stringify(work)}\n`
}

/** `message` is a whole commit message; undefined when it is none of ours. */
export function readWork(message: string): SavedWork | undefined {
  try {
    return savedWorkSchema.parse(JSON.parse(message.slice(message.lastIndexOf('\n\n') + 2)))
  } catch {
    return undefined
  }
}
