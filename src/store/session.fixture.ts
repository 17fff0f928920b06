// A session for the tests of this room: its first state and changes of it, without the rules of `sessions`.

import { NO_USAGE, NOTHING_OUTSIDE } from '../protocol/apply-session.ts'
import { environmentFieldsSchema } from '../protocol/environment.ts'
import { createId } from '../protocol/ids.ts'
import { NO_GRANTS, type SessionState } from '../protocol/session.ts'
import type { Change, ChangeContext, NewEvent } from './event-log.ts'

let made = 0

/** Ids that differ and sort in the order of their making. */
export function nextTestId(): string {
  made += 1
  const digits = [...made.toString(32).padStart(20, '0')].map((digit) => Number.parseInt(digit, 32))
  // The digits of ids sort before their letters, and come after them in the alphabet of `createId`.
  return createId(
    'session',
    Uint8Array.from(digits, (digit) => (digit + 26) % 32),
  )
}

export function renamed(title: string): NewEvent {
  return { source: 'user', body: { type: 'session.renamed', title } }
}

export function testState(id: string, { lastSeq, now }: { lastSeq: number; now: Date }) {
  const fields = environmentFieldsSchema.parse({ name: 'test' })
  const at = now.toISOString()
  return {
    id,
    ownerId: 'owner',
    title: 'test',
    status: 'queued',
    createdAt: at,
    updatedAt: at,
    lastSeq,
    repository: {
      source: { kind: 'remote', url: 'https://git.example/a.git', credentialId: null },
      name: 'a',
      url: 'https://git.example/a.git',
      baseBranch: null,
      commit: null,
      branch: 'errand/a',
    },
    additional: [],
    environmentFile: null,
    pushGrants: NO_GRANTS,
    environment: { ...fields, id: `e_${'a'.repeat(20)}`, archivedAt: null },
    driver: 'oci',
    mode: 'work',
    model: null,
    sandbox: {
      state: 'none',
      generation: 0,
      isolation: null,
      isReplacement: false,
      busySince: null,
      phases: [],
    },
    turn: null,
    queue: [],
    questions: [],
    answers: {},
    lastTurn: null,
    endedTurnIds: [],
    usage: NO_USAGE,
    changes: null,
    outward: NOTHING_OUTSIDE,
    failure: null,
  } satisfies SessionState
}

/** A decision that appends these events and changes the state as told. */
export function appends(
  id: string,
  events: NewEvent[],
  more: Omit<Partial<Change>, 'state' | 'events'> & { state?: Partial<SessionState> } = {},
): (context: ChangeContext) => Change {
  return ({ state, lastSeq, now }) => {
    const { state: changes, ...rest } = more
    const next = { lastSeq: lastSeq + events.length, now }
    return {
      events,
      ...rest,
      state: { ...testState(id, next), ...state, ...changes, lastSeq: next.lastSeq },
    }
  }
}
