import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Command } from '../../protocol/command.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import { createId } from '../../protocol/ids.ts'
import type { Load } from '../../store/load.ts'
import { decide, decideCreate } from './decide.ts'
import { isRefusal } from './draft.ts'
import { submit } from './play.fixture.ts'
import { hasSlot, orderQueue, placesIn } from './slots.ts'

const id = (kind: 'session' | 'turn' | 'environment', n: number) =>
  createId(kind, new Uint8Array(20).fill(n))
const [T1, T2] = [id('turn', 1), id('turn', 2)]
const now = new Date('2026-01-01T00:00:00Z')
const [FREE, FULL] = [
  { now, hasSlot: true },
  { now, hasSlot: false },
]

/** `ann.1` is a session of ann. */
const loadOf = (working: string[], queued: string[]): Load => {
  const sessions = (ids: string[]) =>
    ids.map((one) => ({ id: one, ownerId: one.replace(/\..*/, '') }))
  return { working: sessions(working), queued: sessions(queued) }
}

describe('the order of the queue', () => {
  it('is that of their coming for one owner', () => {
    expect(orderQueue(loadOf(['ann.1'], ['ann.2', 'ann.3']))).toEqual(['ann.2', 'ann.3'])
  })

  it('takes turns between owners, whoever has the fewest that work first', () => {
    const load = loadOf(['ann.1', 'ann.2', 'bob.1'], ['ann.3', 'ann.4', 'bob.2', 'cy.1', 'bob.3'])
    expect(orderQueue(load)).toEqual(['cy.1', 'bob.2', 'ann.3', 'bob.3', 'ann.4'])
    expect(placesIn(load).get('ann.3')).toEqual({ number: 3, of: 5 })
    expect(placesIn(load).get('ann.1')).toBeUndefined()
  })

  it('is what comes of always calling up one of the owner who has the fewest', () => {
    const some = fc.array(fc.tuple(fc.constantFrom('ann', 'bob', 'cy'), fc.nat(1_000_000)), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(some, some, (working, queued) => {
        const name = ([owner, n]: [string, number], index: number) => `${owner}.${n}.${index}`
        const load = loadOf(working.map(name), queued.map(name))
        const order = orderQueue(load)
        while (load.queued.length > 0) {
          const count = (ownerId: string) =>
            load.working.filter((one) => one.ownerId === ownerId).length
          const fewest = Math.min(...load.queued.map(({ ownerId }) => count(ownerId)))
          const next = load.queued.find(({ ownerId }) => count(ownerId) === fewest)
          if (!next) throw new Error('nobody is next')
          expect(order.shift()).toBe(next.id)
          load.queued = load.queued.filter((one) => one !== next)
          load.working.push(next)
        }
        expect(order).toEqual([])
      }),
    )
  })
})

describe('a slot', () => {
  it('is there for as many as may work, who has one not counted against itself', () => {
    expect(hasSlot(loadOf(['ann.1'], []), 'ann.2', 2)).toBe(true)
    expect(hasSlot(loadOf(['ann.1', 'bob.1'], []), 'ann.2', 2)).toBe(false)
    expect(hasSlot(loadOf(['ann.1', 'bob.1'], []), 'ann.1', 2)).toBe(true)
  })

  it('is given to those that wait before one that comes, or that had its turn', () => {
    const load = loadOf(['ann.1'], ['bob.1'])
    expect(hasSlot(load, 'ann.2', 2)).toBe(false)
    expect(hasSlot(load, 'ann.1', 2)).toBe(false)
    expect(hasSlot(load, 'bob.1', 2)).toBe(true)
  })
})

/** A session that found no slot when it was made. */
function queued() {
  const url = 'https://git.example/r.git'
  let last = decideCreate(
    id('session', 1),
    {
      type: 'session.create',
      ownerId: 'ann',
      title: 'Fix it',
      environment: environmentSchema.parse({ id: id('environment', 1), name: 'Default' }),
      driver: 'oci',
      mode: 'work',
      model: null,
      repository: {
        source: { kind: 'remote', url, credentialId: null },
        ...{ name: 'r', url, baseBranch: null, commit: null, branch: 'errand/fix-it' },
      },
      turnId: T1,
      kind: 'agent',
      text: 'fix it',
    },
    FULL,
  )
  return {
    state: () => last.state,
    effects: () => last.effects,
    does: (command: Command, moment = FULL) => {
      const outcome = decide(last.state, command, moment)
      if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
      last = outcome
      return outcome.events.map(({ body }) => body.type)
    },
    last: () => last,
  }
}

/** One with a ready sandbox that works on its first turn. */
function working() {
  const game = queued()
  game.does({ type: 'session.admit' }, FREE)
  const prepared = { generation: 1, commit: 'c0ffee', baseBranch: null }
  game.does({ type: 'repository.prepared', ...prepared })
  game.does({ type: 'sandbox.started', generation: 1, isolation: 'container' })
  game.does({ type: 'runner.report', report: { type: 'runner.ready', generation: 1 } })
  return game
}
const turnCompleted: Command = {
  type: 'runner.report',
  report: { type: 'turn.completed', turnId: T1, exitCode: null, durationMs: 1 },
}

/** Takes away what was started ahead of the session, if there is such a sandbox. */
const AHEAD = { kind: 'sandbox.stop', generation: 0, why: 'user' }

describe('a session without a slot', () => {
  it('is queued by an event, asks for nothing, and begins when it is admitted', () => {
    const game = queued()
    expect(game.last().events.map(({ body }) => body.type)).toEqual([
      'session.created',
      'message.queued',
      'session.queued',
    ])
    expect(game.state()).toMatchObject({ status: 'queued', turn: null, queue: [{ id: T1 }] })
    expect(game.effects()).toEqual([])
    expect(game.does({ type: 'session.admit' })).toEqual([])
    expect(game.does({ type: 'session.admit' }, FREE)).toEqual([
      'turn.started',
      'sandbox.preparing',
    ])
    expect(game.last().takesSlot).toBe(true)
    expect(game.state().status).toBe('working')
    expect(game.does({ type: 'session.admit' }, FREE)).toEqual([])
  })

  it('takes messages in the order of their coming and stays in its place', () => {
    const game = queued()
    expect(game.does(submit(T2), FREE)).toEqual(['message.queued'])
    expect(game.last().takesSlot).toBe(false)
    game.does({ type: 'session.admit' }, FREE)
    expect(game.state()).toMatchObject({ turn: { id: T1 }, queue: [{ id: T2 }] })
  })

  it('gives up its place when it is stopped or interrupted; its message ends as interrupted', () => {
    for (const type of ['session.stop', 'turn.interrupt'] as const) {
      const game = queued()
      game.does({ type })
      expect(game.state()).toMatchObject({
        ...{ status: 'idle', turn: null, queue: [], sandbox: { state: 'none' } },
        lastTurn: { id: T1, outcome: 'interrupted' },
      })
      expect(game.effects()).toEqual([AHEAD])
      expect(game.does({ type: 'session.admit' }, FREE)).toEqual([])
      expect(game.does({ type: 'sandbox.stopped', generation: 0, why: 'user' })).toEqual([])
    }
  })

  it('waits with its next message when the first is interrupted', () => {
    const game = queued()
    game.does(submit(T2))
    game.does({ type: 'turn.interrupt' }, FREE)
    expect(game.last().takesSlot).toBe(false)
    expect(game.state()).toMatchObject({ status: 'queued', queue: [{ id: T2 }] })
  })

  it('gives up its place with its last message, and in the archive', () => {
    const game = queued()
    game.does(submit(T2))
    game.does({ type: 'message.withdraw', turnId: T1 })
    expect(game.state().status).toBe('queued')
    game.does({ type: 'message.withdraw', turnId: T2 })
    expect(game.state()).toMatchObject({ status: 'idle', queue: [] })
    expect(game.effects()).toEqual([AHEAD])
    const archived = queued()
    archived.does({ type: 'session.archive' })
    expect(archived.state()).toMatchObject({ status: 'archived', queue: [] })
    expect(archived.effects()).toEqual([AHEAD])
    expect(archived.does({ type: 'session.admit' }, FREE)).toEqual([])
  })

  it('waits for one to try again what failed', () => {
    const game = queued()
    game.does({ type: 'session.admit' }, FREE)
    const failed = { phase: 'fetch', generation: 1, reason: 'r', message: 'm' } as const
    game.does({ type: 'phase.fail', ...failed })
    expect(game.does({ type: 'session.retry' })).toEqual(['session.queued'])
    expect(game.state()).toMatchObject({ status: 'queued', failure: null, turn: { id: T1 } })
    expect(game.does({ type: 'session.admit' }, FREE)).toEqual(['sandbox.preparing'])
    expect(game.state()).toMatchObject({ status: 'working', sandbox: { generation: 2 } })
  })
})

describe('a session that worked', () => {
  it('needs a slot for its next message, also when its sandbox is ready', () => {
    const game = working()
    game.does(turnCompleted)
    expect(game.does(submit(T2))).toEqual(['message.queued', 'session.queued'])
    expect(game.does({ type: 'session.admit' }, FREE)).toEqual(['turn.started'])
    expect(game.effects()).toEqual([])
  })

  it('gives way at the end of a turn, when it has more to do and there is no slot', () => {
    const game = working()
    game.does(submit(T2))
    expect(game.does(turnCompleted)).toEqual(['turn.completed', 'session.queued'])
    expect(game.state()).toMatchObject({ status: 'queued', queue: [{ id: T2 }] })
  })

  it('goes on without one when its question is answered or its sandbox is lost', () => {
    const game = working()
    const at = { turnId: T1, kind: 'question', title: '?', detail: '' } as const
    const question = { ...at, id: 'q', items: [], askedAt: now.toISOString() }
    game.does({ type: 'runner.report', report: { type: 'question.asked', question } })
    const answer = { allow: true, answers: {}, message: '' }
    game.does({ type: 'question.answer', questionId: 'q', answer })
    expect(game.state().status).toBe('working')
    game.does({ type: 'sandbox.lost', generation: 1, reason: 'r', message: 'm' })
    expect(game.state()).toMatchObject({ status: 'working', sandbox: { state: 'preparing' } })
  })
})
