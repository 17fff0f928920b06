// Time against the rules of a session: a start that is slower than its limit, and work that keeps a sandbox.
import { expect, it } from 'vitest'
import type { Command } from '../../protocol/command.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { exampleId, exampleSession } from '../starting/new-session.fixture.ts'
import { decide, decideCreate, defaultRules, rulesOf } from './decide.ts'
import { nextDeadline } from './decide-report.ts'
import { isRefusal } from './draft.ts'

function play() {
  let now = Date.parse('2026-01-01T00:00:00Z')
  const moment = () => ({ now: new Date(now), hasSlot: true })
  let last = decideCreate(exampleId('session', 1), exampleSession(1), moment())
  const run = (command: Command) => {
    const outcome = decide(last.state, command, moment(), defaultRules)
    if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
    last = outcome
    return outcome
  }
  return {
    run,
    report: (report: RunnerReport) => run({ type: 'runner.report', report }),
    /** Lets the clock run to the next deadline and look. */
    untilDeadline: () => {
      now = nextDeadline(last.state, defaultRules)?.at.getTime() ?? now
      return run({ type: 'clock.tick' })
    },
    wait: (ms: number) => {
      now += ms
    },
    state: () => last.state,
  }
}

it('starts no second run when a start takes longer than its limit, however late the first one is ready', () => {
  const game = play()
  game.run({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: null })
  game.run({ type: 'phase.start', phase: 'sandbox', generation: 1 })
  const late = game.untilDeadline()
  expect(late.state).toMatchObject({ status: 'failed', failure: { reason: 'phase_timeout' } })
  expect(late.effects).toEqual([{ kind: 'sandbox.stop', generation: 1, why: 'failed' }])
  for (const report of [
    game.run({ type: 'sandbox.started', generation: 1, isolation: 'container' }),
    game.report({ type: 'runner.ready', generation: 1 }),
    game.run({ type: 'clock.tick' }),
  ]) {
    expect([report.events, report.effects]).toEqual([[], []])
  }
  expect(game.state()).toMatchObject({ status: 'failed', turn: { text: 'fix it' } })
  const again = game.run({ type: 'session.retry' })
  expect(again.effects).toEqual([{ kind: 'sandbox.start', generation: 2 }])
  expect(game.report({ type: 'runner.ready', generation: 1 }).events).toEqual([])
})

it('keeps a sandbox for as long as it works, and counts idle time from the end of its work', () => {
  const game = play()
  game.run({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: null })
  game.run({ type: 'sandbox.started', generation: 1, isolation: 'container' })
  game.report({ type: 'runner.ready', generation: 1 })
  expect(nextDeadline(game.state(), defaultRules)).toBeUndefined()
  const completed = { type: 'turn.completed', exitCode: null, durationMs: 1 } as const
  game.report({ ...completed, turnId: exampleId('turn', 1) })
  const first = nextDeadline(game.state(), defaultRules)?.at.getTime() ?? 0
  game.wait(defaultRules.idleStopMs - 1)
  game.run({ type: 'turn.submit', turnId: exampleId('turn', 2), kind: 'agent', text: 'more' })
  game.wait(defaultRules.idleStopMs)
  expect(game.run({ type: 'clock.tick' }).effects).toEqual([])
  game.report({ ...completed, turnId: exampleId('turn', 2) })
  const second = nextDeadline(game.state(), defaultRules)?.at.getTime() ?? 0
  expect(second - first).toBe(2 * defaultRules.idleStopMs - 1)
})

it('keeps a sandbox that rests for as long as the installation says, or for good', () => {
  const game = play()
  game.run({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: null })
  game.run({ type: 'sandbox.started', generation: 1, isolation: 'container' })
  game.report({ type: 'runner.ready', generation: 1 })
  const completed = { type: 'turn.completed', exitCode: null, durationMs: 1 } as const
  game.report({ ...completed, turnId: exampleId('turn', 1) })
  const state = game.state()
  const stopAfter = (idleMinutes: number) => {
    const due = nextDeadline(state, rulesOf({ concurrency: 1, idleMinutes }))
    return due && due.at.getTime() - new Date(state.updatedAt).getTime()
  }
  expect(stopAfter(240)).toBe(240 * 60_000)
  expect(stopAfter(0)).toBeUndefined()
  const late = { now: new Date('2036-01-01T00:00:00Z'), hasSlot: true }
  const rules = rulesOf({ concurrency: 1, idleMinutes: 0 })
  expect(decide(state, { type: 'clock.tick' }, late, rules)).toMatchObject({ effects: [] })
})
