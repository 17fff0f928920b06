// A session that is played by its rules alone: commands one second apart, and the log that they leave.
import { expect } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import type { Command } from '../../protocol/command.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { SessionState } from '../../protocol/session.ts'
import { exampleId, exampleSession } from '../starting/new-session.fixture.ts'
import { decide, decideCreate, defaultRules } from './decide.ts'
import { type Decision, isRefusal } from './draft.ts'

export const SESSION = exampleId('session', 1)
export const [T1, T2] = [exampleId('turn', 1), exampleId('turn', 2)]
export const T0 = new Date('2026-01-01T00:00:00Z')

export const submit = (turnId: string): Command => ({
  ...{ type: 'turn.submit', turnId, kind: 'agent', text: 'and then' },
})

/** Plays commands one second apart and keeps the log, as the store does. */
export function play() {
  let clock = T0.getTime()
  const first = decideCreate(SESSION, exampleSession(1), { now: T0, hasSlot: true })
  const log: SessionEvent[] = []
  const keep = (decision: Decision) => {
    for (const { source, body } of decision.events) {
      log.push({
        sessionId: SESSION,
        seq: log.length + 1,
        at: new Date(clock).toISOString(),
        source,
        body,
      })
    }
    return decision
  }
  let last = keep(first)
  return {
    log,
    hasSlot: true,
    get state(): SessionState {
      return last.state
    },
    get effects() {
      return last.effects
    },
    get cancels() {
      return last.cancels
    },
    wait(ms: number) {
      clock += ms
    },
    do(command: Command): Decision {
      clock += 1_000
      const outcome = decide(
        last.state,
        command,
        { now: new Date(clock), hasSlot: this.hasSlot },
        defaultRules,
      )
      if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
      last = keep(outcome)
      return last
    },
    report(report: RunnerReport) {
      return this.do({ type: 'runner.report', report })
    },
    types: () => log.map((event) => event.body.type),
  }
}

export function ready() {
  const game = play()
  game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
  game.do({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' })
  game.do({ type: 'phase.start', phase: 'sandbox', generation: 1 })
  game.do({ type: 'sandbox.started', generation: 1, isolation: 'container' })
  game.report({ type: 'runner.ready', generation: 1 })
  return game
}

export function expectWhole(game: ReturnType<typeof play>) {
  expect(game.log.reduce(applyEvent, emptyView).session).toEqual(game.state)
  const { turn, sandbox, queue, status } = game.state
  if (turn && sandbox.state !== 'preparing' && sandbox.state !== 'ready') {
    expect(status).toMatch(/failed|queued/)
  }
  if (status === 'queued') expect(turn ?? queue[0]).toBeDefined()
  if (status === 'working') expect(turn).not.toBeNull()
}

export const push = (outward: 'kept' | 'forwarded') =>
  ({
    type: 'push.accepted',
    ref: 'refs/heads/errand/fix',
    commit: 'c0ffee',
    outward,
    message: 'no answer',
  }) as const
export const failedForward = (attempt: number, passes: boolean, reason = 'r') =>
  ({ type: 'push.forward-fail', attempt, passes, reason, message: 'm' }) as const
