// The refs of a session's repository that hold what would be lost with a sandbox: the runner writes them through the git
// door, a new sandbox goes on from them. They are never sent outward, and what they hold is a claim of the session.

/** A commit: the work tree with untracked files; its parents are HEAD and all that only this clone has. */
export const SAVED_WORK_REF = 'refs/errand/saved/work'
/** A commit: the agent's conversation and what the runner must remember. */
export const SAVED_CONVERSATION_REF = 'refs/errand/saved/conversation'

export const SAVED_REFS: readonly string[] = [SAVED_WORK_REF, SAVED_CONVERSATION_REF]
