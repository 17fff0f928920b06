// An Errand for tests of the command line: one session that is what has been told so far, whose stream waits for more.
import type { Client } from '../client/client.ts'
import type { Followed } from '../client/follow.ts'
import { applyEvent, emptyView } from '../protocol/apply-event.ts'
import type { EventBody, EventOf, SessionEvent } from '../protocol/event.ts'
import type { Question, SessionState } from '../protocol/session.ts'
import { SESSION_CREATED } from './cli.fixture.ts'

export const sessionId = `s_${'a'.repeat(20)}`
export const turnId = `t_${'a'.repeat(20)}`
/** Of what `errand send` adds. */
export const sentTurnId = `t_${'b'.repeat(20)}`
export const BEGIN: EventBody[] = [
  SESSION_CREATED,
  { type: 'message.queued', turnId, kind: 'agent', text: 'fix it' },
  { type: 'turn.started', turnId },
]
export const DONE: EventOf<'turn.completed'> = {
  type: 'turn.completed',
  turnId,
  exitCode: null,
  durationMs: 10,
}
export const QUESTION: Question = {
  ...{ id: 'q1', turnId, kind: 'question', title: 'Which one?', detail: '', askedAt: '' },
  items: [
    {
      ...{ question: 'Which one?', header: 'One', multiSelect: false },
      options: [
        { label: 'Red', description: '' },
        { label: 'Blue', description: '' },
      ],
    },
  ],
}

function eventsOf(bodies: EventBody[]): SessionEvent[] {
  const at = '2026-01-01T00:00:00.000Z'
  return bodies.map((body, index) => ({ sessionId, seq: index + 1, at, source: 'system', body }))
}
function stateOf(bodies: EventBody[]): SessionState {
  const { session } = eventsOf(bodies).reduce(applyEvent, emptyView)
  if (!session) throw new Error('no session')
  return session
}

export function createErrand(first: EventBody[]) {
  let bodies = first
  let chosen = turnId
  let sent = sentTurnId
  /** Its turns have the ids that were chosen. */
  const told = (all = bodies): EventBody[] =>
    JSON.parse(JSON.stringify(all).replaceAll(turnId, chosen).replaceAll(sentTurnId, sent))
  let wake = () => {}
  const calls: { name: string; args: unknown[] }[] = []
  const note = (name: string, ...args: unknown[]) => calls.push({ name, args })
  const client: Partial<Client> = {
    createSession: async (fields) => {
      note('createSession', fields)
      chosen = fields.turnId ?? turnId
      return stateOf(told(BEGIN.slice(0, 2)))
    },
    getSession: async (id) => {
      note('getSession', id)
      return stateOf(told())
    },
    getDiff: async () => ({
      ...{ base: 'a'.repeat(40), head: 'b'.repeat(40), insertions: 2, deletions: 1, commits: [] },
      files: [
        {
          ...{ path: 'a.ts', oldPath: null, status: 'modified', binary: false },
          ...{ insertions: 2, deletions: 1 },
        },
      ],
      ...{ patch: 'diff\n', truncated: false },
    }),
    sendMessage: async (_id, message) => {
      note('sendMessage', message)
      sent = message.turnId ?? sentTurnId
      return { turnId: sent }
    },
    readEvents: async () => ({ events: eventsOf(told()), through: bodies.length, more: false }),
    answerQuestion: async (_id, questionId, answer) => {
      note('answerQuestion', questionId, answer)
      return stateOf(told())
    },
    followEvents: (_id, { signal }) =>
      (async function* (): AsyncGenerator<Followed> {
        for (let seq = 0; !signal.aborted; ) {
          const event = eventsOf(told())[seq]
          if (event) {
            seq += 1
            yield { kind: 'event', event }
            continue
          }
          await new Promise<void>((resolve) => {
            wake = resolve
            signal.addEventListener('abort', () => resolve(), { once: true })
          })
        }
      })(),
  }
  const tell = (...more: EventBody[]) => {
    bodies = [...bodies, ...more]
    wake()
  }
  return { client, calls, tell }
}
