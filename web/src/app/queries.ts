// Requests whose answers several parts of the page share. What happens inside a session comes from its events instead.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { Client } from '../../../src/client/client.ts'
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { describeError, useApi } from './api.ts'
import { usePageVisible } from './page-visible.ts'

const HIDDEN_INTERVAL_MS = 15_000
/** How many sessions one answer, and the stream, have at most. */
export const LISTED_AT_ONCE = 200
/** Older ones are found by their address only. */
const MOST_LISTED = 2000

export const keys = {
  installation: ['installation'],
  installationNetwork: ['installation', 'network'],
  sessions: ['sessions'],
  environments: ['environments'],
  credentials: ['credentials'],
  begun: (turnId: string) => ['begun', turnId],
  view: (id: string) => ['view', id],
  diff: (id: string) => ['diff', id],
  network: (id: string) => ['network', id],
} as const

const retry = (count: number, error: unknown) =>
  describeError(error).code !== 'unauthenticated' && count < 2

export function useInstallation() {
  const api = useApi()
  return useQuery({
    queryKey: keys.installation,
    queryFn: () => api.getInstallation(),
    staleTime: 60_000,
    retry,
  })
}

/** Read once and then kept up to date by `useLiveSessions`; a hidden tab asks now and then for the sake of its title. */
export function useSessions() {
  const api = useApi()
  const visible = usePageVisible()
  return useQuery({
    queryKey: keys.sessions,
    queryFn: () => readSessions(api),
    refetchInterval: visible ? false : HIDDEN_INTERVAL_MS,
    refetchIntervalInBackground: true,
    retry,
  })
}

/** Latest change first. */
async function readSessions(api: Client): Promise<SessionSummary[]> {
  const all = new Map<string, SessionSummary>()
  let before: string | undefined
  do {
    const page = await api.listSessions({ limit: LISTED_AT_ONCE, archived: true, before })
    for (const session of page.sessions) if (!all.has(session.id)) all.set(session.id, session)
    before = page.next ?? undefined
  } while (before !== undefined && all.size < MOST_LISTED)
  return [...all.values()]
}

export function useEnvironments({ archived = false } = {}) {
  const api = useApi()
  return useQuery({
    queryKey: [...keys.environments, archived],
    queryFn: () => api.listEnvironments({ archived }),
  })
}

export function useEnvironmentDefaults() {
  const api = useApi()
  return useQuery({
    queryKey: [...keys.environments, 'defaults'],
    queryFn: () => api.getEnvironmentDefaults(),
  })
}

/** A change of environments; their list and the defaults are read again. */
export function useEnvironmentChange<Input, Result>(request: (input: Input) => Promise<Result>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: request,
    onSettled: () => queries.invalidateQueries({ queryKey: keys.environments }),
  })
}

/** `repository`: which of the additional ones; the main one without. */
export function useDiff(sessionId: string, repository: string | undefined, commit: string | null) {
  const api = useApi()
  return useQuery({
    queryKey: [...keys.diff(sessionId), repository ?? null, commit],
    queryFn: () => api.getDiff(sessionId, repository),
    // Of the same repository: that of another one would be shown as if it were of this.
    placeholderData: (previous, query) =>
      query?.queryKey[2] === (repository ?? null) ? previous : undefined,
    staleTime: 30_000,
  })
}

/** A change asked of the server; what came of it is seen in events and in the list. */
export function useRequest<Input, Result>(request: (input: Input) => Promise<Result>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: request,
    onSettled: () => queries.invalidateQueries({ queryKey: keys.sessions }),
  })
}
