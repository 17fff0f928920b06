// A runner of another version, on the rules of sessions: refused with a reason, and its sandbox replaced.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { type Directives, RUNNER_PROTOCOL, type RunnerReport } from '../protocol/runner-frames.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Dispatch } from '../sessions/dispatch.ts'
import { decide, decideCreate } from '../sessions/rules/decide.ts'
import { isRefusal } from '../sessions/rules/draft.ts'
import { exampleId, exampleSession } from '../sessions/starting/new-session.fixture.ts'
import { createRunnerLink } from './runner.ts'
import type { SessionWatch } from './sessions.ts'

const NOW = { now: new Date('2026-01-01T00:00:00Z'), hasSlot: true }
const ID = exampleId('session', 1)

let closing: AbortController
beforeEach(() => {
  closing = new AbortController()
})
afterEach(() => closing.abort())

function play(lookMs?: number) {
  let last = decideCreate(ID, exampleSession(1), NOW)
  const command = async (_id: string, asked: Command) => {
    const outcome = decide(last.state, asked, NOW)
    if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
    last = outcome
    return last.state
  }
  const runnerState = async () => ({ ackedN: 0, state: last.state })
  const dispatch = { command, runnerState } as unknown as Dispatch
  const link = createRunnerLink({
    dispatch,
    watch: () => ({ get: () => known }) as unknown as SessionWatch,
    send: (_id, directives) => sent.push(directives) > 0,
    broadcast: () => undefined,
    publicUrl: null,
    onParked: async () => {
      tries++
      if (tries === 1) throw new Error('the database is away')
      parked.resolve()
    },
    closing: closing.signal,
    ...(lookMs === undefined ? {} : { lookMs }),
    logger: createSilentLogger(),
  })
  const sent: Directives[] = []
  let tries = 0
  const parked = Promise.withResolvers<void>()
  let known: { state: SessionState; credentials: { variables: object } } | undefined
  const told: boolean[] = []
  const wait = (needsAgent: boolean) => told.push(needsAgent)
  const hello = (protocol: number, signal = new AbortController().signal) =>
    link.events(ID).onHello({ protocol, lastN: 0 }, { wait, signal })
  /** A runner that is let in. */
  const connect = async () => {
    await hello(RUNNER_PROTOCOL)
    link.events(ID).onConnected()
  }
  /** As the watch does with every change. */
  const see = (state = last.state) => {
    known = { state, credentials: { variables: {} } }
    link.direct(state)
  }
  const report = (asked: RunnerReport) => command('', { type: 'runner.report', report: asked })
  const park = () => {
    link.events(ID).onParked()
    return parked.promise
  }
  const disconnect = () => link.events(ID).onDisconnected('silent')
  return {
    ...{ hello, connect, disconnect, park, command, report, see, told, sent },
    ...{ ended: link.ended, last: () => last },
  }
}

async function ready(lookMs?: number) {
  const game = play(lookMs)
  await game.command('', {
    ...{ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: null },
  })
  await game.command('', { type: 'sandbox.started', generation: 1, isolation: 'container' })
  await game.report({ type: 'runner.ready', generation: 1 })
  return game
}

it('replaces the sandbox of a ready session, whose turn goes on in another', async () => {
  const game = await ready()
  expect(await game.hello(RUNNER_PROTOCOL + 1)).toEqual({ refused: 'protocol_not_supported' })
  const { state, effects } = game.last()
  expect(state).toMatchObject({ status: 'working', sandbox: { state: 'preparing', generation: 2 } })
  expect(effects).toMatchObject([{ kind: 'sandbox.start', generation: 2 }])
})

it('replaces the sandbox whose runner does not come again in a turn, as when it is frozen', async () => {
  const game = await ready(0)
  game.see()
  await game.connect()
  game.disconnect()
  await expect.poll(() => game.last().state.sandbox.generation).toBe(2)
  closing.abort()
  await game.ended
  expect(game.last().state).toMatchObject({ status: 'working', sandbox: { state: 'preparing' } })
})

it('fails a preparation whose own runners are of another version, and says so', async () => {
  const game = play()
  expect(await game.hello(RUNNER_PROTOCOL - 1)).toEqual({ refused: 'protocol_not_supported' })
  expect(game.last().state.sandbox).toMatchObject({ state: 'preparing', generation: 2 })
  expect(await game.hello(RUNNER_PROTOCOL - 1)).toEqual({ refused: 'protocol_not_supported' })
  expect(game.last().state).toMatchObject({
    status: 'failed',
    failure: { reason: 'protocol_not_supported' },
    turn: { text: 'fix it' },
  })
})

it('says to a runner that waits whether an agent is needed, as soon as that is known, and then its work', async () => {
  const game = play()
  const greeted = game.hello(RUNNER_PROTOCOL)
  expect(game.told).toEqual([false])
  game.see()
  game.see()
  expect(game.told).toEqual([false, true])
  await game.command('', {
    ...{ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: null },
  })
  game.see()
  expect(await greeted).toMatchObject({ assignment: { repository: { commit: 'c0ffee' } } })
  expect(game.told).toEqual([false, true])
})

it('keeps no runner waiting for one that hung up before it was greeted', async () => {
  const gone = new Error('replaced')
  await expect(play().hello(RUNNER_PROTOCOL, AbortSignal.abort(gone))).rejects.toBe(gone)
})

it('tells a runner that was started again what is wanted now, whatever the watch has not seen yet', async () => {
  const game = await ready()
  const before = game.last().state
  game.see(before)
  const turnId = before.turn?.id ?? ''
  await game.report({ type: 'turn.completed', turnId, exitCode: null, durationMs: 1 })
  const asked = exampleId('turn', 2)
  await game.command('', { type: 'turn.submit', turnId: asked, kind: 'agent', text: 'go on' })
  game.sent.length = 0
  await game.connect()
  // What was on its way to the watch comes late.
  game.see(before)
  expect(game.sent.map(({ turn }) => turn?.id)).toEqual([asked])
})

it('notes that a sandbox waits for its session, also when it cannot at first', async () => {
  await play().park()
})

it('leaves a stopped session alone', async () => {
  const game = await ready()
  await game.command('', { type: 'session.stop' })
  await game.command('', { type: 'sandbox.stopped', generation: 1, why: 'user' })
  expect(await game.hello(RUNNER_PROTOCOL + 1)).toEqual({ refused: 'protocol_not_supported' })
  expect(game.last().state.sandbox.state).toBe('stopped')
})
