// The list of sessions after the server was cut off from the database for a while: nothing that changed meanwhile is missing.
import { afterEach, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import type { SessionSummary } from '../../protocol/api.ts'
import { exampleId } from '../../sessions/starting/new-session.fixture.ts'
import { testState } from '../../store/session.fixture.ts'
import { streamList } from './event-stream.ts'
import { createLiveFeed } from './live.ts'

const ended = new AbortController()
afterEach(() => ended.abort())

it('sends the whole list again when changes may have been missed', async () => {
  let reconnect: () => void = () => undefined
  const live = createLiveFeed({
    notifications: {
      onSession: () => () => undefined,
      onLoad: () => () => undefined,
      onNetwork: () => () => undefined,
      onReconnect: (listener) => {
        reconnect = listener
        return () => undefined
      },
    },
    readSession: async () => undefined,
    readPlaces: async () => new Map(),
    logger: createSilentLogger(),
  })
  let titles = ['before']
  const frames = streamList({
    ...{ ownerId: 'ann', live, signal: ended.signal },
    list: async () =>
      titles.map((title) => ({ id: `s_${'a'.repeat(20)}`, title }) as unknown as SessionSummary),
    times: { heartbeatMs: 60_000, lifeMs: 60_000 },
  })
  const next = async (): Promise<string> => {
    const { value } = await frames.next()
    return /^event: sessions\n/.test(value) ? value : next()
  }
  expect(await next()).toContain('before')
  titles = ['made during the outage']
  reconnect()
  expect(await next()).toContain('made during the outage')
  live.close()
})

it('shows a change that could not be read at first', async () => {
  const id = exampleId('session', 1)
  let changed: (sessionId: string, seq: number) => void = () => undefined
  let failures = 2
  const live = createLiveFeed({
    notifications: {
      onSession: (listener) => {
        changed = listener
        return () => undefined
      },
      onLoad: () => () => undefined,
      onNetwork: () => () => undefined,
      onReconnect: () => () => undefined,
    },
    readSession: async () => {
      if (failures-- > 0) throw new Error('the database is away')
      return testState(id, { lastSeq: 2, now: new Date(0) })
    },
    readPlaces: async () => new Map(),
    logger: createSilentLogger(),
  })
  const shown = Promise.withResolvers<string>()
  live.watchOwner('owner', {
    session: (summary) => shown.resolve(summary.id),
    removed: () => undefined,
    reset: () => undefined,
  })
  changed(id, 2)
  expect(await shown.promise).toBe(id)
  live.close()
})
