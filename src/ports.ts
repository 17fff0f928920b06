// How the worker's effects reach the other programs: git through gitd, sandboxes through sandboxd.

import type { GitClient } from './git/client.ts'
import type { UpstreamCredential } from './git/credential.ts'
import type { PrepareRequest } from './git/messages.ts'
import { isCommitId } from './git/repository-url.ts'
import type { Diff } from './protocol/api.ts'
import { AppError, toAppError } from './protocol/errors.ts'
import type { RunnerBoot } from './protocol/runner-frames.ts'
import type { Repository, SessionState } from './protocol/session.ts'
import { isolationLine, type SandboxDriver, type SandboxStatus } from './sandbox/driver.ts'
import type { Hold, RepositoryPort, SandboxPort } from './sessions/effects.ts'

export type FindCredential = (
  ownerId: string,
  repository: Repository,
) => Promise<UpstreamCredential | undefined>

/** No patch is needed to count lines. */
const COUNT_ONLY_BYTES = 1

export function createRepositoryPort(
  git: GitClient,
  findCredential: FindCredential,
): RepositoryPort {
  return {
    prepare: async ({ sessionId, ownerId, repository }, signal) => {
      const credential = await findCredential(ownerId, repository)
      const { branch, baseBranch } = repository
      const from =
        baseBranch !== null && isCommitId(baseBranch) ? { commit: baseBranch } : { baseBranch }
      const source = sourceOf(repository, credential)
      const prepared = await git.prepareSession(
        { sessionId, ownerId, source, branch, ...from },
        { signal },
      )
      return { commit: prepared.commit, baseBranch: prepared.baseBranch }
    },
    measure: async (sessionId, signal) => {
      const diff = await git.diff({ sessionId, maxBytes: COUNT_ONLY_BYTES }, { signal })
      const { filesChanged, insertions, deletions } = diff
      return { commit: diff.commit ?? diff.base, filesChanged, insertions, deletions }
    },
    forward: async ({ id, ownerId, repository }, signal) => {
      const credential = await findCredential(ownerId, repository)
      const { outward, commit, reason, message } = await git.forward(
        { sessionId: id, credential },
        { signal },
      )
      if (outward === 'forwarded' && commit) return { commit }
      // What the forge or a missing credential refuses does not pass by itself.
      const code =
        outward === 'refused' || reason === 'credential_missing' ? 'forbidden' : 'unavailable'
      throw new AppError(
        code,
        reason ?? 'not_forwarded',
        message || 'There is nothing to push outward.',
      )
    },
    remove: (sessionId) => git.removeSession(sessionId),
  }
}

/** The diff as the API shows it: everything from the commit that the session started from to its branch. */
export async function readDiff(git: GitClient, sessionId: string): Promise<Diff> {
  const { base, commit, files, insertions, deletions, commits, patch, truncated } = await git.diff({
    sessionId,
  })
  return {
    base,
    head: commit ?? base,
    files: files.map(({ path, from, status, binary, ...counts }) => ({
      path,
      oldPath: from,
      status: status === 'copied' ? 'added' : status === 'type-changed' ? 'modified' : status,
      binary,
      ...counts,
    })),
    insertions,
    deletions,
    commits,
    patch,
    truncated,
  }
}

/** Without its disk a sandbox cannot be started; what it had saved lies in the session's repository. */
const LOST_DISK = new Set(['disk_missing', 'disk_damaged'])

export function createSandboxPort(driver: SandboxDriver): SandboxPort {
  const start = async (state: SessionState, hold: Hold) => {
    await hold.assertHeld()
    await driver.create(specOf(state), hold.signal)
    // Whoever has taken over runs this sandbox already.
    await hold.assertHeld()
    // The runner of an earlier preparation would not prepare again; that of the first one may have been started ahead.
    if (state.sandbox.generation > 1) await driver.stop(state.id, { graceMs: 0 })
    await hold.assertHeld()
    await driver.start(state.id, hold.signal)
  }
  return {
    start: async (state, hold, onReplaced) => {
      const { id, environment } = state
      try {
        await start(state, hold)
      } catch (error) {
        const { reason, message } = toAppError(error)
        if (!LOST_DISK.has(reason)) throw error
        await onReplaced(`${message} (${reason}): the sandbox is made anew.`)
        await hold.assertHeld()
        await driver.remove(id)
        await start(state, hold)
      }
      return isolationLine(await driver.isolation(), environment.limits)
    },
    startAhead: async (session, signal) => {
      await driver.create(specOf(session), signal)
      await driver.start(session.id, signal)
    },
    stop: ({ id }, graceMs) => driver.stop(id, { graceMs }),
    remove: (sessionId) => driver.remove(sessionId),
    list: async () =>
      (await driver.list()).map((status) => ({
        sessionId: status.sessionId,
        running: status.state === 'running',
        message: endOf(status),
      })),
  }
}

function specOf({ id, environment }: Pick<SessionState, 'id' | 'environment'>) {
  const boot: RunnerBoot = { sessionId: id, variables: environment.variables }
  return {
    sessionId: id,
    image: environment.image,
    limits: environment.limits,
    sessionFile: JSON.stringify(boot),
    hostname: `errand-${id.slice(2, 8)}`,
  }
}

function endOf({ exit }: SandboxStatus): string {
  if (exit?.outOfDisk) return 'The files of the sandbox took more disk than it may have.'
  if (exit?.outOfMemory) return 'The sandbox ran out of memory.'
  if (exit?.signal) return `The sandbox was ended by ${exit.signal}.`
  return `The sandbox ended by itself${exit?.code === undefined ? '' : ` with exit code ${exit.code}`}.`
}

function sourceOf(
  { source }: Repository,
  credential: UpstreamCredential | undefined,
): PrepareRequest['source'] {
  switch (source.kind) {
    case 'remote':
      return { kind: 'remote', url: source.url, credential }
    case 'upload':
      return { kind: 'upload', uploadId: source.uploadId, name: source.name }
    case 'session':
      return { kind: 'session', sessionId: source.sessionId }
  }
}
