// The list of sessions after the server was cut off from the database for a while: sent again as a whole.
import { afterEach, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import type { SessionSummary } from '../../protocol/api.ts'
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
