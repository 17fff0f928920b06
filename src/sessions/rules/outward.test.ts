// Commits on their way to the git host, and branches that a session may push to besides its own.
import { describe, expect, it } from 'vitest'
import { failedForward, play, push, ready } from './play.fixture.ts'

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
    for (const reason of ['credential_missing', 'credential_refused']) {
      game.do(failedForward(0, false, reason))
      expect(game.state.outward).toMatchObject({ state: 'kept', nextAt: null })
    }
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

describe('a granted branch', () => {
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
})
