// What the time between submit and first model request is made of, from the times of a session's events. Pure.
import type { EventBody, SessionEvent } from '../src/protocol/event.ts'
import type { PhaseName } from '../src/protocol/session.ts'

type IsMark = (body: EventBody) => boolean

const started = (phase: PhaseName): IsMark => {
  return (body) => body.type === 'phase.started' && body.phase === phase
}
const completed = (phase: PhaseName): IsMark => {
  return (body) => body.type === 'phase.completed' && body.phase === phase
}

/** In order: a part lasts from the mark before it to its own; nothing when its own came first. */
export const PARTS: readonly { name: string; until: IsMark; about: string }[] = [
  {
    name: 'submit',
    until: (body) => body.type === 'session.created',
    about: 'request, first commit',
  },
  {
    name: 'queue',
    until: (body) => started('fetch')(body) || started('sandbox')(body),
    about: 'worker woken, effect claimed',
  },
  {
    name: 'sandbox',
    until: completed('sandbox'),
    about: 'door opened, sandbox created and started; the repository is fetched meanwhile',
  },
  { name: 'fetch', until: completed('fetch'), about: 'what fetching took longer than that' },
  { name: 'runner', until: started('checkout'), about: 'Node.js and runner boot, channel' },
  { name: 'checkout', until: completed('checkout'), about: 'clone through the door, checkout' },
  { name: 'agent', until: completed('agent'), about: 'Claude Code started and initialized' },
  { name: 'ready', until: (body) => body.type === 'sandbox.ready', about: 'readiness reported' },
]
export const LAST_PART = { name: 'request', about: 'prompt to request, through the model door' }

/** Milliseconds of each part by its name; a part whose mark was not found is left out and counts to the next. */
export function traceOf(
  events: readonly SessionEvent[],
  { submittedAt, requestAt }: { submittedAt: number; requestAt: number },
): Map<string, number> {
  const parts = new Map<string, number>()
  let before = submittedAt
  for (const { name, until } of PARTS) {
    const found = events.find(({ body }) => until(body))
    if (!found) continue
    const at = Math.max(before, Date.parse(found.at))
    parts.set(name, at - before)
    before = at
  }
  parts.set(LAST_PART.name, requestAt - before)
  return parts
}
