// The network log of one session: what is there, then what comes. An entry that is told again takes the place of the earlier.
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { NetworkEntry } from '../../../src/protocol/network-log.ts'
import { useApi } from '../app/api.ts'
import { useRecentlyVisible } from '../app/page-visible.ts'
import { keys } from '../app/queries.ts'

const HIDDEN_GRACE_MS = 30_000
/** Entries that come in close order are shown together. */
const SHOW_MS = 150
const USAGE_MS = 10_000

export function useNetwork(sessionId: string, policy: string) {
  const api = useApi()
  return useQuery({
    queryKey: [...keys.network(sessionId), policy],
    queryFn: () => api.readNetwork(sessionId, { limit: 1 }),
    placeholderData: (previous) => previous,
    refetchInterval: USAGE_MS,
  })
}

export function useNetworkEntries(sessionId: string): ReadonlyMap<string, NetworkEntry> {
  const api = useApi()
  const seen = useRecentlyVisible(HIDDEN_GRACE_MS)
  const [entries, setEntries] = useState<ReadonlyMap<string, NetworkEntry>>(new Map())
  useEffect(() => {
    if (!seen) return
    const abort = new AbortController()
    const known = new Map<string, NetworkEntry>()
    let timer: ReturnType<typeof setTimeout> | undefined
    const show = () => {
      timer = undefined
      setEntries(new Map(known))
    }
    const read = async () => {
      for await (const item of api.followNetwork(sessionId, { signal: abort.signal })) {
        if (item.kind !== 'entry') continue
        known.set(item.entry.id, item.entry)
        timer ??= setTimeout(show, SHOW_MS)
      }
    }
    // What refuses it refuses the rest of the page as well, which says so.
    read().catch(() => undefined)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [api, sessionId, seen])
  return entries
}
