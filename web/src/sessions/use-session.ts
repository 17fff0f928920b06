// One session as its events tell it: replayed from the start, then followed. Events are applied in batches, one for each
// frame that is drawn; a hidden tab, which draws none, applies them on a timer.
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { Client } from '../../../src/client/client.ts'
import type { Followed } from '../../../src/client/follow.ts'
import type { Place } from '../../../src/protocol/api.ts'
import { applyEvent, emptyView, type SessionView } from '../../../src/protocol/apply-event.ts'
import type { AppError } from '../../../src/protocol/errors.ts'
import { describeError, useApi } from '../app/api.ts'
import { useRecentlyVisible } from '../app/page-visible.ts'
import { keys } from '../app/queries.ts'

interface LiveText {
  turnId: string
  text: string
}

export interface FollowedSession {
  view: SessionView
  /** What is being written right now; replaced by the stored message. */
  live: LiveText | null
  /** In the queue of sessions, while it waits for a free slot. */
  place: Place | null
  /** False until the first batch of events is there. */
  loaded: boolean
  connection: { state: 'live' | 'reconnecting' | 'failed'; error: AppError | null }
}

const LIVE: FollowedSession['connection'] = { state: 'live', error: null }
const CUT: FollowedSession['connection'] = { state: 'reconnecting', error: null }
const HIDDEN_BATCH_MS = 200
/** A tab that is hidden for longer stops following; the list still tells its title. */
const HIDDEN_GRACE_MS = 30_000

export function useSession(id: string): FollowedSession & { reconnect: () => void } {
  const api = useApi()
  const queries = useQueryClient()
  const seen = useRecentlyVisible(HIDDEN_GRACE_MS)
  const [attempt, setAttempt] = useState(0)
  const [followed, setFollowed] = useState<FollowedSession & { id: string }>(() => start(id))

  const shownLast = useRef(followed)
  shownLast.current = followed

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` opens the stream again
  useEffect(() => {
    if (!seen) return
    // After some minutes nothing is kept but what is shown.
    const left = shownLast.current.id === id ? shownLast.current.view : emptyView
    const known = queries.getQueryData<SessionView>(keys.view(id)) ?? left
    let current: FollowedSession & { id: string } = { ...start(id), view: known }
    current.loaded = known.session !== null
    setFollowed(current)
    const stop = followInBatches(api, id, known.session?.lastSeq ?? 0, (batch) => {
      if (batch.some(isOfAnotherLog)) {
        queries.removeQueries({ queryKey: keys.view(id) })
        setFollowed(start(id))
        setAttempt((count) => count + 1)
        return
      }
      current = { ...batch.reduce<FollowedSession>(applyItem, current), id }
      queries.setQueryData(keys.view(id), current.view)
      setFollowed(current)
    })
    return stop
  }, [api, id, queries, attempt, seen])

  const shown = followed.id === id ? followed : start(id)
  return { ...shown, reconnect: () => setAttempt((count) => count + 1) }
}

function start(id: string): FollowedSession & { id: string } {
  return { id, view: emptyView, live: null, place: null, loaded: false, connection: LIVE }
}

type Received = Followed | { kind: 'failed'; error: AppError }

/** A backup was restored meanwhile: what is shown is no longer so, and is told anew from the start. */
function isOfAnotherLog(item: Received): boolean {
  return item.kind === 'failed' && item.error.reason === 'log_ends_before'
}

function followInBatches(
  api: Client,
  id: string,
  afterSeq: number,
  apply: (batch: Received[]) => void,
): () => void {
  const abort = new AbortController()
  let waiting: Received[] = []
  let scheduled = false
  const flush = () => {
    scheduled = false
    const batch = waiting
    waiting = []
    if (!abort.signal.aborted) apply(batch)
  }
  const receive = (item: Received) => {
    waiting.push(item)
    if (scheduled) return
    scheduled = true
    if (document.hidden) setTimeout(flush, HIDDEN_BATCH_MS)
    else requestAnimationFrame(flush)
  }
  const read = async () => {
    try {
      const following = api.followEvents(id, { afterSeq, signal: abort.signal })
      for await (const item of following) receive(item)
    } catch (error) {
      if (!abort.signal.aborted) receive({ kind: 'failed', error: describeError(error) })
    }
  }
  void read()
  return () => abort.abort()
}

function applyItem(followed: FollowedSession, item: Received): FollowedSession {
  switch (item.kind) {
    case 'event': {
      const view = applyEvent(followed.view, item.event)
      return { ...followed, view, loaded: true, live: liveAfter(followed.live, item.event.body) }
    }
    case 'delta': {
      const { turnId, text } = item.delta
      const before = followed.live?.turnId === turnId ? followed.live.text : ''
      return { ...followed, live: { turnId, text: before + text } }
    }
    case 'place':
      return { ...followed, place: item.place }
    case 'connection':
      return { ...followed, connection: item.state === 'open' ? LIVE : CUT, live: null }
    case 'failed':
      return { ...followed, connection: { state: 'failed', error: item.error } }
  }
}

function liveAfter(live: LiveText | null, body: { type: string }): LiveText | null {
  const ends = ['assistant.text', 'turn.completed', 'turn.failed', 'turn.interrupted']
  return ends.includes(body.type) ? null : live
}
