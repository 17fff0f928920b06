import { beforeEach, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import type { SessionState } from '../protocol/session.ts'
import { decideCreate } from '../sessions/rules/decide.ts'
import { exampleId, exampleSession } from '../sessions/starting/new-session.fixture.ts'
import { createRunnerSilence, type RunnerSilence } from './runner-silence.ts'

const LIMIT = 20
const ID = exampleId('session', 1)
const NOW = { now: new Date('2026-01-01T00:00:00Z'), hasSlot: true }
const preparing = decideCreate(ID, exampleSession(1), NOW).state
const working: SessionState = {
  ...preparing,
  sandbox: { ...preparing.sandbox, state: 'ready', generation: 3 },
}

let state: SessionState
let looks: number
let onLook: () => void
let given: [string, Command][]
let isAway: boolean
let silence: RunnerSilence

beforeEach(() => {
  state = working
  looks = 0
  given = []
  isAway = false
  silence = createRunnerSilence({
    states: () => {
      looks++
      onLook()
      return [state]
    },
    dispatch: {
      command: async (id, command) => {
        if (isAway) throw new Error('the database is away')
        given.push([id, command])
        return state
      },
    },
    logger: createSilentLogger(),
  })
})

async function look(count: number): Promise<void> {
  const closing = new AbortController()
  const end = looks + count
  onLook = () => {
    if (looks === end) closing.abort()
  }
  await silence.watch(closing.signal, 0)
}

it('is noticed after so many looks, and given up once for each of them', async () => {
  await look(LIMIT - 1)
  expect(given).toEqual([])
  await look(1)
  const lost = { type: 'sandbox.lost', generation: 3, reason: 'runner_silent' }
  expect(given).toMatchObject([[ID, lost]])
  await look(LIMIT - 1)
  expect(given).toHaveLength(1)
})

it('is none of a runner that is connected, or comes again in between, though it is not let in', async () => {
  silence.connected(ID)
  await look(2 * LIMIT)
  silence.disconnected(ID)
  await look(LIMIT - 1)
  silence.heard(ID)
  await look(LIMIT - 1)
  expect(given).toEqual([])
})

it.each([
  ['no turn', { ...working, turn: null }],
  ['a sandbox that is being prepared, which has limits of its own', preparing],
])('is nothing with %s', async (_, other) => {
  state = other
  await look(2 * LIMIT)
  expect(given).toEqual([])
})

it('is said again where it could not be said', async () => {
  isAway = true
  await look(LIMIT + 1)
  isAway = false
  await look(1)
  expect(given).toHaveLength(1)
})
