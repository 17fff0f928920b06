// A sandbox while it is prepared, and what becomes of the turn when it fails, is stopped, or is lost.
import { describe, expect, it } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import { defaultRules } from './decide.ts'
import { expectWhole, play, ready, submit, T0, T1, T2 } from './play.fixture.ts'

describe('the sandbox of a session', () => {
  it('prepares a sandbox for the first message and gives the turn to it', () => {
    const game = play()
    expect(game.types()).toEqual([
      'session.created',
      'message.queued',
      'turn.started',
      'sandbox.preparing',
    ])
    expect(game.effects).toEqual([{ kind: 'sandbox.start', generation: 1 }])
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    const prepared = game.do({
      type: 'repository.prepared',
      generation: 1,
      commit: 'c0ffee',
      baseBranch: 'main',
    })
    expect(prepared.effects).toEqual([])
    expect(game.state.repository.commit).toBe('c0ffee')
  })

  it('works on the branch that was found free', () => {
    const game = play()
    const branch = 'errand/fix-it-2'
    game.do({
      ...{
        type: 'repository.prepared',
        generation: 1,
        commit: 'c0ffee',
        baseBranch: 'main',
        branch,
      },
    })
    expect(game.state.repository).toMatchObject({ commit: 'c0ffee', branch })
  })

  it('withdraws what was begun for another sandbox than the repository asks for', () => {
    const game = play()
    for (const phase of ['fetch', 'environment', 'sandbox'] as const)
      game.do({ type: 'phase.start', phase, generation: 1 })
    game.do({ type: 'sandbox.started', generation: 1, isolation: 'container' })
    expect(game.do({ type: 'phase.withdraw', generation: 2 }).events).toEqual([])
    game.do({ type: 'phase.withdraw', generation: 1 })
    expect(game.state.sandbox.phases.map(({ name }) => name)).toEqual(['fetch'])
    game.do({ type: 'phase.start', phase: 'sandbox', generation: 1 })
    expect(game.state.sandbox.phases).toMatchObject([
      { name: 'fetch' },
      { name: 'sandbox', state: 'running', durationMs: null },
    ])
  })

  it('takes the word that it was started also when its runner was ready first', () => {
    const game = play()
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    game.do({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' })
    game.do({ type: 'phase.start', phase: 'sandbox', generation: 1 })
    game.report({ type: 'runner.ready', generation: 1 })
    const late = { type: 'sandbox.started', generation: 1, isolation: 'container' } as const
    game.do(late)
    expect(game.state.sandbox).toMatchObject({ state: 'ready', isolation: 'container' })
    expect(game.state.sandbox.phases.at(-1)).toMatchObject({ name: 'sandbox', state: 'completed' })
    expect(game.do(late).events).toEqual([])
    expect(game.do({ ...late, generation: 2 }).events).toEqual([])
    expectWhole(game)
  })

  it('keeps the turn when a preparation fails, and prepares again on retry', () => {
    const game = play()
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    const failed = game.do({
      type: 'phase.fail',
      phase: 'fetch',
      generation: 1,
      reason: 'repository_not_found',
      message: 'no such',
    })
    expect(game.state).toMatchObject({
      status: 'failed',
      failure: { reason: 'repository_not_found' },
      turn: { id: T1 },
    })
    expect(failed.effects).toEqual([{ kind: 'sandbox.stop', generation: 1, why: 'failed' }])
    const again = game.do({ type: 'session.retry' })
    expect(again.effects).toEqual([{ kind: 'sandbox.start', generation: 2 }])
    expect(game.state.sandbox).toMatchObject({ state: 'preparing', generation: 2 })
  })

  it('fails a phase at its limit, and not before', () => {
    const game = play()
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    game.wait(590_000)
    game.do({ type: 'clock.tick' })
    expect(game.state.status).not.toBe('failed')
    game.wait(10_000)
    game.do({ type: 'clock.tick' })
    expect(game.state.failure?.reason).toBe('phase_timeout')
  })

  it('keeps what an earlier preparation has done, and shows it so', () => {
    const game = play()
    game.do({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' })
    const failed = { type: 'phase.fail', phase: 'sandbox', generation: 1 } as const
    game.do({ ...failed, reason: 'r', message: 'm' })
    expect(game.do({ type: 'session.retry' }).effects).toEqual([
      { kind: 'sandbox.start', generation: 2 },
    ])
    expect(game.state.sandbox.phases).toMatchObject([
      { name: 'fetch', state: 'completed', kept: true },
    ])
    const phase = 'checkout'
    game.report({ type: 'phase.started', phase, generation: 2 })
    game.report({ type: 'phase.completed', phase, generation: 2, durationMs: 1, kept: true })
    expect(game.state.sandbox.phases[1]).toMatchObject({ name: 'checkout', kept: true })
  })

  it('starts a new sandbox for a message that came while the old one was being stopped', () => {
    const game = ready()
    game.do({ type: 'session.stop' })
    game.do({ type: 'turn.submit', turnId: T2, kind: 'agent', text: 'go on' })
    const next = game.do({ type: 'sandbox.stopped', generation: 1, why: 'user' })
    expect(next.effects).toEqual([{ kind: 'sandbox.start', generation: 2 }])
  })

  it('loses a stopped sandbox without beginning work that waits for a retry', () => {
    const game = ready()
    const lost = { type: 'sandbox.lost', generation: 1, reason: 'gone', message: 'gone' } as const
    game.do({ type: 'session.stop' })
    game.do({ type: 'sandbox.stopped', generation: 1, why: 'user' })
    game.do(lost)
    expect(game.state).toMatchObject({ status: 'idle', sandbox: { state: 'lost' } })
    const failed = play()
    failed.do({ type: 'phase.fail', phase: 'fetch', generation: 1, reason: 'r', message: 'm' })
    expect(failed.do(lost).effects).toEqual([])
    expect(failed.state).toMatchObject({ status: 'failed', sandbox: { state: 'lost' } })
  })

  it('prepares once more when the sandbox is lost on the way, and fails when that one is lost too', () => {
    const game = play()
    const lose = (generation: number) =>
      game.do({ type: 'sandbox.lost', generation, reason: 'sandbox_ended', message: 'gone' })
    game.do({ type: 'phase.start', phase: 'sandbox', generation: 1 })
    lose(1)
    expect(game.effects).toEqual([{ kind: 'sandbox.start', generation: 2 }])
    expect(game.state).toMatchObject({ status: 'working', turn: { id: T1 } })
    game.do({ type: 'phase.start', phase: 'sandbox', generation: 2 })
    lose(2)
    expect(game.state).toMatchObject({ status: 'failed', failure: { reason: 'sandbox_ended' } })
    expect(game.state.turn?.id).toBe(T1)
  })

  it('closes what a lost sandbox had asked, and goes on with the turn in another', () => {
    const game = ready()
    const base = { turnId: T1, kind: 'question' as const, title: '?', detail: '', items: [] }
    for (const id of ['q1', 'q2'])
      game.report({ type: 'question.asked', question: { ...base, id, askedAt: T0.toISOString() } })
    const answer = { allow: true, answers: {}, message: '' }
    game.do({ type: 'question.answer', questionId: 'q1', answer })
    game.do({ type: 'sandbox.lost', generation: 1, reason: 'sandbox_ended', message: 'gone' })
    expect(game.state).toMatchObject({ status: 'working', questions: [], answers: {} })
    expect(game.effects).toEqual([{ kind: 'sandbox.start', generation: 2 }])
  })

  describe('a sandbox without work', () => {
    const WATCH = { kind: 'sandbox.watch', generation: 1 }
    const STOP = { kind: 'sandbox.stop', generation: 1, why: 'idle' }
    const idle = () => {
      const game = ready()
      game.report({ type: 'turn.completed', turnId: T1, exitCode: null, durationMs: 5 })
      const tick = () => game.do({ type: 'clock.tick' }).effects
      const watched = (isWorking: boolean, generation = 1) =>
        game.do({ type: 'sandbox.watched', generation, isWorking })
      game.wait(defaultRules.idleStopMs)
      return { game, tick, watched }
    }

    it('is watched after the rule says so, and stopped when nothing computes in it', () => {
      const { tick, watched } = idle()
      expect(tick()).toEqual([WATCH])
      expect(watched(false)).toMatchObject({ events: [], effects: [STOP] })
    })

    it('is kept while something computes in it, and watched again after as long', () => {
      const { game, tick, watched } = idle()
      tick()
      expect(watched(true)).toMatchObject({
        events: [{ source: 'seen', body: { type: 'sandbox.busy', generation: 1 } }],
        effects: [],
      })
      expect(tick()).toEqual([])
      game.wait(defaultRules.idleStopMs)
      expect(tick()).toEqual([WATCH])
      expect(watched(false).effects).toEqual([STOP])
    })

    it('says once in a row that it is kept', () => {
      const { game, watched } = idle()
      const said = () =>
        game.log
          .reduce(applyEvent, emptyView)
          .timeline.filter((item) => item.kind === 'notice' && item.code === 'sandbox.busy')
      for (let times = 1; times <= 3; times++) {
        expect(watched(true).events).toHaveLength(1)
        expect(said()).toHaveLength(1)
        game.wait(defaultRules.idleStopMs)
      }
      game.do({ type: 'mode.set', mode: 'plan' })
      game.wait(defaultRules.idleStopMs)
      watched(true)
      expect(said()).toHaveLength(2)
    })

    it('is stopped after a day, though something computes on', () => {
      const { game, tick, watched } = idle()
      for (let waited = 0; waited < defaultRules.mostBusyMs; waited += defaultRules.idleStopMs) {
        expect(tick()).toEqual([WATCH])
        expect(watched(true).effects).toEqual([])
        game.wait(defaultRules.idleStopMs)
      }
      tick()
      expect(watched(true).effects).toEqual([STOP])
    })

    it('counts a new day after each turn', () => {
      const { game, tick, watched } = idle()
      tick()
      watched(true)
      expect(game.state.sandbox.busySince).not.toBeNull()
      game.do(submit(T2))
      expect(game.state.sandbox.busySince).toBeNull()
    })

    it('is not stopped for what was seen before a turn, another event or another sandbox', () => {
      const turn = idle()
      turn.tick()
      turn.game.do(submit(T2))
      expect(turn.watched(false).effects).toEqual([])
      const event = idle()
      event.tick()
      event.game.do({ type: 'session.rename', title: 'Looked at' })
      expect(event.watched(false).effects).toEqual([])
      const other = idle()
      other.tick()
      expect(other.watched(false, 2).effects).toEqual([])
    })
  })

  it('does not cancel the stop of what failed', () => {
    const game = play()
    const failed = { type: 'phase.fail', phase: 'fetch', generation: 1 } as const
    game.do({ ...failed, reason: 'r', message: 'm' })
    expect(game.effects).toEqual([{ kind: 'sandbox.stop', generation: 1, why: 'failed' }])
    expect(game.do({ type: 'session.stop' })).toMatchObject({ cancels: [], effects: [] })
  })
})
