// The phase `fetch`: all repositories of a session at the same time, the main one and the additional ones. What fails is
// named, all of it: who attached three wants to know of each that cannot be had.
import { AppError, toAppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { RepositoryPort } from './effects.ts'

type Prepared = Awaited<ReturnType<RepositoryPort['prepare']>>

export interface Fetched extends Prepared {
  additional: {
    repository: string
    branch?: string | undefined
    commit: string
    baseBranch: string | null
  }[]
}

interface FetchRun {
  state: SessionState
  signal: AbortSignal
  onLine: (line: string) => void
}

/** Rejects with the code and reason of the first that failed, and the names and words of all that did. */
export async function fetchAll(
  repositories: Pick<RepositoryPort, 'prepare'>,
  { state, signal, onLine }: FetchRun,
): Promise<Fetched> {
  const { id: sessionId, ownerId, repository, additional } = state
  const ask = { sessionId, ownerId }
  if (additional.length === 0)
    return {
      ...(await repositories.prepare({ ...ask, repository }, signal, onLine)),
      additional: [],
    }
  const named = (name: string) => (line: string) => onLine(`${name}: ${line}`)
  const main = repositories.prepare({ ...ask, repository }, signal, named(repository.name))
  const others = additional.map(({ changes: _, outward: __, access, ...one }) =>
    repositories.prepare(
      { ...ask, repository: one, additional: { name: one.name, access } },
      signal,
      named(one.name),
    ),
  )
  const ends = await Promise.allSettled([main, ...others])
  signal.throwIfAborted()
  throwFailures(ends, [repository.name, ...additional.map(({ name }) => name)])
  const found = await Promise.all(others)
  return {
    ...(await main),
    additional: found.map(({ branch, commit, baseBranch }, index) => ({
      ...{ repository: additional[index]?.name ?? '', branch, commit, baseBranch },
    })),
  }
}

function throwFailures(ends: PromiseSettledResult<unknown>[], names: string[]): void {
  const failures = ends.flatMap((end, index) =>
    end.status === 'rejected' ? [{ name: names[index] ?? '', error: toAppError(end.reason) }] : [],
  )
  const [first] = failures
  if (!first) return
  const message = failures.map(({ name, error }) => `${name}: ${error.message}`).join('\n')
  throw new AppError(first.error.code, first.error.reason, message, { cause: first.error })
}
