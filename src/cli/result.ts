// What a session came to, as one object for programs and as lines for people.
import type { Diff } from '../protocol/api.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import { ERROR_CODES } from '../protocol/errors.ts'
import { requestLink } from '../protocol/request-link.ts'
import type { Access, SessionState } from '../protocol/session.ts'
import { type Printer, pageOf, shortId } from './command.ts'
import type { Connection } from './deps.ts'
import type { FetchedBranch } from './repositories/fetch-back.ts'
import { formatCount, formatDuration, formatUsage } from './terminal/format.ts'
import { plainLine } from './terminal/plain-text.ts'

export interface RunResult {
  sessionId: string
  status: SessionState['status']
  outcome: 'completed' | 'failed' | 'interrupted' | null
  exitCode: number | null
  branch: string | null
  commit: string | null
  filesChanged: number
  insertions: number
  deletions: number
  durationMs: number
  phases: { name: string; ms: number }[]
  isolation: string | null
  usage: SessionState['usage']
  outward: SessionState['outward']
  /** Where it becomes a pull or merge request, once it has reached a host whose form is known. */
  requestUrl: string | null
  /** What came of the additional repositories, in their order. */
  additional: RepositoryResult[]
  questions: { id: string; title: string }[]
  url: string
  /** The branch in the repository on this disk. */
  local: { branch: string; commit: string } | null
  /** Files that were not committed and stayed out. */
  leftOut: string[]
  error: { code: ErrorCode; reason: string; message: string } | null
}

export interface RepositoryResult {
  name: string
  access: Access
  branch: string | null
  commit: string | null
  filesChanged: number
  insertions: number
  deletions: number
  outward: SessionState['outward']
  requestUrl: string | null
  local: { branch: string; commit: string } | null
}

/** Of one repository: null where nothing can have been pushed. */
export interface FoundWork {
  /** Null: the main one. */
  name: string | null
  diff: Diff | null
  fetched: FetchedBranch | null
}

export interface ResultParts {
  connection: Connection
  session: SessionState
  found: FoundWork[]
  durationMs: number
  leftOut: string[]
  /** What was asked for here: what ended before it says nothing of it. */
  turnId: string
  /** The session as it was when that ended; it may have begun with something else since. */
  atEnd: SessionState | null
  /** Nobody watched it to its end. */
  isUnfinished: boolean
}

export function createResult(parts: ResultParts): RunResult {
  const { session, found } = parts
  const main = found.find(({ name }) => name === null)
  const { sandbox } = session
  const then = parts.atEnd ?? session
  const failure = parts.isUnfinished ? null : then.failure
  const lastTurn = then.lastTurn?.id === parts.turnId ? then.lastTurn : null
  return {
    sessionId: session.id,
    status: session.status,
    outcome: failure ? 'failed' : (lastTurn?.outcome ?? null),
    exitCode: lastTurn?.exitCode ?? null,
    ...workOf(session.repository.branch, main),
    durationMs: parts.durationMs,
    phases: sandbox.phases.map(({ name, durationMs }) => ({ name, ms: durationMs ?? 0 })),
    isolation: sandbox.isolation,
    usage: session.usage,
    outward: session.outward,
    requestUrl: requestUrlOf(session.repository, session.outward),
    additional: session.additional.map((one) => {
      const { name, access, branch, outward } = one
      const work = workOf(
        branch,
        found.find((some) => some.name === name),
      )
      return { name, access, ...work, outward, requestUrl: requestUrlOf(one, outward) }
    }),
    questions: then.questions.map(({ id, title }) => ({ id, title })),
    url: pageOf(parts.connection, session),
    leftOut: parts.leftOut,
    error: failure && { code: codeOfReason(failure.reason), ...failure },
  }
}

export function requestUrlOf(
  repository: SessionState['repository'],
  { state }: SessionState['outward'],
): string | null {
  return state === 'forwarded' ? (requestLink(repository)?.url ?? null) : null
}

function workOf(branch: string, { diff = null, fetched = null }: Partial<FoundWork> = {}) {
  const hasWork = diff !== null && diff.head !== diff.base
  return {
    branch: hasWork ? branch : null,
    commit: hasWork ? diff.head : null,
    filesChanged: diff?.files.length ?? 0,
    insertions: diff?.insertions ?? 0,
    deletions: diff?.deletions ?? 0,
    local: fetched && { branch: fetched.branch, commit: fetched.commit },
  }
}

/** The code that a program sees for a reason of a failed turn or session. */
const CODES: [RegExp, ErrorCode][] = [
  [/unauthenticated|key_missing/, 'unauthenticated'],
  [/rate_limited/, 'rate_limited'],
  [/no_space|disk_full/, 'no_space'],
  [/timeout|timed_out|took_too_long/, 'timeout'],
  [/not_found/, 'not_found'],
  [/forbidden|denied|not_allowed|limit_reached|price_unknown/, 'forbidden'],
  [/^(rootless|limits|image|host)_/, 'unsupported'],
  [/unreachable|overloaded|unavailable|lost/, 'unavailable'],
]

function codeOfReason(reason: string): ErrorCode {
  return CODES.find(([pattern]) => pattern.test(reason))?.[1] ?? 'internal'
}

/** 0 only for work that was done; of a command its own code. 130 as a shell says of what was interrupted. */
export function exitCodeOf({ error, exitCode, outcome, questions }: RunResult): number {
  if (error) return ERROR_CODES[error.code].exitCode
  if (outcome === 'interrupted') return 130
  // It waits, or was taken back before it began.
  if (questions.length > 0 || outcome === null) return ERROR_CODES.conflict.exitCode
  return exitCode ?? 0
}

export function printResult(print: Printer, result: RunResult): void {
  const { branch, commit, usage, outward, local } = result
  print.line()
  if (branch && commit) {
    const files = formatCount(result.filesChanged, 'file')
    print.line(`branch   ${plainLine(branch)}  (${commit.slice(0, 10)})`)
    print.line(`changes  ${files}, +${result.insertions} −${result.deletions}`)
  } else print.line('changes  none')
  if (result.requestUrl) print.line(`request  ${plainLine(result.requestUrl)}`)
  for (const one of result.additional) {
    print.line(`         ${describeAdditional(one)}`)
    if (one.requestUrl) print.line(`request  ${plainLine(one.requestUrl)}`)
  }
  const waiting = [{ outward }, ...result.additional].find(({ outward: { state } }) =>
    ['kept', 'refused'].includes(state),
  )
  if (waiting) {
    print.line(`outside  not there yet: ${plainLine(waiting.outward.message)}`)
    print.hint(`retry    errand push ${shortId({ id: result.sessionId })}`)
  }
  if (usage.requests > 0) print.line(`model    ${formatUsage(usage)}`)
  print.line(`took     ${formatDuration(result.durationMs)}`)
  print.line(`page     ${result.url}`)
  const id = shortId({ id: result.sessionId })
  if (local) {
    const name = plainLine(local.branch)
    print.hint(`local    git switch ${name}`)
  } else if (branch) print.hint(`look     errand diff ${id}`)
}

function describeAdditional(one: RepositoryResult): string {
  const name = plainLine(one.name)
  if (one.access === 'read') return `${name}: read only`
  if (!one.commit) return `${name}: no changes`
  const files = formatCount(one.filesChanged, 'file')
  return `${name}: ${files}, +${one.insertions} −${one.deletions}  (${one.commit.slice(0, 10)})`
}
