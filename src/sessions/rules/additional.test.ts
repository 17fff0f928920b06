// Sessions with several repositories: how they are named, fetched and followed. Each has facts of its own.
import { describe, expect, it } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import type { Command } from '../../protocol/command.ts'
import { AppError } from '../../protocol/errors.ts'
import type { SessionEvent } from '../../protocol/event.ts'
import { doorUrl, repositoryAtDoor } from '../../protocol/git-door.ts'
import { type AdditionalRepository, grantsOf } from '../../protocol/session.ts'
import { fetchAll } from '../fetch-all.ts'
import { exampleId, exampleSession } from '../starting/new-session.fixture.ts'
import { nameAdditional } from '../starting/repository-names.ts'
import { decide, decideCreate } from './decide.ts'
import { type Decision, isRefusal } from './draft.ts'

const ID = exampleId('session', 1)
const MOMENT = { now: new Date('2026-01-01T00:00:00Z'), hasSlot: true }

const additional = (name: string, access: 'read' | 'write'): AdditionalRepository => {
  const url = `https://git.example/${name}.git`
  const source = { kind: 'remote' as const, url, credentialId: null }
  return { source, name, url, baseBranch: null, commit: null, branch: 'errand/fix', access }
}

function begin() {
  const repositories = [additional('lib', 'write'), additional('docs', 'read')]
  const log: SessionEvent[] = []
  const keep = (decision: Decision) => {
    for (const { source, body } of decision.events)
      log.push({ sessionId: ID, seq: log.length + 1, at: MOMENT.now.toISOString(), source, body })
    return decision
  }
  let last = keep(decideCreate(ID, { ...exampleSession(1), additional: repositories }, MOMENT))
  return {
    view: () => log.reduce(applyEvent, emptyView),
    get state() {
      return last.state
    },
    do(command: Command) {
      const outcome = decide(last.state, command, MOMENT)
      if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
      last = keep(outcome)
      return last
    },
  }
}

const push = (repository: string | undefined, outward: 'kept' | 'forwarded') =>
  ({
    type: 'push.accepted',
    repository,
    ref: 'refs/heads/errand/fix',
    commit: 'c',
    outward,
    message: '',
  }) as const

describe('the repositories of a session', () => {
  it('are known at the same moment, each with its commit', () => {
    const game = begin()
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    const others = [
      { repository: 'lib', commit: 'c1', baseBranch: 'main' },
      { repository: 'docs', commit: 'd1', baseBranch: 'trunk' },
    ]
    const prepared = { generation: 1, commit: 'a1', baseBranch: 'main', additional: others }
    game.do({ type: 'repository.prepared', ...prepared })
    expect(game.state.repository).toMatchObject({ commit: 'a1' })
    expect(game.state.additional).toMatchObject([
      { name: 'lib', commit: 'c1', changes: null, outward: { state: 'none' } },
      { name: 'docs', commit: 'd1', baseBranch: 'trunk' },
    ])
    expect(game.view().session).toEqual(game.state)
  })

  it('wait for their hosts beside each other: a push of one takes nothing of what waits for another', () => {
    const game = begin()
    expect(game.do(push('lib', 'kept'))).toMatchObject({
      cancels: ['outward lib'],
      effects: [
        { kind: 'changes.measure', repository: 'lib' },
        { kind: 'push.forward', repository: 'lib', attempt: 0 },
      ],
    })
    expect(game.do(push(undefined, 'forwarded')).cancels).toEqual(['outward'])
    expect(game.state.outward.state).toBe('forwarded')
    expect(game.state.additional[0]?.outward.state).toBe('kept')
    const failed = { attempt: 0, passes: true, reason: 'r', message: 'down' }
    const { effects } = game.do({ type: 'push.forward-fail', repository: 'lib', ...failed })
    expect(effects).toMatchObject([{ kind: 'push.forward', repository: 'lib', attempt: 1 }])
    const items = game.view().timeline.flatMap((item) => (item.kind === 'push' ? [item] : []))
    expect(items).toMatchObject([
      { repository: 'lib', outward: 'kept', text: 'down' },
      { repository: null, outward: 'forwarded', text: '' },
    ])
    expect(game.do({ type: 'push.retry' })).toMatchObject({
      cancels: ['outward lib'],
      effects: [{ kind: 'push.forward', repository: 'lib', attempt: 0 }],
    })
    game.do({ type: 'push.forwarded', repository: 'lib', commit: 'c' })
    expect(() => game.do({ type: 'push.retry' })).toThrow('nothing_kept')
  })

  it('are measured after a turn where the session has a branch', () => {
    const game = begin()
    const report = { type: 'turn.interrupted', turnId: exampleId('turn', 1) } as const
    const { effects } = game.do({ type: 'runner.report', report })
    expect(effects).toEqual([
      { kind: 'changes.measure' },
      { kind: 'changes.measure', repository: 'lib' },
    ])
    const counts = { commit: 'c', filesChanged: 1, insertions: 2, deletions: 3 }
    game.do({ type: 'changes.measured', repository: 'lib', ...counts })
    expect(game.state.additional[0]?.changes).toEqual(counts)
    expect(game.state.changes).toBeNull()
    expect(game.do({ type: 'changes.measured', repository: 'none', ...counts }).events).toEqual([])
  })

  it('are pushed to beyond the own branch as it was granted of each, and of no other', () => {
    const game = begin()
    const grant = (change: object) => game.do({ type: 'push.grant', ...change })
    const granted = () => {
      const { repository, additional } = game.state
      return [repository, ...additional].map((one) => grantsOf(game.state, one))
    }
    const none = { branches: [], rewrite: false }
    expect(granted()).toEqual([none, none, null])
    const { events } = grant({ repository: 'lib', grant: 'side', rewrite: true })
    expect(events).toEqual([
      {
        source: 'user',
        body: { type: 'push.granted', repository: 'lib', branches: ['side'], rewrite: true },
      },
    ])
    expect(granted()).toEqual([none, { branches: ['side'], rewrite: true }, null])
    grant({ grant: 'next' })
    expect(granted().slice(0, 2)).toEqual([
      { branches: ['next'], rewrite: false },
      { branches: ['side'], rewrite: true },
    ])
    expect(() => grant({ repository: 'lib', revoke: 'next' })).toThrow('grant_not_found')
    grant({ repository: 'lib', revoke: 'side', rewrite: false })
    expect(granted().slice(0, 2)).toEqual([{ branches: ['next'], rewrite: false }, none])
    expect(game.view().session).toEqual(game.state)
    expect(game.view().timeline.slice(-3)).toMatchObject([
      { kind: 'notice', text: 'May push in lib to: its own branch, which it may rewrite, side.' },
      { kind: 'notice', text: 'May push to: its own branch, next.' },
      { kind: 'notice', text: 'May push in lib to: its own branch.' },
    ])
  })

  it('may be rewritten where the environment says so for a session, but for one that is read', () => {
    const { state } = begin()
    const { environment, ...rest } = state
    const inside = { ...rest, environment: { git: { ...environment.git, rewrite: true } } }
    const [lib, docs] = state.additional
    expect([state.repository, lib, docs].map((one) => one && grantsOf(inside, one))).toEqual([
      ...[{ branches: [], rewrite: true }, { branches: [], rewrite: true }, null],
    ])
  })

  it('are granted no push where they are read only, not there, or the branch is the own one of that repository', () => {
    const game = begin()
    const grant = (change: object) => () => game.do({ type: 'push.grant', ...change })
    for (const change of [{ grant: 'side' }, { rewrite: true }, { revoke: 'side' }])
      expect(grant({ repository: 'docs', ...change })).toThrow('repository_read_only')
    // The main one has no name here.
    for (const repository of ['r', 'none', 'constructor'])
      expect(grant({ repository, grant: 'side' })).toThrow('repository_not_found')
    const resolved = { commit: 'c', baseBranch: 'main' }
    game.do({ type: 'phase.start', phase: 'fetch', generation: 1 })
    game.do({
      ...{ type: 'repository.prepared', generation: 1, ...resolved, branch: 'errand/fix-3' },
      additional: [
        { repository: 'lib', ...resolved, branch: 'errand/fix-2' },
        { repository: 'docs', ...resolved },
      ],
    })
    expect(grant({ repository: 'lib', grant: 'errand/fix-2' })).toThrow('branch_is_own')
    grant({ repository: 'lib', grant: 'errand/fix-3' })()
    expect(game.state.additional[0]?.pushGrants.branches).toEqual(['errand/fix-3'])
    expect(game.state.pushGrants.branches).toEqual([])
  })

  it('offer the branch of a refused push until it is granted, each its own', () => {
    const game = begin()
    const refuse = (repository: string | undefined, ref: string, reason = 'ref_not_allowed') =>
      game.do({ type: 'push.refused', repository, ref, reason, message: 'no' })
    refuse(undefined, 'refs/heads/side')
    refuse('lib', 'refs/heads/side')
    refuse('lib', 'refs/heads/main', 'default_branch_not_allowed')
    const offered = () =>
      game
        .view()
        .timeline.flatMap((item) => (item.kind === 'push' ? [item] : []))
        .map(({ repository, grantable }) => [repository, grantable])
    expect(offered()).toEqual([
      [null, 'side'],
      ['lib', 'side'],
      ['lib', null],
    ])
    game.do({ type: 'push.grant', repository: 'lib', grant: 'side' })
    expect(offered()).toEqual([
      [null, 'side'],
      ['lib', null],
      ['lib', null],
    ])
  })

  it('are told apart by the path of the door', () => {
    const { state } = begin()
    const at = (path: string) => repositoryAtDoor(state, path)?.name
    expect(at('/git/repository.git/info/refs?service=git-upload-pack')).toBe('r')
    expect(at('/git/lib.git/git-receive-pack')).toBe('lib')
    // Git inside writes an ssh address without `.git` anew.
    expect(at('/git/lib/lib.git/git-receive-pack')).toBe('lib')
    expect(new URL(doorUrl('lib')).pathname).toBe('/git/lib.git')
    for (const path of ['/git/r.git/info/refs', '/git/lib/info/refs', '/git/other.git/info/refs'])
      expect(at(path)).toBeUndefined()
  })
})

describe('fetching them', () => {
  const prepare = (failing: Record<string, AppError>, asked: string[] = []) => ({
    prepare: async (
      { repository }: { repository: { name: string } },
      _signal: AbortSignal,
      onLine: (line: string) => void,
    ) => {
      asked.push(repository.name)
      onLine('hello')
      const failure = failing[repository.name]
      if (failure) throw failure
      return { commit: `${repository.name}1`, baseBranch: 'main', environmentFile: null }
    },
  })
  const run = (repositories: ReturnType<typeof prepare>, lines: string[] = []) =>
    fetchAll(repositories, {
      state: begin().state,
      signal: new AbortController().signal,
      onLine: (line) => lines.push(line),
    })

  it('asks for all, and says which one a line is about', async () => {
    const lines: string[] = []
    const fetched = await run(prepare({}), lines)
    expect(fetched).toMatchObject({
      commit: 'r1',
      additional: [
        { repository: 'lib', commit: 'lib1' },
        { repository: 'docs', commit: 'docs1' },
      ],
    })
    expect(lines).toEqual(['r: hello', 'lib: hello', 'docs: hello'])
  })

  it('names all that failed', async () => {
    const asked: string[] = []
    const failing = {
      lib: new AppError('not_found', 'repository_not_found', 'There is none.'),
      docs: new AppError('unavailable', 'upstream_unreachable', 'No answer.'),
    }
    await expect(run(prepare(failing, asked))).rejects.toMatchObject({
      reason: 'repository_not_found',
      message: 'lib: There is none.\ndocs: No answer.',
    })
    expect(asked).toEqual(['r', 'lib', 'docs'])
  })
})

describe('the name of an additional repository', () => {
  it('is plain, and another one than every other of the session', () => {
    const others = [{ name: 'shop' }, { name: 'Api' }, { name: 'api-2' }]
    const named = ['lib', 'shop', 'api', 'repository', '../..', 'ä b', '.git', ''].map((wish) =>
      nameAdditional(wish, others),
    )
    expect(named).toEqual([
      ...['lib', 'shop-2', 'api-3', 'repository-2', 'repository-2'],
      ...['b', 'git', 'repository-2'],
    ])
    expect(nameAdditional('x'.repeat(300), others)).toHaveLength(90)
  })
})
