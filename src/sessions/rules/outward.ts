// Rules for commits that are kept here until the forge takes them: tried again with growing pauses, or when somebody asks.
import type { ReportCommand } from '../../protocol/command.ts'
import { CREDENTIAL_WANTED, repositoryOf, type SessionState } from '../../protocol/session.ts'
import { outwardLane } from '../lanes.ts'
import { type Draft, type Refusal, refuse } from './draft.ts'

type Report<T extends ReportCommand['type']> = Extract<ReportCommand, { type: T }>

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 5 * 60_000

/** Each push holds all that was kept before it, so only the last one is worth trying. */
export function takePush(draft: Draft, push: Report<'push.accepted'>): void {
  const { repository } = push
  draft.emit('seen', push)
  const branch = repositoryOf(draft.state, repository)?.branch
  if (push.ref !== `refs/heads/${branch}`) return
  draft.request({ kind: 'changes.measure', repository })
  draft.cancel(outwardLane(repository))
  if (push.outward === 'kept')
    draft.request({ kind: 'push.forward', repository, attempt: 0, notBefore: null })
}

/** A host that is down or slow is asked again; what it refuses, or takes with a credential only, waits for somebody. */
export function keepTrying(draft: Draft, failed: Report<'push.forward-fail'>, now: Date): void {
  const { repository, attempt, passes, reason, message } = failed
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 20))
  const nextAt = passes ? new Date(now.getTime() + pauseMs).toISOString() : null
  const outward = passes || CREDENTIAL_WANTED.has(reason) ? 'kept' : 'refused'
  const type = 'push.forward-failed'
  draft.emit('seen', { type, repository, outward, reason, message, nextAt })
  if (passes)
    draft.request({ kind: 'push.forward', repository, attempt: attempt + 1, notBefore: nextAt })
}

/** By hand: now, and with short pauses again. */
export function retryPush(draft: Draft): Refusal | undefined {
  const waiting = repositoriesOf(draft.state).filter(({ outward: { state } }) =>
    ['kept', 'refused'].includes(state),
  )
  if (waiting.length === 0) {
    const message = 'Everything that was pushed is outside already, or has no outside to go to.'
    return refuse('conflict', 'nothing_kept', message)
  }
  for (const { repository } of waiting) {
    draft.emit('user', { type: 'push.retry-requested', repository })
    draft.cancel(outwardLane(repository))
    draft.request({ kind: 'push.forward', repository, attempt: 0, notBefore: null })
  }
  return undefined
}

/** What a turn may have changed: every repository that has a branch of the session. */
export function measureAll(draft: Draft): void {
  for (const { repository } of repositoriesOf(draft.state))
    draft.request({ kind: 'changes.measure', repository })
}

/** Those that are pushed to; the main one has no name. */
function repositoriesOf({ outward, additional }: SessionState) {
  const others = additional.filter(({ access }) => access === 'write')
  return [
    { repository: undefined, outward },
    ...others.map((one) => ({ repository: one.name, outward: one.outward })),
  ]
}
