// Rules for commits that are kept here until the forge takes them: tried again with growing pauses, or when somebody asks.
import type { ReportCommand } from '../protocol/command.ts'
import { type Draft, type Refusal, refuse } from './draft.ts'

type Report<T extends ReportCommand['type']> = Extract<ReportCommand, { type: T }>

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 5 * 60_000

/** Each push holds all that was kept before it, so only the last one is worth trying. */
export function takePush(draft: Draft, push: Report<'push.accepted'>): void {
  draft.emit('seen', push)
  if (push.ref !== `refs/heads/${draft.state.repository.branch}`) return
  draft.request({ kind: 'changes.measure' })
  draft.cancel('outward')
  if (push.outward === 'kept') draft.request({ kind: 'push.forward', attempt: 0, notBefore: null })
}

/** A host that is down or slow is asked again; what it refuses, or takes with a credential only, waits for somebody. */
export function keepTrying(draft: Draft, failed: Report<'push.forward-fail'>, now: Date): void {
  const { attempt, passes, reason, message } = failed
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 20))
  const nextAt = passes ? new Date(now.getTime() + pauseMs).toISOString() : null
  const outward = passes || reason === 'credential_missing' ? 'kept' : 'refused'
  draft.emit('seen', { type: 'push.forward-failed', outward, reason, message, nextAt })
  if (passes) draft.request({ kind: 'push.forward', attempt: attempt + 1, notBefore: nextAt })
}

/** By hand: now, and with short pauses again. */
export function retryPush(draft: Draft): Refusal | undefined {
  const { state } = draft.state.outward
  if (state !== 'kept' && state !== 'refused') {
    const message = 'Everything that was pushed is outside already, or has no outside to go to.'
    return refuse('conflict', 'nothing_kept', message)
  }
  draft.emit('user', { type: 'push.retry-requested' })
  draft.cancel('outward')
  draft.request({ kind: 'push.forward', attempt: 0, notBefore: null })
  return undefined
}
