// Finds out whether a task of which nobody knows whether it was started is a session by now: only its answer may have been lost.
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { useApi } from '../app/api.ts'
import { keys } from '../app/queries.ts'
import { useUnsentTurn } from './unsent-turn.ts'

const INTERVAL_MS = 3_000

export function useBegun(place: string, onBegun: (session: SessionSummary) => void): void {
  const api = useApi()
  const turnId = useUnsentTurn(place)
  const { data } = useQuery({
    queryKey: keys.begun(turnId ?? ''),
    queryFn: async () => (await api.findBegun(turnId ?? '')) ?? null,
    enabled: turnId !== undefined,
    refetchInterval: INTERVAL_MS,
    retry: false,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when it is found.
  useEffect(() => {
    if (turnId !== undefined && data) onBegun(data)
  }, [turnId, data])
}
