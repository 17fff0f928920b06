import { expect, it } from 'vitest'
import type { Observation } from '../git/serving/observations.ts'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import type { Dispatch } from '../sessions/dispatch.ts'
import type { ChangeOptions } from '../store/event-log.ts'
import { followPushes } from './pushes.ts'
import { createReports } from './reports.ts'

const NO_JOURNAL = { note: () => undefined, forget: () => undefined, waiting: () => [] }

const logger = createSilentLogger()
const [ANN, BOB] = [`s_${'a'.repeat(20)}`, `s_${'b'.repeat(20)}`]

function observation(n: number, sessionId: string): Observation {
  const [old, commit] = ['0'.repeat(40), 'c'.repeat(40)]
  return {
    ...{ n, at: '2026-01-01T00:00:00.000Z', kind: 'push', sessionId, ref: 'refs/heads/errand/x' },
    ...{ old, new: commit, accepted: true, reason: null, outward: 'none', message: '' },
  }
}

/** gitd with these pushes, each connection begins after `after`; `acknowledged` resolves for a number. */
function createGitd(pushes: Observation[]) {
  const acks: number[] = []
  const waiters: { n: number; resolve: () => void }[] = []
  return {
    acks,
    source: {
      observations: async function* (after: number, signal: AbortSignal) {
        yield* pushes.filter(({ n }) => n > after)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      },
      acknowledgeObservations: async (n: number) => {
        acks.push(n)
        for (const waiter of waiters) if (waiter.n <= n) waiter.resolve()
      },
    },
    acknowledged: (n: number) =>
      new Promise<void>((resolve) => {
        waiters.push({ n, resolve })
      }),
  }
}

it('lets a session whose log cannot be written hold up no other', async () => {
  const gitd = createGitd([observation(1, ANN), observation(2, BOB), observation(3, ANN)])
  const bobs = Promise.withResolvers<void>()
  const mended = Promise.withResolvers<void>()
  const stored: number[] = []
  const closing = new AbortController()
  const store = async ({ n, sessionId }: Observation) => {
    if (sessionId === ANN) await mended.promise
    stored.push(n)
    if (sessionId === BOB) bobs.resolve()
  }
  const following = followPushes({ git: gitd.source, store, logger }, closing.signal)
  await bobs.promise
  expect(stored).toEqual([2])
  expect(gitd.acks).toEqual([])
  const all = gitd.acknowledged(3)
  mended.resolve()
  await all
  expect(stored).toEqual([2, 1, 3])
  closing.abort()
  await following
})

it('stores a push once that comes again after the gateway died', async () => {
  const taken = new Set<string>()
  const command = async (_id: string, _command: unknown, options: ChangeOptions = {}) => {
    const { reportId = '' } = options
    if (taken.has(reportId)) throw new AppError('conflict', 'already_counted', 'counted')
    taken.add(reportId)
  }
  const dispatch = { command } as unknown as Dispatch
  const reports = () =>
    createReports({ dispatch, journal: NO_JOURNAL, logger }, new AbortController().signal)
  await reports().pushed(observation(7, ANN))
  await reports().pushed(observation(7, ANN))
  await reports().pushed(observation(8, ANN))
  expect(taken.size).toBe(2)
})

it('drops with an error what is refused for good, and tries again what may pass', async () => {
  const asked: string[] = []
  const command = async (id: string) => {
    asked.push(id)
    if (id === ANN) throw new AppError('invalid', 'text_invalid', 'no')
    if (asked.length < 4) throw new AppError('unavailable', 'database_unreachable', 'no')
  }
  const dispatch = { command } as unknown as Dispatch
  const reports = createReports(
    { dispatch, journal: NO_JOURNAL, logger },
    new AbortController().signal,
  )
  await reports.pushed(observation(1, ANN))
  await reports.pushed(observation(2, BOB))
  expect(asked).toEqual([ANN, BOB, BOB, BOB])
})

it('loses no push and no tokens while the disk of the database is full', async () => {
  const stored: string[] = []
  const forgotten: string[] = []
  let refusals = 2
  const command = async (_id: string, { type }: Command) => {
    if (refusals-- > 0) throw new AppError('no_space', 'database_disk_full', 'full')
    stored.push(type)
  }
  const reports = createReports(
    {
      dispatch: { command } as unknown as Dispatch,
      journal: { ...NO_JOURNAL, forget: (id) => void forgotten.push(...stored, id) },
      logger,
    },
    new AbortController().signal,
  )
  const counts = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheCreationTokens: 0 }
  reports.used({
    ...{ ...counts, sessionId: ANN, requestId: 'r', upstreamRequestId: undefined, model: 'm' },
    ...{ costUsd: undefined, durationMs: 1, status: 200, stopReason: null },
  })
  await reports.pushed(observation(1, BOB))
  await reports.settled()
  expect(stored.toSorted()).toEqual(['model.used', 'push.accepted'])
  expect(forgotten).toContain('r')
  expect(forgotten).toContain('model.used')
})

it('holds a bounded number of denials, and of refusals of the model, while the database is away', async () => {
  let asked = 0
  const command = () => {
    asked += 1
    return new Promise<never>(() => undefined)
  }
  const dispatch = { command } as unknown as Dispatch
  const reports = createReports(
    { dispatch, journal: NO_JOURNAL, logger },
    new AbortController().signal,
  )
  const denial = {
    ...{ allowed: false, host: 'a.example', reason: 'host_not_allowed', method: 'CONNECT' },
    ...{ bytesUp: 0, bytesDown: 0, durationMs: 1, id: 'c', startedMs: 0 },
  }
  for (let n = 0; n < 100; n++) {
    const sessionId = createId('session', new Uint8Array(20).fill(n))
    for (let port = 1; port <= 50; port++) reports.decided({ ...denial, sessionId, port })
  }
  expect(asked).toBe(1_000)
  const failed = { sessionId: ANN, status: 400, reason: 'invalid', message: 'no' }
  for (let n = 0; n < 5; n++) reports.failed({ ...failed, requestId: `r${n}` })
  expect(asked).toBe(1_000)
})
