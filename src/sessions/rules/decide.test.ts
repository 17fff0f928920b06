// Commands against the rules of a session.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exampleId } from '../starting/new-session.fixture.ts'
import {
  expectWhole,
  failedForward,
  play,
  push,
  ready,
  submit,
  T0,
  T1,
  T2,
} from './play.fixture.ts'

describe('decide', () => {
  it('allows what the repository asks to reach only when somebody says so, once', () => {
    const game = play()
    const text = 'network: { domains: [a.example] }\nvariables: { A: 1 }'
    game.do({
      ...{ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' },
      environmentFile: { text, truncated: false, hasImage: false },
    })
    // The runner is told its work with the commit: what it needs of the file must be known by then.
    expect(game.types().slice(-3, -1)).toEqual(['environment.read', 'repository.resolved'])
    expect(game.state.environment).toMatchObject({ network: { level: 'trusted' }, variables: {} })
    expect(game.state.environmentFile).toMatchObject({ variables: { A: '1' } })
    game.do({ type: 'environment.allow', scope: 'session' })
    expect(game.state.environment.network).toEqual({
      ...{ level: 'custom', domains: ['a.example'], includeTrusted: true },
    })
    const again = () => game.do({ type: 'environment.allow', scope: 'session' })
    expect(again).toThrow('nothing_to_allow')
  })

  it('lets a host be reached, and sets what may be reached, also while it works', () => {
    const game = ready()
    const allow = (host: string) => game.do({ type: 'environment.allow', scope: 'session', host })
    allow('api.example:8443')
    const network = { level: 'custom', domains: ['api.example:8443'], includeTrusted: true }
    expect(game.state.environment.network).toEqual(network)
    expect(() => allow('api.example:8443')).toThrow('nothing_to_allow')
    const set = (level: 'none' | 'full') =>
      game.do({ type: 'network.set', network: { level, domains: [], includeTrusted: false } })
    const before = game.types().length
    set('none')
    set('none')
    expect(game.types().slice(before)).toEqual(['network.changed'])
    allow('b.example')
    expect(game.state.environment.network).toMatchObject({
      level: 'custom',
      domains: ['b.example'],
    })
    expect(game.state.environment.network.includeTrusted).toBe(false)
    set('full')
    expect(() => allow('c.example')).toThrow('nothing_to_allow')
  })

  it('keeps a wish of the repository that another host does not grant', () => {
    const game = play()
    game.do({
      ...{ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' },
      environmentFile: {
        text: 'network: { domains: [a.example] }',
        ...{ truncated: false, hasImage: false },
      },
    })
    game.do({ type: 'environment.allow', scope: 'session', host: 'b.example' })
    expect(game.state.environmentFile?.network).toMatchObject({ domains: ['a.example'] })
    game.do({ type: 'environment.allow', scope: 'session', host: 'a.example' })
    expect(game.state.environmentFile?.network).toBeNull()
  })

  it('has one turn at a time, queues the rest and goes on with the next', () => {
    const game = ready()
    game.do({ type: 'turn.submit', turnId: T2, kind: 'agent', text: 'and then' })
    expect(game.state.turn?.id).toBe(T1)
    expect(game.state.queue.map((turn) => turn.id)).toEqual([T2])
    game.report({ type: 'turn.completed', turnId: T1, exitCode: null, durationMs: 5 })
    expect(game.state.turn?.id).toBe(T2)
    expect(game.state.queue).toEqual([])
  })

  it('takes a message once, however often it is sent, also when others have ended since', () => {
    const game = ready()
    const complete = (turnId: string) =>
      game.report({ type: 'turn.completed', turnId, exitCode: null, durationMs: 5 })
    game.do(submit(T2))
    complete(T1)
    complete(T2)
    const { log } = game
    for (const turnId of [T1, T2]) expect(game.do(submit(turnId)).events).toEqual([])
    expect([game.state.turn, game.state.queue]).toEqual([null, []])
    const queued = log.flatMap(({ body }) => (body.type === 'message.queued' ? [body.turnId] : []))
    expect(queued).toEqual([T1, T2])
  })

  it('interrupts only the turn that was meant, where one is named', () => {
    const game = ready()
    game.do(submit(T2))
    expect(() => game.do({ type: 'turn.interrupt', turnId: T2 })).toThrow('turn_not_current')
    expect(game.state.turn).toMatchObject({ id: T1, interruptRequested: false })
    game.report({ type: 'turn.completed', turnId: T1, exitCode: null, durationMs: 5 })
    expect(() => game.do({ type: 'turn.interrupt', turnId: T1 })).toThrow('turn_not_current')
    expect(game.state.turn).toMatchObject({ id: T2, interruptRequested: false })
    game.do({ type: 'turn.interrupt', turnId: T2 })
    expect(game.state.turn).toMatchObject({ id: T2, interruptRequested: true })
  })

  it('takes a waiting message back, but not one that was started', () => {
    const game = ready()
    game.do({ type: 'turn.submit', turnId: T2, kind: 'agent', text: 'and then' })
    game.do({ type: 'message.withdraw', turnId: T2 })
    expect(game.state.queue).toEqual([])
    expect(() => game.do({ type: 'message.withdraw', turnId: T1 })).toThrow('message_started')
  })

  it('ignores claims about another turn and reports of an earlier sandbox', () => {
    const game = ready()
    const before = game.log.length
    game.report({ type: 'assistant.text', turnId: T2, uuid: 'u', text: 'late' })
    game.report({ type: 'turn.completed', turnId: T2, exitCode: null, durationMs: 1 })
    game.report({
      type: 'phase.failed',
      phase: 'agent',
      generation: 0,
      durationMs: 1,
      reason: 'old',
      message: 'old',
    })
    game.do({ type: 'sandbox.lost', generation: 0, reason: 'old', message: 'old' })
    expect(game.log.length).toBe(before)
  })

  it('stops in every state: the turn ends, effects are cancelled, the files stay', () => {
    for (const game of [play(), ready()]) {
      const stopped = game.do({ type: 'session.stop' })
      expect(stopped.cancels).toEqual(['sandbox'])
      expect(stopped.effects).toEqual([{ kind: 'sandbox.stop', generation: 1, why: 'user' }])
      expect(game.state.turn).toBeNull()
      game.do({ type: 'sandbox.stopped', generation: 1, why: 'user' })
      expect(game.state.sandbox.state).toBe('stopped')
    }
  })

  it('waits for an answer, and hands it out until the runner has closed the question', () => {
    const game = ready()
    const question = {
      id: 'q1',
      turnId: T1,
      kind: 'question' as const,
      title: 'Which?',
      detail: '',
      items: [],
      askedAt: T0.toISOString(),
    }
    game.report({ type: 'question.asked', question })
    expect(game.state.status).toBe('waiting')
    game.do({
      type: 'question.answer',
      questionId: 'q1',
      answer: { allow: true, answers: { 'Which?': 'Euro' }, message: '' },
    })
    expect(game.state.status).toBe('working')
    expect(game.state.answers.q1?.answers).toEqual({ 'Which?': 'Euro' })
    expect(() =>
      game.do({
        type: 'question.answer',
        questionId: 'q1',
        answer: { allow: true, answers: {}, message: '' },
      }),
    ).toThrow('question_closed')
    game.report({ type: 'question.closed', questionId: 'q1' })
    expect(game.state.answers).toEqual({})
  })

  it('builds the same state as the events alone, whatever happens', () => {
    const step = fc.constantFrom<(game: ReturnType<typeof play>) => void>(
      (game) => game.do({ type: 'turn.submit', turnId: T2, kind: 'agent', text: 'x' }),
      (game) => game.do(submit(exampleId('turn', game.log.length + 2))),
      (game) => game.do({ type: 'turn.interrupt' }),
      (game) => game.do({ type: 'turn.interrupt', turnId: T2 }),
      (game) => game.do({ type: 'session.stop' }),
      (game) => game.do({ type: 'session.retry' }),
      (game) => game.do({ type: 'push.retry' }),
      (game) => game.do(push('kept')),
      (game) => game.do(failedForward(0, game.log.length % 2 === 0)),
      (game) => game.do({ type: 'session.archive' }),
      (game) => game.do({ type: 'session.unarchive' }),
      (game) => game.do({ type: 'session.admit' }),
      (game) => game.do({ type: 'message.withdraw', turnId: T2 }),
      (game) => {
        game.hasSlot = !game.hasSlot
      },
      (game) =>
        game.do({ type: 'phase.start', phase: 'fetch', generation: game.state.sandbox.generation }),
      (game) =>
        game.do({
          type: 'phase.fail',
          phase: 'fetch',
          generation: game.state.sandbox.generation,
          reason: 'r',
          message: 'm',
        }),
      (game) =>
        game.do({
          type: 'repository.prepared',
          generation: game.state.sandbox.generation,
          commit: 'c',
          baseBranch: null,
        }),
      (game) =>
        game.do({
          type: 'sandbox.started',
          generation: game.state.sandbox.generation,
          isolation: 'i',
        }),
      (game) =>
        game.do({
          type: 'sandbox.stopped',
          generation: game.state.sandbox.generation,
          why: 'user',
        }),
      (game) =>
        game.do({
          type: 'sandbox.lost',
          generation: game.state.sandbox.generation,
          reason: 'r',
          message: 'm',
        }),
      (game) => game.report({ type: 'runner.ready', generation: game.state.sandbox.generation }),
      (game) =>
        game.report({
          type: 'turn.completed',
          turnId: game.state.turn?.id ?? T1,
          exitCode: null,
          durationMs: 1,
        }),
      (game) =>
        game.report({
          type: 'turn.failed',
          turnId: game.state.turn?.id ?? T1,
          reason: 'r',
          message: 'm',
        }),
      (game) => {
        game.wait(3_600_000)
        game.do({ type: 'clock.tick' })
      },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const game = play()
        for (const take of steps) {
          try {
            take(game)
          } catch (error) {
            expect((error as Error).message).toMatch(
              /^(no_turn|turn_not_current|nothing_failed|nothing_kept|nothing_to_retry|session_archived|message_\w+)$/,
            )
          }
        }
        expectWhole(game)
      }),
      { numRuns: 300 },
    )
  })
})
