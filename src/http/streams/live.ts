// Tells open streams that there is something new: the database's notifications and the gateway's live text, by session and
// by owner. Only hints: whoever is told reads the log again, so a hint that is lost or doubled changes nothing.
import type { Logger } from '../../lib/logger.ts'
import { createRefresher } from '../../lib/refresher.ts'
import type { Delta, Place } from '../../protocol/api.ts'
import type { FoundSession } from '../../protocol/found-session.ts'
import type { LiveFeed, OwnerListener, SessionListener } from '../deps.ts'
import { summarize } from '../places.ts'

/** A session that writes fast shows up in lists at most this often. */
const LIST_STEP_MS = 250
/** The queue of sessions is read at most this often. */
const PLACE_STEP_MS = 100

export interface LiveFeedOptions {
  notifications: {
    /** `seq` is 0 when the session was removed. */
    onSession(listener: (sessionId: string, seq: number) => void): () => void
    /** Sessions began or ended work, or wait for a slot. */
    onLoad(listener: () => void): () => void
    /** The gateway has seen more of a session's traffic. */
    onNetwork(listener: (sessionId: string) => void): () => void
    onReconnect(listener: () => void): () => void
  }
  readSession(id: string): Promise<FoundSession | undefined>
  readPlaces(): Promise<ReadonlyMap<string, Place>>
  logger: Logger
}

export interface LiveFeedSource extends LiveFeed {
  publishDelta(sessionId: string, delta: Delta): void
  close(): void
}

export function createLiveFeed({
  notifications,
  readSession,
  readPlaces,
  logger,
}: LiveFeedOptions): LiveFeedSource {
  const sessions = createGroups<SessionListener>()
  const owners = createGroups<OwnerListener>()
  const networks = createGroups<() => void>()
  const due = new Map<string, NodeJS.Timeout>()
  const tellOwner = async (sessionId: string) => {
    const found = await readSession(sessionId)
    if (!found) return
    const place = places.known().get(sessionId) ?? null
    for (const listener of owners.of(found.ownerId)) listener.session(summarize(found, place))
  }
  const lists = createRefresher({
    read: tellOwner,
    onError: (err, sessionId) =>
      logger.warn({ err, sessionId }, 'a change could not be shown in lists yet'),
  })
  const tellOwnerSoon = (sessionId: string) => {
    if (due.has(sessionId) || owners.isEmpty()) return
    const run = () => {
      due.delete(sessionId)
      lists.refresh(sessionId)
    }
    due.set(sessionId, setTimeout(run, LIST_STEP_MS))
  }
  const places = createPlaceWatch({
    read: readPlaces,
    moved: (sessionId, place) => {
      for (const listener of sessions.of(sessionId)) listener.placed(place)
      tellOwnerSoon(sessionId)
    },
    logger,
  })
  const stops = [
    places.stop,
    lists.close,
    notifications.onLoad(places.look),
    notifications.onNetwork((sessionId) => {
      for (const listener of networks.of(sessionId)) listener()
    }),
    notifications.onSession((sessionId, seq) => {
      if (seq > 0) {
        for (const listener of sessions.of(sessionId)) listener.changed()
        tellOwnerSoon(sessionId)
        return
      }
      for (const listener of sessions.of(sessionId)) listener.removed()
      for (const listener of owners.all()) listener.removed(sessionId)
    }),
    notifications.onReconnect(() => {
      places.look()
      for (const listener of sessions.all()) listener.changed()
      for (const listener of networks.all()) listener()
      for (const listener of owners.all()) listener.reset()
    }),
  ]
  return {
    watchSession: sessions.add,
    watchOwner: owners.add,
    watchNetwork: networks.add,
    publishDelta: (sessionId, delta) => {
      for (const listener of sessions.of(sessionId)) listener.delta(delta)
    },
    close: () => {
      for (const stop of stops) stop()
      for (const timer of due.values()) clearTimeout(timer)
    },
  }
}

/** Tells of each session whose place is another than at the last look. */
function createPlaceWatch(deps: {
  read(): Promise<ReadonlyMap<string, Place>>
  moved(sessionId: string, place: Place | null): void
  logger: Logger
}) {
  let known: ReadonlyMap<string, Place> = new Map()
  let due: NodeJS.Timeout | undefined
  const look = async () => {
    const before = known
    known = await deps.read()
    for (const id of new Set([...before.keys(), ...known.keys()])) {
      const [old, place] = [before.get(id), known.get(id)]
      if (old?.number !== place?.number || old?.of !== place?.of) deps.moved(id, place ?? null)
    }
  }
  const looks = createRefresher({
    read: look,
    onError: (err) => deps.logger.warn({ err }, 'places could not be shown yet'),
  })
  const lookSoon = () => {
    due ??= setTimeout(() => {
      due = undefined
      looks.refresh('places')
    }, PLACE_STEP_MS)
  }
  lookSoon()
  return {
    known: () => known,
    look: lookSoon,
    stop: () => {
      clearTimeout(due)
      looks.close()
    },
  }
}

function createGroups<T>() {
  const groups = new Map<string, Set<T>>()
  return {
    add: (key: string, member: T) => {
      const group = groups.get(key) ?? new Set<T>()
      groups.set(key, group.add(member))
      return () => {
        group.delete(member)
        if (group.size === 0 && groups.get(key) === group) groups.delete(key)
      }
    },
    of: (key: string): T[] => [...(groups.get(key) ?? [])],
    all: (): T[] => [...groups.values()].flatMap((group) => [...group]),
    isEmpty: () => groups.size === 0,
  }
}
