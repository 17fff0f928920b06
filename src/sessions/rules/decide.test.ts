import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import type { Command } from '../../protocol/command.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import { createId } from '../../protocol/ids.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { SessionState } from '../../protocol/session.ts'
import { decide, decideCreate, defaultRules } from './decide.ts'
import { type Decision, isRefusal } from './draft.ts'

const id = (kind: 'session' | 'turn' | 'environment', n: number) =>
  createId(kind, new Uint8Array(20).fill(n))
const SESSION = id('session', 1)
const [T1, T2] = [id('turn', 1), id('turn', 2)]
const T0 = new Date('2026-01-01T00:00:00Z')

/** Plays commands one second apart and keeps the log, as the store does. */
function play() {
  let clock = T0.getTime()
  const environment = environmentSchema.parse({ id: id('environment', 1), name: 'Default' })
  const first = decideCreate(
    SESSION,
    {
      type: 'session.create',
      ownerId: 'owner',
      title: 'Fix it',
      environment,
      driver: 'oci',
      mode: 'work',
      model: null,
      repository: {
        source: { kind: 'remote', url: 'https://git.example/r.git', credentialId: null },
        name: 'r',
        url: 'https://git.example/r.git',
        baseBranch: null,
        commit: null,
        branch: 'errand/fix-it-abcde',
      },
      turnId: T1,
      kind: 'agent',
      text: 'fix it',
    },
    { now: T0, hasSlot: true },
  )
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

function ready() {
  const game = play()
  game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
  game.do({ type: 'repository.prepared', generation: 1, commit: 'c0ffee', baseBranch: 'main' })
  game.do({ type: 'phase.start', phase: 'sandbox', generation: 1 })
  game.do({ type: 'sandbox.started', generation: 1, isolation: 'container' })
  game.report({ type: 'runner.ready', generation: 1 })
  return game
}

function expectWhole(game: ReturnType<typeof play>) {
  expect(game.log.reduce(applyEvent, emptyView).session).toEqual(game.state)
  const { turn, sandbox, queue, status } = game.state
  if (turn && sandbox.state !== 'preparing' && sandbox.state !== 'ready') {
    expect(status).toMatch(/failed|queued/)
  }
  if (status === 'queued') expect(turn ?? queue[0]).toBeDefined()
  if (status === 'working') expect(turn).not.toBeNull()
}
const push = (outward: 'kept' | 'forwarded') =>
  ({
    type: 'push.accepted',
    ref: 'refs/heads/errand/fix-it-abcde',
    commit: 'c0ffee',
    outward,
    message: 'no answer',
  }) as const
const failedForward = (attempt: number, passes: boolean, reason = 'r') =>
  ({ type: 'push.forward-fail', attempt, passes, reason, message: 'm' }) as const
const forward = (attempt: number, notBefore: string | null) => ({
  ...{ kind: 'push.forward', attempt, notBefore },
})

describe('commits that are kept', () => {
  it('are sent again with growing pauses, and everybody sees when', () => {
    const game = ready()
    expect(game.do(push('kept')).effects).toEqual([{ kind: 'changes.measure' }, forward(0, null)])
    const pauses = [0, 1, 5, 60].map((attempt) => {
      const { effects, state } = game.do(failedForward(attempt, true))
      const { nextAt } = state.outward
      expect(state.outward).toMatchObject({ state: 'kept', message: 'm' })
      expect(effects).toEqual([forward(attempt + 1, nextAt)])
      return Date.parse(nextAt ?? '') - Date.parse(game.log.at(-1)?.at ?? '')
    })
    expect(pauses).toEqual([1_000, 2_000, 32_000, 300_000])
    game.do({ type: 'push.forwarded', commit: 'c0ffee' })
    expect(game.state.outward).toEqual({ state: 'forwarded', message: '', nextAt: null })
  })

  it('wait for somebody when the host refuses them, or shows its door only to a credential', () => {
    const game = ready()
    game.do(push('kept'))
    expect(game.do(failedForward(0, false)).effects).toEqual([])
    expect(game.state.outward).toEqual({ state: 'refused', message: 'm', nextAt: null })
    const again = game.do({ type: 'push.retry' })
    expect(again).toMatchObject({ cancels: ['outward'], effects: [forward(0, null)] })
    game.do(failedForward(0, false, 'credential_missing'))
    expect(game.state.outward).toMatchObject({ state: 'kept', nextAt: null })
  })

  it('are sent once: a later push takes the place of what waits, a stop takes nothing of it', () => {
    const game = ready()
    game.do(push('kept'))
    expect(game.do(push('kept'))).toMatchObject({ cancels: ['outward'] })
    expect(game.effects.filter(({ kind }) => kind === 'push.forward')).toHaveLength(1)
    expect(game.do({ type: 'session.stop' }).cancels).toEqual(['sandbox'])
    expect(game.do({ type: 'session.archive' }).cancels).not.toContain('outward')
    expect(game.do({ type: 'push.retry' }).effects).toEqual([forward(0, null)])
    expect(game.do(push('forwarded'))).toMatchObject({
      cancels: ['outward'],
      effects: [{ kind: 'changes.measure' }],
    })
    expect(() => game.do({ type: 'push.retry' })).toThrow('nothing_kept')
  })
})

describe('decide', () => {
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

  it('lets a session push to a branch by its name, and takes that back', () => {
    const game = play()
    const grant = (change: object) => game.do({ type: 'push.grant', ...change })
    grant({ grant: 'side' })
    grant({ grant: 'main', rewrite: true })
    expect(game.state.pushGrants).toEqual({ branches: ['side', 'main'], rewrite: true })
    const count = game.types().length
    grant({ grant: 'side' })
    expect(game.types()).toHaveLength(count)
    grant({ revoke: 'side', rewrite: false })
    expect(game.state.pushGrants).toEqual({ branches: ['main'], rewrite: false })
    expect(() => grant({ revoke: 'side' })).toThrow('grant_not_found')
    expect(() => grant({ grant: game.state.repository.branch })).toThrow('branch_is_own')
  })

  it('does not take a push to a granted branch for one to its own', () => {
    const game = ready()
    const pushed = { type: 'push.accepted', commit: 'c1', message: '' } as const
    const ref = `refs/heads/${game.state.repository.branch}`
    game.do({ ...pushed, ref, outward: 'kept' })
    const before = game.state.outward
    const other = game.do({ ...pushed, ref: 'refs/heads/side', outward: 'forwarded' })
    expect(other).toMatchObject({ effects: [], cancels: [] })
    expect(game.state.outward).toEqual(before)
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

  it('does not cancel the stop of what failed', () => {
    const game = play()
    const failed = { type: 'phase.fail', phase: 'fetch', generation: 1 } as const
    game.do({ ...failed, reason: 'r', message: 'm' })
    expect(game.effects).toEqual([{ kind: 'sandbox.stop', generation: 1, why: 'failed' }])
    expect(game.do({ type: 'session.stop' })).toMatchObject({ cancels: [], effects: [] })
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

  it('stops an idle sandbox after the rule says so', () => {
    const game = ready()
    game.report({ type: 'turn.completed', turnId: T1, exitCode: null, durationMs: 5 })
    game.wait(defaultRules.idleStopMs)
    expect(game.do({ type: 'clock.tick' }).effects).toEqual([
      { kind: 'sandbox.stop', generation: 1, why: 'idle' },
    ])
  })

  it('builds the same state as the events alone, whatever happens', () => {
    const step = fc.constantFrom<(game: ReturnType<typeof play>) => void>(
      (game) => game.do({ type: 'turn.submit', turnId: T2, kind: 'agent', text: 'x' }),
      (game) => game.do({ type: 'turn.interrupt' }),
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
              /^(no_turn|nothing_failed|nothing_kept|nothing_to_retry|session_archived|message_\w+)$/,
            )
          }
        }
        expectWhole(game)
      }),
      { numRuns: 300 },
    )
  })
})
