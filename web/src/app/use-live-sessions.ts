// Keeps the list of sessions up to date from its stream while the tab is seen.
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { FollowedList } from '../../../src/client/follow.ts'
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { useApi } from './api.ts'
import { usePageVisible } from './page-visible.ts'
import { keys, LISTED_AT_ONCE } from './queries.ts'

/** True while the stream is cut and being opened again. */
export function useLiveSessions(signedIn: boolean): boolean {
  const api = useApi()
  const queries = useQueryClient()
  const visible = usePageVisible()
  const [cut, setCut] = useState(false)
  useEffect(() => {
    if (!signedIn || !visible) return
    const abort = new AbortController()
    const askAgain = () => queries.invalidateQueries({ queryKey: keys.sessions })
    const take = (change: FollowedList) => {
      if (change.kind === 'connection') setCut(change.state === 'waiting')
      // Of so many it tells the latest only.
      else if (change.kind === 'sessions' && change.sessions.length >= LISTED_AT_ONCE)
        void askAgain()
      else
        queries.setQueryData<SessionSummary[]>(keys.sessions, (old) =>
          changedList(old ?? [], change),
        )
    }
    const read = async () => {
      for await (const change of api.followSessions({ signal: abort.signal })) {
        if (abort.signal.aborted) return
        take(change)
      }
    }
    // A refusal ends the stream; asking for the list shows why.
    read().catch(askAgain)
    return () => abort.abort()
  }, [api, queries, visible, signedIn])
  return cut
}

function changedList(old: SessionSummary[], change: FollowedList): SessionSummary[] {
  switch (change.kind) {
    case 'connection':
      return old
    case 'sessions': {
      // The stream leaves out the archived ones, which the first answer had.
      const listed = new Set(change.sessions.map(({ id }) => id))
      const archived = old.filter(({ id, status }) => status === 'archived' && !listed.has(id))
      return [...change.sessions, ...archived]
    }
    case 'session':
      return [change.session, ...old.filter(({ id }) => id !== change.session.id)]
    case 'removed':
      return old.filter(({ id }) => id !== change.id)
  }
}
