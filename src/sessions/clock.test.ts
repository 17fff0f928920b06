import { describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { AppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import { type ClockDeps, createClock, reconcile, tick } from './clock.ts'
import type { Dispatch } from './dispatch.ts'
import type { SandboxPort } from './effects.ts'

const ID = `s_${'a'.repeat(20)}`

/** A session whose sandbox of that generation was started, and nothing that runs. */
function setUp() {
  let generation = 1
  const told: Command[] = []
  const phases = [{ name: 'sandbox', state: 'completed' }]
  const session = () => ({ id: ID, sandbox: { state: 'ready', generation, phases } })
  const deps: ClockDeps = {
    directory: {
      listBySandboxState: async () => [session() as unknown as SessionState],
      get: async () => session() as unknown as SessionState,
    } as unknown as SessionDirectory,
    dispatch: {
      command: async (_id: string, command: Command) => {
        told.push(command)
      },
    } as unknown as Dispatch,
    sandboxes: { list: async () => [] } as unknown as SandboxPort,
    standbys: { has: async () => false },
    layers: { findBuilding: async () => undefined },
    effects: { countOpen: async () => 0, prune: async () => 0 },
    logger: createSilentLogger(),
  }
  return {
    ...{ deps, told, missing: new Map() },
    prepareAgain: () => {
      generation += 1
    },
  }
}

it('takes no sandbox for lost because an earlier one of the session was missed', async () => {
  const { deps, told, missing, prepareAgain } = setUp()
  await reconcile(deps, missing)
  prepareAgain()
  await reconcile(deps, missing)
  expect(told).toEqual([])
  await reconcile(deps, missing)
  expect(told).toMatchObject([{ type: 'sandbox.lost', generation: 2 }])
})

it('takes no sandbox for lost that is being stopped, however long its disk takes to be let go', async () => {
  const { deps, told, missing } = setUp()
  let open = 1
  let state = 'ready'
  const session = async () =>
    ({ id: ID, sandbox: { state, generation: 1, phases: [] } }) as unknown as SessionState
  const stopping: ClockDeps = {
    ...deps,
    effects: {
      ...deps.effects,
      countOpen: async (kind, id) => (kind === 'sandbox.stop' && id === ID ? open : 0),
    },
    directory: { ...deps.directory, get: session },
  }
  for (let look = 1; look <= 20; look++) await reconcile(stopping, missing)
  expect(told).toEqual([])
  // What this look has read of it was true before the stop had ended.
  open = 0
  state = 'stopped'
  await reconcile(stopping, missing)
  expect(told).toEqual([])
  // One whose stop never ends: whoever waits in it has another.
  open = 1
  state = 'ready'
  for (let look = 1; look <= 60; look++) await reconcile(stopping, missing)
  expect(told.slice(0, 1)).toMatchObject([{ type: 'sandbox.lost', generation: 1 }])
})

it('takes for lost what a runner has made ready, though nobody could note that it was started', async () => {
  const { deps, told, missing } = setUp()
  const session = (state: string) =>
    ({
      id: ID,
      sandbox: { state, generation: 1, phases: [{ name: 'sandbox', state: 'running' }] },
    }) as unknown as SessionState
  const look = (state: string) =>
    reconcile(
      {
        ...deps,
        directory: { ...deps.directory, listBySandboxState: async () => [session(state)] },
      },
      missing,
    )
  for (let count = 1; count <= 3; count++) await look('preparing')
  expect(told).toEqual([])
  for (let count = 1; count <= 2; count++) await look('ready')
  expect(told).toMatchObject([{ type: 'sandbox.lost', generation: 1 }])
})

it('counts the time of what rests anew when it begins, once it could', async () => {
  const { deps, told } = setUp()
  const resting = { id: ID, turn: null, sandbox: { state: 'ready' } } as unknown as SessionState
  let tries = 0
  let ticks = 0
  const ticked = Promise.withResolvers<void>()
  const directory: SessionDirectory = {
    ...deps.directory,
    listBySandboxState: async (states) => {
      if (states.length > 1) return []
      tries++
      if (tries === 1) throw new Error('the database is away')
      return [resting]
    },
    listOverdue: async () => {
      ticks++
      if (ticks === 2) ticked.resolve()
      return []
    },
  }
  const clock = createClock({ ...deps, directory }, { tickMs: 1, reconcileMs: 60_000 })
  await ticked.promise
  await clock.close()
  expect(told).toEqual([{ type: 'clock.tick' }])
})

it('has forgotten what effects ended a week ago', async () => {
  const { deps } = setUp()
  const pruned = Promise.withResolvers<Date>()
  const prune = async (before: Date) => {
    pruned.resolve(before)
    return 0
  }
  const effects = { ...deps.effects, prune }
  const directory = { ...deps.directory, listBySandboxState: async () => [] }
  const clock = createClock(
    { ...deps, directory, effects },
    { tickMs: 60_000, reconcileMs: 60_000 },
  )
  const ageMs = Date.now() - (await pruned.promise).getTime()
  await clock.close()
  expect(Math.round(ageMs / 3_600_000)).toBe(7 * 24)
})

describe('a session whose state this version cannot read', () => {
  const OTHER = `s_${'b'.repeat(20)}`
  const unreadable =
    (told: [string, Command['type']][]) => async (id: string, command: Command) => {
      if (id === ID) throw new AppError('internal', 'state_unreadable', 'Not readable.')
      told.push([id, command.type])
    }

  it('keeps no other one from its limit, though it is always the first that is due', async () => {
    const { deps } = setUp()
    const told: [string, Command['type']][] = []
    const dispatch = { command: unreadable(told) } as unknown as Dispatch
    const listOverdue = async () => [ID, OTHER]
    await tick({ ...deps, dispatch, directory: { ...deps.directory, listOverdue } })
    expect(told).toEqual([[OTHER, 'clock.tick']])
  })

  it('keeps no other one from being told that its sandbox is lost', async () => {
    const { deps, missing } = setUp()
    const told: [string, Command['type']][] = []
    const dispatch = { command: unreadable(told) } as unknown as Dispatch
    const [one] = await deps.directory.listBySandboxState(['ready'])
    const both = [one, { ...one, id: OTHER }] as SessionState[]
    const directory = { ...deps.directory, listBySandboxState: async () => both }
    for (let look = 1; look <= 2; look++) await reconcile({ ...deps, dispatch, directory }, missing)
    expect(told).toEqual([[OTHER, 'sandbox.lost']])
  })
})
