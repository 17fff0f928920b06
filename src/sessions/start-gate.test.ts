// Who may start when: the order, and each way in which a place becomes free again.
import { expect, it, onTestFinished, vi } from 'vitest'
import { PHASE_LIMITS_MS, type SessionState } from '../protocol/session.ts'
import { createStartGate, startPlaces } from './start-gate.ts'

type SandboxState = SessionState['sandbox']['state']

/** Two places. `entered` holds the sandboxes that may start, in their order. */
function createPlaces({ holdMs = 60_000 } = {}) {
  const states = new Map<string, SandboxState>()
  const listeners = new Set<(sessionId: string) => void>()
  const asked: string[] = []
  const gate = createStartGate(
    {
      onSession: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      getSession: async (id) => {
        asked.push(id)
        const state = states.get(id)
        if (state === undefined) throw new Error('the database is away')
        return { sandbox: { state } } as SessionState
      },
    },
    { atOnce: 2, holdMs },
  )
  onTestFinished(() => {
    gate.close()
    expect(listeners.size).toBe(0)
  })
  const entered: string[] = []
  return {
    gate,
    asked,
    entered,
    enter: (id: string, signal = new AbortController().signal) => {
      if (!states.has(id)) states.set(id, 'preparing')
      return gate.enter(id, signal).then(() => void entered.push(id))
    },
    become: (id: string, state: SandboxState | undefined) => {
      if (state === undefined) states.delete(id)
      else states.set(id, state)
      for (const listener of listeners) listener(id)
    },
  }
}

it('lets in as many as there are places, and the others in their order as sandboxes are ready', async () => {
  const { enter, become, entered } = createPlaces()
  const all = ['a', 'b', 'c', 'd'].map((id) => enter(id))
  await Promise.all(all.slice(0, 2))
  expect(entered).toEqual(['a', 'b'])
  become('b', 'preparing')
  become('a', 'ready')
  await all[2]
  become('b', 'lost')
  await all[3]
  expect(entered).toEqual(['a', 'b', 'c', 'd'])
})

it('reads no state while nobody waits, and finds out who has been ready since', async () => {
  const { enter, become, asked } = createPlaces()
  await Promise.all([enter('a'), enter('b')])
  become('a', 'ready')
  expect(asked).toEqual([])
  await enter('c')
  expect(asked).toEqual(['a', 'b'])
})

it('lets the next one in when one could not be started', async () => {
  const { enter, gate, entered } = createPlaces()
  const third = Promise.all([enter('a'), enter('b')]).then(() => enter('c'))
  await vi.waitFor(() => expect(entered).toEqual(['a', 'b']))
  gate.leave('b')
  await third
})

it('waits no longer for one that is neither ready nor ended after its time, nor for a database that is away', async () => {
  const { enter, become, entered } = createPlaces({ holdMs: 20 })
  const all = ['a', 'b', 'c', 'd'].map((id) => enter(id))
  become('a', undefined)
  await Promise.all(all)
  expect(entered).toEqual(['a', 'b', 'c', 'd'])
})

it('forgets one that is not to start any more', async () => {
  const { enter, become, entered } = createPlaces()
  const stopped = new AbortController()
  await Promise.all([enter('a'), enter('b')])
  const third = enter('c', stopped.signal)
  const fourth = enter('d')
  stopped.abort(new Error('stopped'))
  await expect(third).rejects.toThrow('stopped')
  become('a', 'stopped')
  await fourth
  expect(entered).toEqual(['a', 'b', 'd'])
})

it('gives one that starts again a place anew', async () => {
  const { enter, become, entered } = createPlaces()
  await Promise.all([enter('a'), enter('b')])
  await enter('a')
  const third = enter('c')
  become('a', 'ready')
  await third
  expect(entered).toEqual(['a', 'b', 'a', 'c'])
})

it.each([
  { processors: 2, concurrency: 4, atOnce: 2 },
  { processors: 2, concurrency: 20, atOnce: 5 },
  { processors: 16, concurrency: 4, atOnce: 16 },
  { processors: 1, concurrency: 1, atOnce: 1 },
])(
  'has $atOnce places for $processors processors where $concurrency may work',
  ({ atOnce, ...machine }) => {
    expect(startPlaces(machine).atOnce).toBe(atOnce)
  },
)

it('keeps the last of as many as may work waiting for a small part of the limit of its phase', () => {
  for (const concurrency of [1, 10, 100, 1_000]) {
    const { atOnce, holdMs } = startPlaces({ processors: 1, concurrency })
    const waitedMs = (Math.ceil(concurrency / atOnce) - 1) * holdMs
    expect(waitedMs).toBeLessThan(PHASE_LIMITS_MS.sandbox / 4)
  }
})
