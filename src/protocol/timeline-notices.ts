// The short lines of the timeline that say in words what happened. Pure.
import { describeNetwork } from './environment.ts'
import type { EventOf, SessionEvent } from './event.ts'

export interface Notice {
  kind: 'notice'
  tone: 'plain' | 'warn' | 'bad'
  code: string
  text: string
}

/** Notices that tell of something lost, or of what may be. */
const WARNINGS = new Set([
  ...['sandbox_replaced', 'not_saved', 'settings_ignored', 'commit', 'push'],
  ...['lfs_credential_missing', 'lfs_refused'],
])

/** Undefined: the event has no line of its own. */
export function noticeOf(body: SessionEvent['body']): Notice | undefined {
  const plain = (text: string): Notice => ({
    ...{ kind: 'notice', tone: 'plain', code: body.type, text },
  })
  switch (body.type) {
    case 'push.forwarded':
      return plain(
        `The commits ${body.repository ? `of ${body.repository} ` : ''}that were kept here have reached the forge.`,
      )
    case 'agent.notice':
      return {
        ...{ kind: 'notice', code: body.kind, text: body.text },
        tone: WARNINGS.has(body.kind) ? 'warn' : 'plain',
      }
    case 'environment.read': {
      const text = body.notices.join('; ')
      return text === ''
        ? undefined
        : { kind: 'notice', tone: 'warn', code: 'environment_file', text }
    }
    case 'model.failed':
    case 'session.failed':
    case 'sandbox.lost':
      return { kind: 'notice', tone: 'bad', code: body.reason, text: body.message }
    case 'sandbox.stopped':
      return plain(
        body.why === 'idle'
          ? 'The sandbox was stopped after a while without work. Its files are kept.'
          : 'The sandbox was stopped. Its files are kept.',
      )
    case 'sandbox.busy':
      return plain('Something in the sandbox computes on, so that it is kept running.')
    case 'mode.changed':
      return plain(`Mode: ${body.mode}`)
    case 'model.changed':
      return plain(`Model: ${body.model ?? 'default'}`)
    case 'network.changed':
      return plain(`It may reach ${describeNetwork(body.network)} from now on.`)
    case 'turn.interrupt-requested':
      return plain('Interrupt requested.')
    case 'push.granted':
      return plain(describeGrants(body))
    case 'push.retry-requested':
      return plain(`Push again requested${body.repository ? ` for ${body.repository}` : ''}.`)
    default:
      return undefined
  }
}

function describeGrants({ repository, branches, rewrite }: EventOf<'push.granted'>): string {
  const own = rewrite ? 'its own branch, which it may rewrite' : 'its own branch'
  const where = repository ? ` in ${repository}` : ''
  return `May push${where} to: ${[own, ...branches].join(', ')}.`
}
