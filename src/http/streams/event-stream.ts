// Server-sent events of one session and of one owner's list. Replay and live are one loop: each hint makes it read on after
// the last number sent, so nothing is lost or doubled where one passes into the other. Memory per stream is bounded: events
// are read when the client has taken the last ones, and text that is being written is dropped when it takes too long.
import type { Delta, EventPage, Place, SessionSummary } from '../../protocol/api.ts'
import type { NetworkPage } from '../../protocol/network-log.ts'
import type { LiveFeed } from '../deps.ts'
import { createWakeUp } from './wake-up.ts'

const PAGE = 200
/** Live text that waits for a slow client; more than this is dropped, since the stored message follows. */
const MOST_DELTA_CHARS = 64_000
const MOST_DELTAS = 1_000

export interface StreamTimes {
  heartbeatMs: number
  /** Then the stream ends and the client comes again, so that who may no longer read is found out. */
  lifeMs: number
}

export interface SessionStream {
  sessionId: string
  afterSeq: number
  live: Pick<LiveFeed, 'watchSession'>
  read(range: { afterSeq: number; limit: number }): Promise<EventPage>
  /** As it is now; null when the session does not wait for a slot. */
  place(): Promise<Place | null>
  times: StreamTimes
  signal: AbortSignal
}

export async function* streamSession(stream: SessionStream): AsyncGenerator<string> {
  const { live, read, times, signal } = stream
  const wakeUp = createWakeUp(AbortSignal.any([signal, AbortSignal.timeout(times.lifeMs)]))
  const held = createHeldDeltas()
  let isRemoved = false
  let hasChanged = true
  let afterSeq = stream.afterSeq
  let place: Place | null | undefined
  const unwatch = live.watchSession(stream.sessionId, {
    changed: () => {
      hasChanged = true
      wakeUp.call()
    },
    delta: (delta) => {
      held.add(delta)
      wakeUp.call()
    },
    placed: (changed) => {
      place = changed
      wakeUp.call()
    },
    removed: () => {
      isRemoved = true
      wakeUp.call()
    },
  })
  try {
    yield 'retry: 1000\n\n'
    place ??= (await stream.place()) ?? undefined
    while (!wakeUp.isOver() && !isRemoved) {
      while (hasChanged) {
        hasChanged = false
        const page = await read({ afterSeq, limit: PAGE })
        for (const event of page.events) yield formatFrame({ id: event.seq, value: event })
        afterSeq = page.through
        hasChanged ||= page.more
      }
      if (place !== undefined) {
        const value = place
        place = undefined
        yield formatFrame({ event: 'place', value })
      }
      for (const delta of held.take()) yield formatFrame({ event: 'delta', value: delta })
      if ((await wakeUp.wait(times.heartbeatMs)) === 'time') yield HEARTBEAT
    }
  } finally {
    unwatch()
  }
}

export interface ListStream {
  ownerId: string
  live: Pick<LiveFeed, 'watchOwner'>
  list(): Promise<SessionSummary[]>
  times: StreamTimes
  signal: AbortSignal
}

/** Begins with the list as it is (`sessions`), then `session` for each that changed and `removed` for each that went. */
export async function* streamList(stream: ListStream): AsyncGenerator<string> {
  const { live, times, signal } = stream
  const wakeUp = createWakeUp(AbortSignal.any([signal, AbortSignal.timeout(times.lifeMs)]))
  const changes = createListChanges()
  const wake = (change: () => void) => {
    change()
    wakeUp.call()
  }
  const unwatch = live.watchOwner(stream.ownerId, {
    session: (summary) => wake(() => changes.note(summary)),
    removed: (sessionId) => wake(() => changes.noteRemoved(sessionId)),
    reset: () => wake(() => changes.noteReset()),
  })
  try {
    yield 'retry: 1000\n\n'
    while (!wakeUp.isOver()) {
      if (changes.takeReset()) {
        const sessions = await stream.list()
        changes.know(sessions)
        yield formatFrame({ event: 'sessions', value: { sessions } })
      }
      for (const frame of changes.take()) yield formatFrame(frame)
      if ((await wakeUp.wait(times.heartbeatMs)) === 'time') yield HEARTBEAT
    }
  } finally {
    unwatch()
  }
}

/** At most one change per session; the removal of a session that the client never saw is not told. */
function createListChanges() {
  const known = new Set<string>()
  let changes = new Map<string, SessionSummary | 'removed'>()
  let needsList = true
  return {
    note: (summary: SessionSummary) => changes.set(summary.id, summary),
    noteRemoved: (id: string) => {
      if (known.has(id) || changes.has(id)) changes.set(id, 'removed')
    },
    noteReset: () => {
      needsList = true
    },
    takeReset: () => {
      const taken = needsList
      needsList = false
      return taken
    },
    know: (sessions: SessionSummary[]) => {
      for (const { id } of sessions) known.add(id)
    },
    take: () => {
      const taken = [...changes]
      changes = new Map()
      return taken.map(([id, change]) => {
        if (change === 'removed') {
          known.delete(id)
          return { event: 'removed', value: { id } }
        }
        known.add(id)
        return { event: 'session', value: change }
      })
    },
  }
}

const HEARTBEAT = ': still here\n\n'

export interface NetworkStream {
  sessionId: string
  after: number
  live: Pick<LiveFeed, 'watchNetwork'>
  read(range: { after: number; limit: number }): Promise<NetworkPage>
  times: StreamTimes
  signal: AbortSignal
}

/** Entries of a network log, those that are there first; one that is told again has changed. */
export async function* streamNetwork(stream: NetworkStream): AsyncGenerator<string> {
  const { live, read, times, signal } = stream
  const wakeUp = createWakeUp(AbortSignal.any([signal, AbortSignal.timeout(times.lifeMs)]))
  const unwatch = live.watchNetwork(stream.sessionId, wakeUp.call)
  let { after } = stream
  try {
    yield 'retry: 1000\n\n'
    while (!wakeUp.isOver()) {
      for (let more = true; more && !wakeUp.isOver(); ) {
        const page = await read({ after, limit: PAGE })
        for (const entry of page.entries) yield formatFrame({ id: entry.n, value: entry })
        after = page.through
        more = page.more
      }
      if ((await wakeUp.wait(times.heartbeatMs)) === 'time') yield HEARTBEAT
    }
  } finally {
    unwatch()
  }
}

/** JSON holds no raw newline, so one `data` line is enough. */
function formatFrame({
  id,
  event,
  value,
}: {
  id?: number
  event?: string
  value: unknown
}): string {
  const name = event === undefined ? '' : `event: ${event}\n`
  const number = id === undefined ? '' : `id: ${id}\n`
  return `${number}${name}data: ${JSON.stringify(value)}\n\n`
}

function createHeldDeltas() {
  let deltas: Delta[] = []
  let chars = 0
  return {
    add: (delta: Delta) => {
      chars += delta.text.length
      deltas.push(delta)
      if (chars > MOST_DELTA_CHARS || deltas.length > MOST_DELTAS) {
        deltas = []
        chars = 0
      }
    },
    take: () => {
      const taken = deltas
      deltas = []
      chars = 0
      return taken
    },
  }
}
